"""What is written in the ledger. Raises StorageError where that fails."""

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from monitor.core.alerts.memory_codec import Remembered, render_alert, render_memory
from monitor.core.effects import Alert, Effect
from monitor.core.state import State
from monitor.storage.delivery import Stage, StoredAlert, key_of, render
from monitor.storage.delivery_schema import BUSY_SECS, StorageError, failure, opened
from monitor.storage.delivery_view import FLEET, Reading
from monitor.storage.sqlite import Retry, transaction

_BEGIN: Final = """
    INSERT INTO tellings (alert, lane, stage, attempts) VALUES (?, ?, 'telling', 1)
    ON CONFLICT DO UPDATE SET stage = 'telling', attempts = attempts + 1
"""
_STATE: Final = "SELECT stage FROM tellings WHERE lane = ? AND alert = ?"
_NOTE: Final = """
    INSERT INTO tellings (alert, lane, stage, outcome) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET stage = excluded.stage, outcome = excluded.outcome
"""

_END: Final = "UPDATE alerts SET note = ?, ended_at = ? WHERE id = ?"

Statement = tuple[str, tuple[Any, ...]]
Memories = Mapping[str, Remembered | None]
"""By account; None for one that is gone."""


class DeliveryLog(Reading):
    """The ledger in one file, made where it is missing; a damaged one is kept aside. Raises StorageError.

    What could not be written is written with the next thing that can.
    """

    def __init__(self, path: Path, now: datetime, *, busy_secs: float = BUSY_SECS) -> None:
        self._database = opened(path, now, busy_secs)
        super().__init__(path, self._database)
        self._saved: dict[str, Remembered] = {}
        self._gone: set[str] = set()
        self._owed: list[Statement] = []
        self._failed: tuple[StorageError, Memories] | None = None
        self._retry = Retry()

    def record(self, before: State, after: State, effects: Sequence[Effect]) -> Sequence[Effect]:
        """Write a decision: what is remembered now, and the alerts to be told. Returns those never written before.

        Raises StorageError for as long as anything is left unwritten.
        """
        changed = self._changed(before, after)
        if not (changed or effects or self._owed):
            return effects
        self._retry.count()
        if self._failed and not effects and changed == self._failed[1] and not self._retry.is_due:
            raise self._failed[0]
        try:
            with transaction(self._database):
                self._settle()
                self._remember(changed)
                new = [entry for effect in effects for entry in self._add(effect.alert, after)]
        except sqlite3.Error as error:
            self._failed = failure(self._path, error), changed
            self._retry.failed()
            raise self._failed[0] from None
        self._written(changed)
        return new

    def begin(self, entries: Sequence[StoredAlert], lane: str) -> Sequence[StoredAlert]:
        """Note that these are about to be told in a lane. Returns those that no other process has told there."""
        open_ones = [entry for entry in entries if entry.id is None or self._is_open(entry, lane)]
        self._write([(_BEGIN, (entry.id, lane)) for entry in open_ones if entry.id is not None])
        return open_ones

    def put_back(self, entries: Iterable[StoredAlert], lane: str, outcome: str) -> None:
        """Note that these were not told in a lane, and are to be tried again."""
        self._write(_notes(entries, lane, Stage.DECIDED, outcome))

    def finish(
        self,
        entries: Collection[StoredAlert],
        lane: str,
        stage: Stage,
        outcome: str,
        ended: Collection[StoredAlert],
        at: datetime,
    ) -> None:
        """Note what became of these in a lane for good; nothing at all is left to be done for those of `ended`."""
        self._write([*_notes(entries, lane, stage, outcome), *_ends(ended, "", at)])

    def drop(self, entries: Collection[StoredAlert], note: str, at: datetime) -> None:
        """Give these up as they are."""
        self._write(_ends(entries, note, at))

    def _changed(self, before: State, after: State) -> Memories:
        """What is remembered now and is not written yet."""
        self._gone |= before.accounts.keys() - after.accounts.keys()
        self._gone -= after.accounts.keys()
        memories = {name: Remembered.of(account) for name, account in after.accounts.items()}
        memories[FLEET] = Remembered(conditions=after.conditions)
        changed: dict[str, Remembered | None] = dict.fromkeys(self._gone)
        return changed | {
            name: memory for name, memory in memories.items() if not self._has(name, memory)
        }

    def _memories(self) -> dict[str, Remembered]:
        found = super()._memories()
        self._saved |= found
        return found

    def _has(self, name: str, memory: Remembered) -> bool:
        saved = self._saved.get(name)
        if saved is None:
            return not memory.windows and not memory.conditions
        same = saved.windows is memory.windows and saved.conditions is memory.conditions
        return (same and saved.org_id == memory.org_id) or saved == memory

    def _written(self, changed: Memories) -> None:
        self._owed.clear()
        self._gone.clear()
        self._failed = None
        for name, memory in changed.items():
            if memory is None:
                self._saved.pop(name, None)
            else:
                self._saved[name] = memory

    def _remember(self, changed: Memories) -> None:
        for name, memory in changed.items():
            if memory is None:
                self._database.execute("DELETE FROM memory WHERE account = ?", (name,))
            else:
                row = name, render(render_memory(memory))
                self._database.execute("INSERT OR REPLACE INTO memory VALUES (?, ?)", row)

    def _is_open(self, entry: StoredAlert, lane: str) -> bool:
        with suppress(StorageError):
            return (Stage.TOLD,) not in self._rows(_STATE, lane, entry.id)
        return True

    def _add(self, alert: Alert, state: State) -> list[StoredAlert]:
        """The alert as an entry; none where this period has it already."""
        account = state.accounts.get(alert.account)
        key = key_of(alert, account.account.org_id if account else "")
        cursor = self._database.execute(
            "INSERT OR IGNORE INTO alerts (key, document, decided_at) VALUES (?, ?, ?)",
            (key, render(render_alert(alert)), alert.at.timestamp()),
        )
        return [StoredAlert(alert, cursor.lastrowid)] if cursor.rowcount == 1 else []

    def _write(self, statements: Sequence[Statement]) -> None:
        self._owed.extend(statements)
        try:
            with transaction(self._database):
                self._settle()
        except sqlite3.Error as error:
            raise failure(self._path, error) from None
        self._owed.clear()
        self._failed = None

    def _settle(self) -> None:
        for statement, values in self._owed:
            self._database.execute(statement, values)


def _notes(
    entries: Iterable[StoredAlert], lane: str, stage: Stage, outcome: str
) -> list[Statement]:
    return [(_NOTE, (e.id, lane, stage, outcome)) for e in entries if e.id is not None]


def _ends(entries: Iterable[StoredAlert], note: str, at: datetime) -> list[Statement]:
    values = note, at.timestamp()
    return [(_END, (*values, e.id)) for e in entries if e.id is not None]

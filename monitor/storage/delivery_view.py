"""What is read from the ledger, by the process that writes it and by any other."""

import json
import sqlite3
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from monitor.core.alerts.memory_codec import Remembered, parse_memory
from monitor.core.events import Recalled
from monitor.storage.delivery import StoredAlert, parse_entries
from monitor.storage.delivery_schema import opened_to_read, unread

FLEET: Final = ""
"""Under this name stands what is remembered of all accounts together."""

_SELECT: Final = """
    SELECT id, document, ended_at, note, lane, stage, attempts, outcome
    FROM alerts LEFT JOIN tellings ON alert = id
"""
_OPEN: Final = f"{_SELECT} WHERE ended_at IS NULL ORDER BY id, lane"
_SINCE: Final = f"{_SELECT} WHERE decided_at >= ? ORDER BY id, lane"


class Reading:
    """A ledger behind a connection; one of None is empty. Raises LedgerError."""

    def __init__(self, path: Path, connection: sqlite3.Connection | None) -> None:
        self._path = path
        self._connection = connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def recalled(self, at: datetime) -> Recalled:
        """What was remembered of each account, and of all together; what cannot be read is forgotten."""
        memories = self._memories()
        fleet = memories.pop(FLEET, Remembered()).conditions
        return Recalled(at, memories, fleet)

    def unfinished(self) -> list[StoredAlert]:
        """The alerts that were decided and not told to the end, oldest first."""
        return list(parse_entries(self._rows(_OPEN)))

    def since(self, moment: datetime) -> list[StoredAlert]:
        """Every alert that was decided since then, oldest first."""
        return list(parse_entries(self._rows(_SINCE, moment.timestamp())))

    def _memories(self) -> dict[str, Remembered]:
        found: dict[str, Remembered] = {}
        for name, document in self._rows("SELECT account, document FROM memory"):
            with suppress(ValueError, TypeError, KeyError, AttributeError):
                found[name] = parse_memory(json.loads(document))
        return found

    def _rows(self, query: str, *values: object) -> list[Any]:
        if self._connection is None:
            return []
        try:
            with closing(self._connection.execute(query, values)) as cursor:
                return cursor.fetchall()
        except sqlite3.Error as error:
            raise unread(self._path, error) from None


class LedgerView(Reading):
    """The ledger as it is, which another process may be writing: nothing in it is changed, and no damaged one moved."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, opened_to_read(path))

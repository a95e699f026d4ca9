"""Alerts that were decided, and how far each has come on each channel: rows of the state database.

An alert is written in the transaction that holds the memory which led to it, so that a process which dies at any
instant has either not decided yet (and will, at the next sample) or has the alert written down (and will send it).
"""

import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from monitor.core.alerts.rules import Alert
from monitor.core.codec import decode, encode
from monitor.core.state import LOG_LENGTH, LoggedAlert
from monitor.storage.db import StorageError, damage, render_row, verify

if TYPE_CHECKING:  # it imports this module
    from monitor.storage.recorder import Recorder

KEPT: Final = timedelta(days=60)
READ_SECS: Final = 5.0
BEGIN_SECS: Final = 1.0
"""So long an alert waits at most for its attempt to be written."""

_log = logging.getLogger(__name__)

Statement = tuple[str, tuple[Any, ...]]
"""SQL to write, with its values."""

_SELECT: Final = """
    SELECT id, key, document, checksum, ended_at, note, channel, stage, attempts, outcome
    FROM alerts LEFT JOIN deliveries USING (settings, key) WHERE settings = ?
"""
_OPEN: Final = f"{_SELECT} AND ended_at IS NULL ORDER BY id, channel"
_SINCE: Final = f"{_SELECT} AND (decided_at >= ? OR ended_at IS NULL) ORDER BY id, channel"
_NEWEST_IDS: Final = "SELECT id FROM alerts WHERE settings = ? ORDER BY id DESC LIMIT ?"
_NEWEST: Final = f"{_SELECT} AND id IN ({_NEWEST_IDS}) ORDER BY id, channel"
_INSERT: Final = """
    INSERT OR IGNORE INTO alerts (settings, key, document, checksum, decided_at) VALUES (?, ?, ?, ?, ?)
"""
_SENT: Final = (
    "SELECT 1 FROM deliveries WHERE settings = ? AND key = ? AND channel = ? AND stage = 'sent'"
)
_BEGIN: Final = """
    INSERT INTO deliveries (settings, key, channel, stage, attempts) VALUES (?, ?, ?, 'sending', 1)
    ON CONFLICT DO UPDATE SET stage = 'sending', attempts = attempts + 1
"""
_RESULT: Final = """
    INSERT INTO deliveries (settings, key, channel, stage, outcome) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET stage = excluded.stage, outcome = excluded.outcome
"""
_END: Final = "UPDATE alerts SET note = ?, ended_at = ? WHERE settings = ? AND key = ?"
_PRUNE: Final = (
    "DELETE FROM alerts WHERE settings = ? AND decided_at < ?",
    """DELETE FROM deliveries WHERE settings = ?
       AND key NOT IN (SELECT key FROM alerts WHERE settings = ?)""",
)


class Stage(StrEnum):
    """The stage that an alert has reached. A process that died has left `sending` what it was sending."""

    DECIDED = "decided"
    SENDING = "sending"
    SENT = "sent"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of an alert on one channel, or in a queue of several of which the first that works is used."""

    stage: Stage
    attempts: int = 0
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class StoredAlert:
    """An alert, and what is written of it under its `key`.

    `ended` says that nothing is left to be done for it; `note` why it was given up, where no channel ever had it.
    """

    alert: Alert
    key: str
    channels: Mapping[str, Progress] = field(default_factory=dict)
    ended: bool = False
    note: str = ""

    @property
    def stage(self) -> Stage:
        """The farthest stage of all channels: an alert that one of them has sent is sent."""
        stages = {progress.stage for progress in self.channels.values()}
        if Stage.SENT in stages:
            return Stage.SENT
        if self.ended:
            return Stage.DROPPED
        return Stage.SENDING if Stage.SENDING in stages else Stage.DECIDED

    @property
    def attempts(self) -> int:
        return sum(progress.attempts for progress in self.channels.values())

    @property
    def outcome(self) -> str:
        """The outcomes of all channels in words; empty while there are none."""
        words = [progress.outcome for progress in self.channels.values() if progress.outcome]
        return "; ".join([*words, *([self.note] if self.note else [])])


def key_of(alert: Alert, org_id: str = "") -> str:
    """Return the identity of an alert: a rule fires once per window period, and once a minute where there is no period.

    The organization is a part of it, since an account's name may later stand for another one's limits.
    """
    # Where no end is known, the next period would be called the same.
    period = alert.period or f" at {round(alert.at.timestamp() / 60)}"
    return "\x1f".join((alert.account, org_id, alert.window, alert.rule, period))


def insert(database: sqlite3.Connection, settings: str, key: str, alert: Alert) -> bool:
    """Write a decision. Returns false where it was written before."""
    row = render_row(encode(Alert, alert), settings, key)
    values = settings, key, *row, alert.at.timestamp()
    return database.execute(_INSERT, values).rowcount == 1


def unfinished(database: sqlite3.Connection, settings: str) -> list[StoredAlert]:
    """Return the alerts for which something is left to do, oldest first. Raises DamagedError."""
    return list(_parse(database.execute(_OPEN, (settings,)).fetchall(), settings))


def since(database: sqlite3.Connection, settings: str, moment: datetime) -> list[StoredAlert]:
    """Return the alerts that were decided since then, or are not done, oldest first. Raises DamagedError."""
    rows = database.execute(_SINCE, (settings, moment.timestamp())).fetchall()
    return list(_parse(rows, settings))


def newest(database: sqlite3.Connection, settings: str) -> tuple[LoggedAlert, ...]:
    """Return the newest alerts as the state's log has them, oldest first. Raises DamagedError."""
    rows = database.execute(_NEWEST, (settings, settings, LOG_LENGTH)).fetchall()
    return tuple(log_entry(stored) for stored in _parse(rows, settings))


def log_entry(stored: StoredAlert) -> LoggedAlert:
    """Return the alert as the state's log has it."""
    is_sent, outcome = stored.stage is Stage.SENT, stored.outcome
    words = outcome if is_sent or not outcome else f"not sent ({outcome})"
    return LoggedAlert(stored.alert, stored.alert.at, is_sent, words)


class Journal:
    """Writes how far each alert has come in each queue, as soon as the database can be written."""

    def __init__(self, recorder: "Recorder") -> None:
        self._recorder = recorder
        self._settings = recorder.settings

    async def unfinished(self) -> list[StoredAlert]:
        """Return the alerts that an earlier process has not finished, oldest first."""
        try:
            return await self._recorder.database.read(
                lambda database: unfinished(database, self._settings), within=READ_SECS
            )
        except StorageError as error:  # which the recorder reports
            _log.debug("%s", error)
            return []

    async def next(self) -> StoredAlert:
        """Return the next alert that this process has decided."""
        return await self._recorder.decided.get()

    async def begin(self, alerts: Sequence[StoredAlert], queue: str) -> Sequence[StoredAlert]:
        """Write that these are about to be sent. Returns those of them that no process has sent by this queue yet."""

        def work(database: sqlite3.Connection) -> list[StoredAlert]:
            unsent = [
                alert
                for alert in alerts
                if not database.execute(_SENT, (self._settings, alert.key, queue)).fetchone()
            ]
            database.executemany(_BEGIN, [(self._settings, a.key, queue) for a in unsent])
            return unsent

        if self._recorder.failure is None:  # what was written of them before comes first
            await self._recorder.drain(BEGIN_SECS)
        try:
            return await self._recorder.database.write(work, within=BEGIN_SECS, durable=True)
        except StorageError:
            self._recorder.write([(_BEGIN, (self._settings, a.key, queue)) for a in alerts])
            return alerts

    def put_back(self, alerts: Iterable[StoredAlert], queue: str, outcome: str) -> None:
        """Write that these were not sent, and are to be tried again."""
        self._recorder.write(self._results(alerts, queue, Stage.DECIDED, outcome))

    def finish(
        self,
        alerts: Iterable[StoredAlert],
        queue: str,
        stage: Stage,
        outcome: str,
        ended: Iterable[StoredAlert],
        at: datetime,
    ) -> None:
        """Write the final outcome of these alerts in a queue; those of `ended` are done in all queues."""
        results = self._results(alerts, queue, stage, outcome)
        self._recorder.write([*results, *self._ends(ended, "", at)])

    def drop(self, alerts: Iterable[StoredAlert], note: str, at: datetime) -> None:
        """Write that these are given up without an attempt."""
        self._recorder.write(self._ends(alerts, note, at))

    def _results(
        self, alerts: Iterable[StoredAlert], queue: str, stage: Stage, outcome: str
    ) -> list[Statement]:
        return [(_RESULT, (self._settings, a.key, queue, stage, outcome)) for a in alerts]

    def _ends(self, alerts: Iterable[StoredAlert], note: str, at: datetime) -> list[Statement]:
        return [(_END, (note, at.timestamp(), self._settings, a.key)) for a in alerts]


def prune(database: sqlite3.Connection, settings: str, now: datetime) -> None:
    """Drop what is older than `KEPT`."""
    drop_alerts, drop_deliveries = _PRUNE
    database.execute(drop_alerts, (settings, (now - KEPT).timestamp()))
    database.execute(drop_deliveries, (settings, settings))


def _parse(rows: Sequence[tuple[Any, ...]], settings: str) -> Iterator[StoredAlert]:
    """Parse rows that are sorted by the alert's id, one for each channel."""
    with damage():
        for _, group in groupby(rows, key=itemgetter(0)):
            same = list(group)
            _, key, document, checksum, ended_at, note, *_ = same[0]
            alert = decode(Alert, json.loads(verify(document, checksum, settings, key)))
            channels = {
                channel: Progress(Stage(stage), int(attempts), outcome)
                for *_, channel, stage, attempts, outcome in same
                if channel is not None
            }
            yield StoredAlert(alert, key, channels, ended_at is not None, note)

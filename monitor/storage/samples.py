"""What was polled, for 60 days: one SQLite file of the state folder, that alerts can be replayed from.

It is made to be lost: where it cannot be written, that is one line in the log and nothing else.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final

from monitor.core.errors import TrackerError
from monitor.core.model import Usage, Window
from monitor.storage.sqlite import SqliteFile, opened_to_read

KEPT: Final = timedelta(days=60)
_PRUNED_EVERY: Final = timedelta(days=1)

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS samples (
    at REAL NOT NULL,
    account TEXT NOT NULL,
    window TEXT NOT NULL,
    utilization REAL NOT NULL,
    resets_at REAL,
    PRIMARY KEY (at, account, window)
) WITHOUT ROWID
"""

_INSERT: Final = "INSERT OR IGNORE INTO samples VALUES (?, ?, ?, ?, ?)"
_BETWEEN: Final = """
SELECT at, account, window, utilization, resets_at FROM samples
WHERE at BETWEEN ? AND ? ORDER BY at, account, window
"""

Row = tuple[float, str, str, float, float | None]
"""When, of which account and window, the utilization, and when the window ends."""


class SampleLog:
    """The samples in one file, which is made, private to the user, by the first `append`.

    Several processes may write it; a sample that is there already is not written again. Calls take some
    milliseconds and are made from one thread.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = SqliteFile(path, _make, thorough=False)
        self._prune_at: datetime | None = None

    def append(self, account: str, usage: Usage) -> None:
        """Keep what one poll said of an account. Where that cannot be, it is logged, once until it works again."""

        def add(database: sqlite3.Connection) -> None:
            database.executemany(_INSERT, _rows(account, usage))
            self._prune(database, usage.at)

        self._file.keep(add, "samples are not kept")

    def usages(self, since: datetime, until: datetime) -> Iterator[tuple[str, Usage]]:
        """What each poll from `since` to `until`, both included, said of which account, oldest first.

        Nothing where there is no file. Raises TrackerError where it cannot be read.
        """
        try:
            database = opened_to_read(self._path)
            if database is None:
                return
            with closing(database):
                rows = database.execute(_BETWEEN, (since.timestamp(), until.timestamp()))
                yield from _parse_rows(rows)
        except sqlite3.Error as error:
            raise TrackerError(f"{self._path}: cannot be read: {error}") from None

    def close(self) -> None:
        """Let go of the file; the next `append` opens it again."""
        self._file.close()

    def _prune(self, database: sqlite3.Connection, now: datetime) -> None:
        if self._prune_at is None or now >= self._prune_at:
            database.execute("DELETE FROM samples WHERE at < ?", ((now - KEPT).timestamp(),))
            self._prune_at = now + _PRUNED_EVERY


def _make(database: sqlite3.Connection) -> None:
    database.execute(_SCHEMA)


def _parse_rows(rows: Iterable[Row]) -> Iterator[tuple[str, Usage]]:
    """One usage for all rows of one account and instant, which stand together."""
    for (at, account), samples in groupby(rows, itemgetter(0, 1)):
        windows = tuple(Window(key, used, _instant(end)) for _, _, key, used, end in samples)
        yield account, Usage(datetime.fromtimestamp(at, UTC), windows)


def _rows(account: str, usage: Usage) -> list[Row]:
    return [
        (
            usage.at.timestamp(),
            account,
            window.key,
            window.utilization,
            None if window.resets_at is None else window.resets_at.timestamp(),
        )
        for window in usage.windows
    ]


def _instant(timestamp: float | None) -> datetime | None:
    return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC)

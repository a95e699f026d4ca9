"""What was polled, for 60 days, that alerts can be replayed from: rows of the state database."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final

from monitor.core.model import Usage, Window
from monitor.storage.db import read_only

KEPT: Final = timedelta(days=60)

_INSERT: Final = "INSERT OR IGNORE INTO samples VALUES (?, ?, ?, ?, ?, ?)"
_BETWEEN: Final = """
    SELECT at, account, window, utilization, resets_at FROM samples
    WHERE settings = ? AND at BETWEEN ? AND ? ORDER BY at, account, window
"""


def insert(database: sqlite3.Connection, settings: str, account: str, usage: Usage) -> None:
    """Keep what one poll brought of an account; a sample that is there already is not written again."""
    at = usage.at.timestamp()
    for window in usage.windows:
        end = None if window.resets_at is None else window.resets_at.timestamp()
        row = settings, at, account, window.key, window.utilization, end
        database.execute(_INSERT, row)


def prune(database: sqlite3.Connection, settings: str, now: datetime) -> None:
    """Drop what is older than `KEPT`."""
    long_ago = (now - KEPT).timestamp()
    database.execute("DELETE FROM samples WHERE settings = ? AND at < ?", (settings, long_ago))


def usages(
    path: Path, settings: str, since: datetime, until: datetime
) -> Iterator[tuple[str, Usage]]:
    """What each poll from `since` to `until`, both included, brought of which account, oldest first.

    Nothing where there is no file. Raises StorageError where it cannot be read.
    """
    span = settings, since.timestamp(), until.timestamp()
    nothing: list[tuple[float, str, str, float, float | None]] = []
    rows = read_only(path, lambda database: database.execute(_BETWEEN, span).fetchall(), nothing)
    for (at, account), samples in groupby(rows, itemgetter(0, 1)):
        windows = tuple(Window(key, used, _instant(end)) for _, _, key, used, end in samples)
        yield account, Usage(datetime.fromtimestamp(at, UTC), windows)


def _instant(timestamp: float | None) -> datetime | None:
    return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC)

"""The history: what was polled, in full for days and hourly for months, as rows of the state database.

A series is one window of one account of one settings file. Of what is older than `FULL_FOR` each hour keeps its last
sample, and its highest where the window was reset after it: no use is lost, and no peak.
"""

import math
import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final, NamedTuple

from monitor.core.model import Usage, Window
from monitor.core.profiles import Sample
from monitor.storage.db import DamagedError, damage, read_only

FULL_FOR: Final = timedelta(days=8)
KEPT: Final = timedelta(days=396)
HOUR_SECS: Final = 3600

_NEW_SERIES: Final = "INSERT OR IGNORE INTO series (settings, account, window) VALUES (?, ?, ?)"
_INSERT: Final = """
    INSERT OR IGNORE INTO samples SELECT id, :at, :used, :end FROM series
    WHERE settings = :settings AND account = :account AND window = :window
    AND (:at >= thinned_until OR NOT (
        EXISTS (SELECT 1 FROM samples WHERE series = id AND at >= :at AND at < :hour + 3600)
        AND EXISTS (SELECT 1 FROM samples WHERE series = id AND at >= :hour AND at < :hour + 3600
            AND utilization >= :used)))
"""
"""Inserts nothing into an hour that is thinned already, unless thinning would keep it."""

_DIFFERS: Final = """
    SELECT 1 FROM series JOIN samples ON series = id
    WHERE settings = :settings AND account = :account AND window = :window AND at = :at
    AND (abs(utilization - :used) > 1e-6 OR abs(coalesce(resets_at, 0) - coalesce(:end, 0)) > 1)
"""
_BETWEEN: Final = """
    SELECT at, account, window, utilization, resets_at FROM series JOIN samples ON series = id
    WHERE settings = ? AND at BETWEEN ? AND ? ORDER BY at, account, window
"""
_OF_ACCOUNT: Final = """
    SELECT window, at, utilization, resets_at FROM series JOIN samples ON series = id
    WHERE settings = ? AND account = ? AND at BETWEEN ? AND ? AND window = coalesce(?, window)
    ORDER BY window, at
"""
_THIN: Final = """
    DELETE FROM samples WHERE series = :series AND at >= :since AND at < :until
    AND at NOT IN (SELECT max(at) FROM samples WHERE series = :series
        AND at >= :since AND at < :until GROUP BY CAST(at / 3600 AS INTEGER))
    AND at NOT IN (SELECT at FROM (SELECT max(utilization), at FROM samples WHERE series = :series
        AND at >= :since AND at < :until GROUP BY CAST(at / 3600 AS INTEGER)))
"""


class StoredSample(NamedTuple):
    """One sample of one window of an account."""

    at: datetime
    account: str
    window: str
    utilization: float
    resets_at: datetime | None = None


def insert(database: sqlite3.Connection, settings: str, account: str, usage: Usage) -> None:
    """Write the samples of one poll of an account, except where there is one of the same time."""
    rows = (
        StoredSample(usage.at, account, w.key, w.utilization, w.resets_at) for w in usage.windows
    )
    insert_many(database, settings, rows)


def insert_many(
    database: sqlite3.Connection, settings: str, rows: Iterable[StoredSample]
) -> tuple[int, int]:
    """Write these samples, except where there is one of the same time.

    Returns how many were not there before, and to how many there is another of the same time.
    """
    new, others, known = 0, 0, set[tuple[str, str]]()
    for at, account, window, utilization, resets_at in rows:
        if (account, window) not in known:
            known.add((account, window))
            database.execute(_NEW_SERIES, (settings, account, window))
        values = {
            "settings": settings,
            "account": account,
            "window": window,
            "at": at.timestamp(),
            "hour": at.timestamp() // HOUR_SECS * HOUR_SECS,
            "used": utilization,
            "end": None if resets_at is None else resets_at.timestamp(),
        }
        if database.execute(_INSERT, values).rowcount:
            new += 1
        elif database.execute(_DIFFERS, values).fetchone():
            others += 1
    return new, others


def prune(database: sqlite3.Connection, settings: str, now: datetime) -> None:
    """Thin what is older than `FULL_FOR`, and drop what is older than `KEPT`."""
    until = (now - FULL_FOR).timestamp() // HOUR_SECS * HOUR_SECS
    found = database.execute(
        "SELECT id, thinned_until FROM series WHERE settings = ?", (settings,)
    ).fetchall()
    for series, since in found:
        span = {"series": series, "since": since, "until": until}
        oldest = (now - KEPT).timestamp()
        database.execute("DELETE FROM samples WHERE series = ? AND at < ?", (series, oldest))
        if until > since:
            database.execute(_THIN, span)
            database.execute("UPDATE series SET thinned_until = ? WHERE id = ?", (until, series))
        database.execute(
            "DELETE FROM series WHERE id = ? AND NOT EXISTS (SELECT 1 FROM samples WHERE series = id)",
            (series,),
        )


def thin_again(database: sqlite3.Connection, settings: str) -> None:
    """Have the next `prune` look at all samples: older ones than those before were imported."""
    database.execute("UPDATE series SET thinned_until = 0 WHERE settings = ?", (settings,))


def rename(database: sqlite3.Connection, settings: str, old: str, new: str) -> None:
    """Move the samples of the account to its new name; windows that this name already has stay as they are."""
    query = "UPDATE OR IGNORE series SET account = ? WHERE settings = ? AND account = ?"
    database.execute(query, (new, settings, old))


def forget(database: sqlite3.Connection, settings: str) -> None:
    """Drop all samples of this settings file."""
    database.execute(
        "DELETE FROM samples WHERE series IN (SELECT id FROM series WHERE settings = ?)",
        (settings,),
    )
    database.execute("DELETE FROM series WHERE settings = ?", (settings,))


def usages(path: Path, settings: str, since: datetime, until: datetime) -> list[tuple[str, Usage]]:
    """Return the account and the usage of each poll from `since` to `until`, both included, oldest first.

    Nothing where there is no file. Raises StorageError where it cannot be read.
    """
    span = settings, since.timestamp(), until.timestamp()

    def parse(database: sqlite3.Connection) -> list[tuple[str, Usage]]:
        found = []
        with damage():
            for (at, account), rows in groupby(database.execute(_BETWEEN, span), itemgetter(0, 1)):
                windows = []
                for _, _, key, used, end in rows:
                    _verify(account, key, used)
                    windows.append(Window(key, used, _instant(end)))
                found.append((account, Usage(datetime.fromtimestamp(at, UTC), tuple(windows))))
        return found

    return read_only(path, parse, [])


def windows(database: sqlite3.Connection, settings: str, accounts: Iterable[str]) -> set[str]:
    """Return the windows of which there are samples of these accounts."""
    query = "SELECT window FROM series WHERE settings = ? AND account = ?"
    return {key for name in accounts for (key,) in database.execute(query, (settings, name))}


def read(
    database: sqlite3.Connection,
    settings: str,
    account: str,
    since: datetime,
    until: datetime,
    window: str | None = None,
) -> dict[str, list[Sample]]:
    """Return the samples of each window (or of one) of one account from `since` to `until`, oldest first."""
    span = settings, account, since.timestamp(), until.timestamp(), window
    found: dict[str, list[Sample]] = {}
    resets_at: dict[float | None, datetime | None] = {}  # one object for all samples of a period
    with damage():
        for key, at, used, end in database.execute(_OF_ACCOUNT, span):
            _verify(account, key, used)
            if end not in resets_at:
                resets_at[end] = _instant(end)
            sample = Sample(datetime.fromtimestamp(at, UTC), used, resets_at[end])
            found.setdefault(key, []).append(sample)
    return found


def _verify(account: object, key: object, used: float) -> None:
    """Raise DamagedError, or within `damage` anything, of what nobody wrote: any column may contain any type."""
    if not (isinstance(account, str) and isinstance(key, str) and math.isfinite(used)):
        raise DamagedError("a sample is not as it was written")


def _instant(timestamp: float | None) -> datetime | None:
    return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC)

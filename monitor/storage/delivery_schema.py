"""The ledger's file: its tables, how it is opened, and what is said where it cannot be. Knows no alerts."""

import logging
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from monitor.core.errors import TrackerError
from monitor.storage.sqlite import SqliteFile
from monitor.storage.sqlite import opened_to_read as connected_to_read

VERSION: Final = 1
KEPT: Final = timedelta(days=60)
BUSY_SECS: Final = 2.0
"""How long another process may keep us waiting: its transactions take milliseconds."""

_SCHEMA: Final = (
    "CREATE TABLE memory (account TEXT PRIMARY KEY, document TEXT NOT NULL)",
    """CREATE TABLE alerts (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        document TEXT NOT NULL,
        decided_at REAL NOT NULL,
        ended_at REAL,
        note TEXT NOT NULL DEFAULT ''
    )""",
    "CREATE INDEX open_alerts ON alerts (id) WHERE ended_at IS NULL",
    "CREATE INDEX alerts_by_time ON alerts (decided_at)",
    """CREATE TABLE tellings (
        alert INTEGER NOT NULL REFERENCES alerts ON DELETE CASCADE,
        lane TEXT NOT NULL,
        stage TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        outcome TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (alert, lane)
    ) WITHOUT ROWID""",
    "CREATE TABLE uses (what TEXT PRIMARY KEY, at REAL NOT NULL)",
    f"PRAGMA user_version = {VERSION}",
)


class StorageError(TrackerError):
    """The ledger cannot be written or read; the text says why, and where it is."""


def failure(path: Path, error: Exception) -> StorageError:
    return StorageError(
        f"the alert ledger {path} cannot be used: {_why(error)}; alerts may be lost at a restart"
    )


def unread(path: Path, error: Exception) -> StorageError:
    return StorageError(f"the alert ledger {path} cannot be read: {_why(error)}")


def opened(path: Path, now: datetime, busy_secs: float = BUSY_SECS) -> sqlite3.Connection:
    """The ledger, to be written. One that is damaged is kept aside, and a new one made. Raises StorageError.

    That happens here alone, when a process begins: one that is found to be damaged later holds what was decided
    since, and says so at each write.
    """

    def make(database: sqlite3.Connection) -> None:
        _make(database, path)
        _clean(database, now)

    aside = path.with_name(f"{path.name}.corrupt-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}")
    file = SqliteFile(
        path, make, aside=aside, busy_secs=busy_secs, durable=True, level=logging.ERROR
    )
    try:
        return file.opened()
    except (OSError, sqlite3.Error) as error:
        raise failure(path, error) from None


def opened_to_read(path: Path) -> sqlite3.Connection | None:
    """The ledger as it is, None where there is none. Raises StorageError."""
    try:
        database = connected_to_read(path, BUSY_SECS)
        if database is not None and not _has_tables(database, path):
            database.close()
            return None
    except (OSError, sqlite3.Error) as error:
        raise unread(path, error) from None
    return database


def _make(database: sqlite3.Connection, path: Path) -> None:
    if not _has_tables(database, path):
        for statement in _SCHEMA:
            database.execute(statement)


def _has_tables(database: sqlite3.Connection, path: Path) -> bool:
    """Whether they are made already. Raises StorageError where another version has made others."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise failure(path, ValueError("a newer version of this program has made it"))
    return bool(version)


def _clean(database: sqlite3.Connection, now: datetime) -> None:
    """Forget what is long past. That this use is noted shows whether the file can be written at all."""
    long_ago = (now - KEPT).timestamp()
    database.execute("DELETE FROM alerts WHERE decided_at < ?", (long_ago,))
    database.execute("INSERT OR REPLACE INTO uses VALUES ('opened', ?)", (now.timestamp(),))


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)

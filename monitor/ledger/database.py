"""The ledger's file: opened, made, checked and moved aside where it is damaged. Knows tables, but no alerts."""

import contextlib
import logging
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from monitor.core.errors import TrackerError
from monitor.files import private_folder
from monitor.sqlite_files import check, is_damaged, move_aside

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

_log = logging.getLogger(__name__)


class LedgerError(TrackerError):
    """The ledger cannot be written or read; the text says why, and where it is."""


def failure(path: Path, error: Exception) -> LedgerError:
    why = error.strerror if isinstance(error, OSError) else str(error)
    return LedgerError(
        f"the alert ledger {path} cannot be used: {why}; alerts may be lost at a restart"
    )


def opened(path: Path, now: datetime, busy_secs: float = BUSY_SECS) -> sqlite3.Connection:
    """The ledger, to be written. One that is damaged is kept aside, and a new one made. Raises LedgerError."""
    try:
        private_folder(path.parent)
        try:
            return _prepared(path, now, busy_secs)
        except sqlite3.DatabaseError as error:
            if not is_damaged(error):
                raise
            _move_aside(path, now)
            return _prepared(path, now, busy_secs)
    except (OSError, sqlite3.Error) as error:
        raise failure(path, error) from None


def opened_to_read(path: Path) -> sqlite3.Connection | None:
    """The ledger as it is, None where there is none. Raises LedgerError."""
    if not path.exists():
        return None
    try:
        database = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECS
        )
    except sqlite3.Error as error:
        raise failure(path, error) from None
    return database


@contextlib.contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """One write transaction, from its first statement on: two processes decide one after the other."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:  # a full disk has ended it already
            database.execute("ROLLBACK")
        raise


def _prepared(path: Path, now: datetime, busy_secs: float) -> sqlite3.Connection:
    path.touch(mode=0o600)
    database = sqlite3.connect(path, isolation_level=None, timeout=busy_secs)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")  # a decision outlives a power cut as well
        database.execute("PRAGMA foreign_keys = ON")
        check(database)
        with transaction(database):
            _make(database, path)
            _clean(database, now)
    except BaseException:
        database.close()
        raise
    return database


def _make(database: sqlite3.Connection, path: Path) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise failure(path, ValueError("a newer version of this program has made it"))
    if version == 0:
        for statement in _SCHEMA:
            database.execute(statement)


def _clean(database: sqlite3.Connection, now: datetime) -> None:
    """Forget what is long past. That this use is noted shows whether the file can be written at all."""
    long_ago = (now - KEPT).timestamp()
    database.execute("DELETE FROM alerts WHERE decided_at < ?", (long_ago,))
    database.execute("INSERT OR REPLACE INTO uses VALUES ('opened', ?)", (now.timestamp(),))


def _move_aside(path: Path, now: datetime) -> None:
    aside = path.with_name(f"{path.name}.corrupt-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}")
    move_aside(path, aside)
    _log.error(
        "the alert ledger %s was damaged: it is kept as %s, and a new one begun", path, aside
    )

"""What is known of each account, for whoever polls next: one SQLite file, written before a request leaves.

It outlives the process, however that ends; a power cut may cost the last seconds. It is made to be lost: where it
cannot be written, that is one line in the log and nothing else. Alerts are the ledger's.
"""

import contextlib
import json
import logging
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

from monitor.core.model import AccountState
from monitor.core.snapshot import parse_account, render_account
from monitor.core.state import State
from monitor.files import private_folder
from monitor.sqlite_files import check, is_damaged, move_aside

RETRY_EVENTS: Final = 10
"""What failed is tried again at the latest after so many events, of which there is one a second."""

_LOCK_SECS: Final = 0.5

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS accounts (account TEXT PRIMARY KEY, document TEXT NOT NULL)
"""
_HAS_TABLE: Final = "SELECT 1 FROM sqlite_master WHERE name = 'accounts'"
_SELECT: Final = "SELECT account, document FROM accounts"
_SAVE: Final = "INSERT OR REPLACE INTO accounts VALUES (?, ?)"
_FORGET: Final = "DELETE FROM accounts WHERE account = ?"

_log = logging.getLogger(__name__)


class Snapshots:
    """The newest snapshot of each account in one file, which is made, private to the user, by the first save.

    One process writes; any number may `load` meanwhile. Calls take about a millisecond and are made from one thread.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database: sqlite3.Connection | None = None
        self._owed: dict[str, AccountState | None] = {}
        self._failed = False
        self._events_until_retry = 0

    def record(self, before: State, after: State) -> None:
        """Save the accounts that an event has changed, and forget those that it has removed.

        Those that another settings file names have their rows here too: their requests count all the same.
        """
        for name, account in after.accounts.items():
            if not _is_same(before.accounts.get(name), account):
                self._owed[name] = account
        for name in before.accounts.keys() - after.accounts.keys():
            self._owed[name] = None
        if not self._owed:
            return
        self._events_until_retry -= 1
        if self._events_until_retry <= 0:
            self._write()

    def save(self, name: str, account: AccountState) -> None:
        """Keep this as the newest of the account."""
        self._owed[name] = account
        self._write()

    def forget(self, name: str) -> None:
        """Keep nothing of the account."""
        self._owed[name] = None
        self._write()

    def load(self) -> dict[str, AccountState]:
        """What was saved last of each account; what cannot be read is left out. Writes nothing."""
        try:
            rows = self._rows() if self._path.exists() else []
        except (OSError, sqlite3.Error) as error:
            _log.warning("%s: what was known of the accounts cannot be read: %s", self._path, error)
            return {}
        return dict(_parse_rows(rows))

    def close(self) -> None:
        """Let go of the file; whatever is saved next opens it again."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _write(self) -> None:
        """Write all that is owed in one step. Where that cannot be, it is logged, once until it works again."""
        try:
            self._settle()
        except (OSError, ValueError, sqlite3.Error) as error:
            self._complain(error)
        else:
            self._owed.clear()
            self._failed = False
            self._events_until_retry = 0

    def _settle(self) -> None:
        try:
            self._transact(self._opened())
        except sqlite3.DatabaseError as error:
            if not is_damaged(error):
                raise
            self._let_go()
            _move_aside(self._path)
            self._transact(self._opened())

    def _transact(self, database: sqlite3.Connection) -> None:
        with database:
            for name, account in self._owed.items():
                if account is None:
                    database.execute(_FORGET, (name,))
                else:
                    database.execute(_SAVE, (name, _document(account)))

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            private_folder(self._path.parent)
            self._database = _prepared(self._path)
        return self._database

    def _let_go(self) -> None:
        try:
            self.close()
        except sqlite3.Error:
            self._database = None

    def _complain(self, error: Exception) -> None:
        """The next try has a fresh connection: the disk may have come back."""
        if not self._failed:
            _log.warning("%s: what is known of the accounts is not kept: %s", self._path, error)
        self._failed = True
        self._events_until_retry = RETRY_EVENTS
        self._let_go()

    def _rows(self) -> list[tuple[str, str]]:
        uri = f"{self._path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=_LOCK_SECS)) as database:
            if database.execute(_HAS_TABLE).fetchone() is None:
                return []
            return database.execute(_SELECT).fetchall()


def _is_same(before: AccountState | None, after: AccountState) -> bool:
    return before is after or (before is not None and _kept(before) == _kept(after))


def _kept(account: AccountState) -> AccountState:
    """The account without what is not written."""
    return replace(account, polling=False, alerts={}, conditions={})


def _document(account: AccountState) -> str:
    return json.dumps(render_account(_kept(account)), separators=(",", ":"))


def _parse_rows(rows: Iterable[tuple[str, str]]) -> Iterable[tuple[str, AccountState]]:
    for name, document in rows:
        with contextlib.suppress(ValueError, TypeError, KeyError):
            yield name, parse_account(json.loads(document))


def _prepared(path: Path) -> sqlite3.Connection:
    path.touch(mode=0o600)
    database = sqlite3.connect(path, timeout=_LOCK_SECS)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        check(database)
        database.execute(_SCHEMA)
    except sqlite3.Error:
        database.close()
        raise
    return database


def _move_aside(path: Path) -> None:
    """One damaged file is kept, for whoever wants to know: the newest."""
    aside = path.with_name(f"{path.name}.damaged")
    move_aside(path, aside)
    _log.warning("%s was damaged: it is kept as %s, and a new one begun", path, aside)

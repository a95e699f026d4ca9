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

from monitor.core.codec_v1 import parse_account, render_account
from monitor.core.model import AccountState
from monitor.core.state import State
from monitor.storage.sqlite import Retry, SqliteFile, opened_to_read

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS accounts (account TEXT PRIMARY KEY, document TEXT NOT NULL)
"""
_HAS_TABLE: Final = "SELECT 1 FROM sqlite_master WHERE name = 'accounts'"
_SELECT: Final = "SELECT account, document FROM accounts"
_SAVE: Final = "INSERT OR REPLACE INTO accounts VALUES (?, ?)"
_FORGET: Final = "DELETE FROM accounts WHERE account = ?"

_log = logging.getLogger(__name__)


class StateStore:
    """The newest snapshot of each account in one file, which is made, private to the user, by the first save.

    One process writes; any number may `load` meanwhile. Calls take about a millisecond and are made from one thread.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = SqliteFile(path, _make)
        self._owed: dict[str, AccountState | None] = {}
        self._retry = Retry()

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
        self._retry.count()
        if self._retry.is_due:
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
            rows = self._rows()
        except (OSError, sqlite3.Error) as error:
            _log.warning("%s: what was known of the accounts cannot be read: %s", self._path, error)
            return {}
        return dict(_parse_rows(rows))

    def close(self) -> None:
        """Let go of the file; whatever is saved next opens it again."""
        self._file.close()

    def _write(self) -> None:
        """Write all that is owed in one step. Where that cannot be, it is logged, once until it works again."""
        if self._file.keep(self._settle, "what is known of the accounts is not kept"):
            self._owed.clear()
            self._retry.worked()
        else:
            self._retry.failed()

    def _settle(self, database: sqlite3.Connection) -> None:
        for name, account in self._owed.items():
            if account is None:
                database.execute(_FORGET, (name,))
            else:
                database.execute(_SAVE, (name, _document(account)))

    def _rows(self) -> list[tuple[str, str]]:
        database = opened_to_read(self._path)
        if database is None:
            return []
        with closing(database):
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


def _make(database: sqlite3.Connection) -> None:
    database.execute(_SCHEMA)

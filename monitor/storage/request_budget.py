"""What all processes of the user have sent for each account within the hour, and whether one more may be sent.

A request is written down in the transaction that allows it, before it leaves: two processes never count on the same
room. Rows are kept by whose limits they are about, whatever the account is called, and outlive its removal.
"""

import logging
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from monitor.core.budget import BUDGET_SPAN, Sent, may_send
from monitor.core.model import AccountState
from monitor.storage.sqlite import SqliteFile, opened_to_read

AHEAD: Final = timedelta(seconds=5)
"""A request further ahead than this was written by another clock, and is no matter."""

LATEST: Final = timedelta(days=1)
"""The same of a back-off's end."""

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS requests (whose TEXT, at INTEGER, PRIMARY KEY (whose, at)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS backoffs (whose TEXT PRIMARY KEY, until INTEGER NOT NULL)",
)
_REQUESTS: Final = "SELECT at FROM requests WHERE whose IN (?, ?, ?) AND at BETWEEN ? AND ?"
_BACKOFF: Final = (
    "SELECT max(until) FROM backoffs WHERE whose IN (?, ?, ?) AND until BETWEEN ? AND ?"
)
_ADD: Final = "INSERT OR IGNORE INTO requests VALUES (?, ?)"
_DROP: Final = "DELETE FROM requests WHERE at NOT BETWEEN ? AND ?"
_BACK_OFF: Final = "INSERT OR REPLACE INTO backoffs VALUES (?, ?)"
_GO_ON: Final = "DELETE FROM backoffs WHERE whose IN (?, ?, ?)"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TICK: Final = timedelta(microseconds=1)

_log = logging.getLogger(__name__)


class RequestBudget:
    """One file for all settings files of a state folder. Calls take about a millisecond, from one thread.

    Where it cannot be written, a process that stays goes by what it has sent itself. One that does not stay
    (`is_brief`) sends nothing: nobody would ever know of its requests.
    """

    def __init__(self, path: Path, *, is_brief: bool = False) -> None:
        self._path = path
        self._file = SqliteFile(path, _make)
        self._is_brief = is_brief

    def take(self, account: AccountState, base: timedelta, now: datetime) -> Sent:
        """Whether one more request may be sent, which then counts; and all that were sent before."""
        taken: list[Sent] = []

        def work(database: sqlite3.Connection) -> None:
            taken.append(_taken(database, account, base, now))

        if self._file.keep(work, "requests are not counted"):
            return taken[-1]
        if self._is_brief:
            words = "%s: no request was sent, since it cannot be counted there: make it writable"
            _log.error(words, self._path)
            return Sent(account.requests, account.backoff_until, allowed=False)
        return may_send(Sent(account.requests, account.backoff_until), base, now)

    def note(self, account: AccountState) -> None:
        """Have the other processes respect the account's back-off, or its end."""

        def work(database: sqlite3.Connection) -> None:
            if account.backoff_until is not None:
                database.execute(_BACK_OFF, (_key(account), _ticks(account.backoff_until)))
            elif not account.failures_in_a_row:
                database.execute(_GO_ON, _keys(account))

        self._file.keep(work, "back-offs are not kept")

    def known(self, accounts: Mapping[str, AccountState], now: datetime) -> dict[str, Sent]:
        """What was sent for each of the accounts, as far as it can be read. Writes nothing."""
        try:
            database = opened_to_read(self._path)
            if database is None:
                return {}
            with closing(database):
                return {name: _sent(database, account, now) for name, account in accounts.items()}
        except (OSError, sqlite3.Error) as error:
            _log.debug("%s: cannot be read: %s", self._path, error)
            return {}

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        self._file.close()


def _make(database: sqlite3.Connection) -> None:
    for statement in _SCHEMA:
        database.execute(statement)


def _taken(
    database: sqlite3.Connection, account: AccountState, base: timedelta, now: datetime
) -> Sent:
    sent = _sent(database, account, now)
    is_taken = now in sent.requests  # by another process, within this very microsecond
    decided = sent if is_taken else may_send(sent, base, now)
    database.execute(_DROP, _span(now))
    if decided.allowed:
        counted = (*decided.requests, now)
        database.executemany(_ADD, [(_key(account), _ticks(at)) for at in counted])
    return decided


def _sent(database: sqlite3.Connection, account: AccountState, now: datetime) -> Sent:
    """What this process knows, and what the file does."""
    keys = _keys(account)
    rows = database.execute(_REQUESTS, (*keys, *_span(now))).fetchall()
    (until,) = database.execute(_BACKOFF, (*keys, _ticks(now), _ticks(now + LATEST))).fetchone()
    own = (at for at in account.requests if now - at <= BUDGET_SPAN)
    requests = {*own, *(_instant(at) for (at,) in rows)}
    backoffs = [account.backoff_until, None if until is None else _instant(until)]
    return Sent(tuple(sorted(requests)), max(filter(None, backoffs), default=None))


def _span(now: datetime) -> tuple[int, int]:
    return _ticks(now - BUDGET_SPAN), _ticks(now + AHEAD)


def _keys(account: AccountState) -> tuple[str, str, str]:
    """All under which its requests may have been counted, the best first: as more becomes known of it, that changes."""
    identity, organization = account.identity, account.org_id
    person = f"account {identity.account_uuid} {identity.org_uuid}" if identity else ""
    return (
        person,
        f"organization {organization}" if organization else "",
        f"name {account.account.name}",
    )


def _key(account: AccountState) -> str:
    return next(filter(None, _keys(account)))


def _ticks(at: datetime) -> int:
    return (at - _EPOCH) // _TICK


def _instant(ticks: int) -> datetime:
    return _EPOCH + ticks * _TICK

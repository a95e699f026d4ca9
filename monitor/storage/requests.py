"""The requests of all processes of the user for each account within the hour, and whether one more may be sent.

A request is written down in the transaction that allows it, before it leaves: two processes never count on the same
room. Rows are kept by whose limits they are about, whatever the account is called and whichever settings files name
it, and outlive its removal.
"""

import logging
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from monitor.core.model import Account, AccountState, Identity
from monitor.core.schedule import BUDGET_SPAN, SentRequests
from monitor.storage.db import StorageError

if TYPE_CHECKING:  # it imports this module
    from monitor.storage.recorder import Database

COUNT_SECS: Final = 0.5
"""So long a process that stays waits for the database, before it goes by what it has counted itself."""

BRIEF_COUNT_SECS: Final = 3.0
"""So long a brief process waits, which sends nothing where it cannot count."""

AHEAD: Final = timedelta(seconds=5)
"""A request that is further in the future was written by a wrong clock, and is ignored."""

LATEST: Final = timedelta(days=1)
"""A back-off that ends further in the future is ignored too."""

_REQUESTS: Final = "SELECT at FROM requests WHERE whose IN (?, ?, ?, ?) AND at BETWEEN ? AND ?"
_BACKOFF: Final = (
    "SELECT max(until) FROM backoffs WHERE whose IN (?, ?, ?, ?) AND until BETWEEN ? AND ?"
)
_ADD: Final = "INSERT OR IGNORE INTO requests VALUES (?, ?)"
_DROP: Final = "DELETE FROM requests WHERE at NOT BETWEEN ? AND ?"
_BACK_OFF: Final = "INSERT OR REPLACE INTO backoffs VALUES (?, ?)"
_GO_ON: Final = "DELETE FROM backoffs WHERE whose IN (?, ?, ?, ?)"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TICK: Final = timedelta(microseconds=1)

_log = logging.getLogger(__name__)


class RequestBudget:
    """The requests of all processes of the user, this one included.

    Where they cannot be counted, a process that stays goes by what it has sent itself, which it counts with its next
    request. One that does not stay (`is_brief`) sends nothing: nobody would ever know of its requests.
    """

    def __init__(self, database: "Database", *, is_brief: bool = False) -> None:
        self._database = database
        self._is_brief = is_brief
        self._is_told = False
        self._version: object = None
        """That of the database at the last look by `read_new`; the rest is of which accounts that was."""
        self._read: dict[str, tuple[Account, Identity | None]] = {}
        self._shared: set[str] = set()

    async def acquire(self, account: AccountState, base: timedelta, now: datetime) -> SentRequests:
        """Count one more request if it may be sent. Returns whether it may, and all requests that are known."""
        limit = BRIEF_COUNT_SECS if self._is_brief else COUNT_SECS
        try:
            return await self._database.write(
                lambda database: acquire(database, account, base, now), within=limit
            )
        except StorageError as error:
            own = SentRequests(account.requests, account.backoff_until)
            if self._is_brief:
                if not self._is_told:
                    _log.error("no request is sent, since none can be counted: %s", error)
                self._is_told = True
                return own
            _log.debug("requests are not counted: %s", error)
            return own.decide(base, now)

    async def read_new(
        self, accounts: Mapping[str, AccountState], now: datetime
    ) -> dict[str, SentRequests]:
        """Read what was sent for the accounts of which another program may have written since the last time, or which
        share their requests with another account. Nothing where that takes too long.
        """
        whose = {name: (account.account, account.identity) for name, account in accounts.items()}
        shared = self._shared if whose == self._read else _written_by_another(accounts)

        def read(database: sqlite3.Connection) -> tuple[object, dict[str, SentRequests]]:
            version = database, *database.execute("PRAGMA data_version").fetchone()
            known = self._read if version == self._version else {}
            new = {
                name: account
                for name, account in accounts.items()
                if known.get(name) != whose[name] or name in shared
            }
            return version, {name: read_sent(database, a, now) for name, a in new.items()}

        try:
            self._version, found = await self._database.read(read, within=COUNT_SECS)
        except StorageError as error:
            _log.debug("%s", error)
            return {}
        self._read, self._shared = whose, shared
        return found


def acquire(
    database: sqlite3.Connection, account: AccountState, base: timedelta, now: datetime
) -> SentRequests:
    """Count one more request if it may be sent, in a transaction that writes."""
    known = read_sent(database, account, now)
    is_taken = now in known.requests  # by another process, within this very microsecond
    decided = known if is_taken else known.decide(base, now)
    database.execute(_DROP, _span(now))
    if decided.allowed:
        counted = (*decided.requests, now)
        database.executemany(
            _ADD, [(key, _ticks(at)) for at in counted for key in _keys_to_write(account)]
        )
    return decided


def read_sent(database: sqlite3.Connection, account: AccountState, now: datetime) -> SentRequests:
    """Return what this process and the database together know of the account's requests."""
    keys = _keys(account)
    rows = database.execute(_REQUESTS, (*keys, *_span(now))).fetchall()
    (until,) = database.execute(_BACKOFF, (*keys, _ticks(now), _ticks(now + LATEST))).fetchone()
    own = (at for at in account.requests if now - at <= BUDGET_SPAN)
    requests = {*own, *(_instant(at) for (at,) in rows)}
    backoffs = [account.backoff_until, None if until is None else _instant(until)]
    return SentRequests(tuple(sorted(requests)), max(filter(None, backoffs), default=None))


def put_backoff(database: sqlite3.Connection, account: AccountState) -> None:
    """Write the account's back-off for all processes, or delete it once a poll has succeeded."""
    if account.backoff_until is not None:
        until = _ticks(account.backoff_until)
        database.executemany(_BACK_OFF, [(key, until) for key in _keys_to_write(account)])
    elif not account.failures_in_a_row:
        database.execute(_GO_ON, _keys(account))


def _span(now: datetime) -> tuple[int, int]:
    return _ticks(now - BUDGET_SPAN), _ticks(now + AHEAD)


def _keys(account: AccountState) -> tuple[str, str, str, str]:
    """Return the keys under which its requests may have been counted, the best first: the more is known, the better."""
    identity, organization = account.identity, account.org_id
    return (
        f"account {identity.account_uuid} {identity.org_uuid}" if identity else "",
        f"organization {organization}" if organization else "",
        f"name {account.account.name} of {organization}" if organization else "",
        f"name {account.account.name}",
    )


def _keys_to_write(account: AccountState) -> set[str]:
    """Return the best key, and that of a process which has yet to learn whose the account is."""
    keys = _keys(account)
    return {next(filter(None, keys)), *filter(None, [keys[2]])}


def _written_by_another(accounts: Mapping[str, AccountState]) -> set[str]:
    """Name the accounts with a key that another one writes: two of one login, or one not yet told from the other."""
    writers: dict[str, set[str]] = {}
    for name, account in accounts.items():
        for key in _keys_to_write(account):
            writers.setdefault(key, set()).add(name)
    return {
        name
        for name, account in accounts.items()
        if any(writers.get(key, {name}) != {name} for key in _keys(account))
    }


def _ticks(at: datetime) -> int:
    return (at - _EPOCH) // _TICK


def _instant(ticks: int) -> datetime:
    return _EPOCH + ticks * _TICK

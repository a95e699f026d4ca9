"""Rows of what is known now: account states, alert memories, facts of accounts, the mute, the clock's error.

One JSON document each, with a checksum: a single bit that has changed is found.
"""

import json
import logging
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from monitor.core.alerts.rules import Condition, WindowMemory
from monitor.core.codec import decode, encode
from monitor.core.format import clock
from monitor.core.model import AccountState
from monitor.core.state import LoggedAlert
from monitor.storage import deliveries
from monitor.storage.db import StorageError, damage, read_only, render_row, verify
from monitor.system.clock import SystemClock

if TYPE_CHECKING:  # it brings asyncio, which a command that reads saved figures does without
    from monitor.storage.recorder import Database

ACCOUNT: Final = "account"
MEMORY: Final = "memory"
FACTS: Final = "facts"
MUTE: Final = "mute"
CLOCK: Final = "clock"
IMPORTED: Final = "imported"
"""The kinds of rows. Mute and clock are those of all settings files: they stand under the ordinary one's id."""

FLEET: Final = ""
"""The name of the row of all accounts together."""

_SELECT: Final = "SELECT name, document, checksum FROM cache WHERE settings = ? AND kind = ?"
_PUT: Final = "INSERT OR REPLACE INTO cache VALUES (?, ?, ?, ?, ?)"
_DELETE: Final = "DELETE FROM cache WHERE settings = ? AND kind = ? AND name = ?"

KEY_MUTES_FOR: Final = timedelta(hours=1)

MUTE_SECS: Final = 2.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AlertMemory:
    """The alert machine's memory of one account, or of all: a row of its own, since not every program writes it.

    `org_id` says whose limits these are: the same name may later stand for another organization.
    """

    windows: Mapping[str, WindowMemory] = field(default_factory=dict)
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    org_id: str = ""

    @staticmethod
    def of(account: AccountState) -> "AlertMemory":
        return AlertMemory(account.alerts, account.conditions, account.account.org_id)


_TYPES: Final = {ACCOUNT: AccountState, MEMORY: AlertMemory, CLOCK: timedelta}
"""The others are JSON values already."""


@dataclass(frozen=True, slots=True)
class Cached:
    """All rows of one settings file: account states, facts of accounts, alerts.

    `conditions` are the lasting conditions of all accounts together, `clock_offset` is as in `State`.
    """

    accounts: Mapping[str, AccountState] = field(default_factory=dict)
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    log: tuple[LoggedAlert, ...] = ()
    clock_offset: timedelta = timedelta(0)


def load(database: sqlite3.Connection, settings: str) -> Cached:
    """Read all rows of the settings file. Raises DamagedError."""
    with damage():
        accounts = {
            n: _decode_account(document) for n, document in _rows(database, settings, ACCOUNT)
        }
        memories = {n: decode(AlertMemory, d) for n, d in _rows(database, settings, MEMORY)}
        fleet = memories.pop(FLEET, AlertMemory())
        for name, memory in memories.items():
            account = accounts.get(name)
            if account is not None and account.account.has_limits_of(memory.org_id):
                accounts[name] = replace(
                    account, alerts=memory.windows, conditions=memory.conditions
                )
        facts = dict(_rows(database, settings, FACTS))
        log = deliveries.newest(database, settings)
        offset = _clock_offset(database)
        return Cached(accounts, fleet.conditions, facts, log, offset)


def _decode_account(document: Any) -> AccountState:
    """Decode an account; version 0.1.0 has written under `health` whether, and why, its polls fail."""
    health = document.get("health") if isinstance(document, dict) else None
    if isinstance(health, dict) and health.get("type") == "Down":
        document = {**document, "down": health}
    return decode(AccountState, document)


def read(path: Path, settings: str) -> Cached:
    """Read all rows without writing. Returns nothing, and logs why, where that is not possible."""
    try:
        return read_only(path, lambda database: load(database, settings), Cached())
    except StorageError as error:
        _log.warning("%s", error)
        return Cached()


def put(database: sqlite3.Connection, settings: str, kind: str, name: str, value: Any) -> None:
    """Write the row; `value` is of the type of its kind, and None deletes the row."""
    if value is None:
        database.execute(_DELETE, (settings, kind, name))
        return
    if kind == ACCOUNT:
        value = storable(value)
    row = render_row(encode(_TYPES.get(kind, Any), value), settings, kind, name)
    database.execute(_PUT, (settings, kind, name, *row))


def storable(account: AccountState) -> AccountState:
    """Return the account without what its row leaves out: what other rows have, and a program's private arguments.

    A folder whose name is no text is left out too: it is found again.
    """
    folder = account.config_dir
    if folder is not None and folder.encode(errors="ignore").decode() != folder:
        folder = None
    return replace(
        account,
        account=replace(account.account, token_command=()),
        config_dir=folder,
        polling=False,
        alerts={},
        conditions={},
    )


def muted_until(database: sqlite3.Connection) -> datetime | None:
    """Return when the newest mute ends, which may be over; None where there is none. Raises DamagedError."""
    with damage():
        text = dict(_rows(database, "", MUTE)).get("")
        return None if text is None else datetime.fromisoformat(text)


def put_mute(database: sqlite3.Connection, until: datetime | None) -> None:
    """Write the end of the mute; None ends it now."""
    put(database, "", MUTE, "", None if until is None else until.isoformat())


def true_now(path: Path) -> datetime:
    """Return the time of the machine's clock, corrected by what the last program that polled has found."""
    try:
        return SystemClock().now() + read_only(path, _clock_offset, timedelta(0))
    except StorageError:  # whoever reads the rows next says so
        return SystemClock().now()


def _clock_offset(database: sqlite3.Connection) -> timedelta:
    with damage():
        return decode(timedelta, dict(_rows(database, "", CLOCK)).get("", 0))


def last_import(database: sqlite3.Connection, settings: str) -> str:
    """Return a text that differs after each import of older samples of an account. Raises DamagedError."""
    with damage():
        return str(dict(_rows(database, settings, IMPORTED)).get("", ""))


def put_import(database: sqlite3.Connection, settings: str, source: str) -> None:
    """Note that older samples were imported, each time from another `source`; delete forecasts without them."""
    put(database, settings, IMPORTED, "", source)
    with damage():
        for name, document in _rows(database, settings, ACCOUNT):
            put(
                database, settings, ACCOUNT, name, replace(_decode_account(document), forecast=None)
            )


def _rows(database: sqlite3.Connection, settings: str, kind: str) -> Iterator[tuple[str, Any]]:
    for name, text, checksum in database.execute(_SELECT, (settings, kind)).fetchall():
        yield name, json.loads(verify(text, checksum, settings, kind, name))


# The mute


class Mute:
    """The time until which the user wants no alerts: one row, which every process reads and writes."""

    def __init__(self, database: "Database") -> None:
        self._database = database
        self._until: datetime | None = None

    async def muted_until(self, now: datetime) -> datetime | None:
        """Return the end of the mute that holds now, else None. While the row cannot be read, the last one holds."""
        with suppress(StorageError):  # which the recorder reports
            self._until = await self._database.read(muted_until, within=MUTE_SECS)
        return current_mute(self._until, now)

    async def set(self, until: datetime | None) -> None:
        """Mute until then; None ends it. Raises StorageError."""
        await self._database.write(lambda database: put_mute(database, until), within=MUTE_SECS)
        self._until = until

    async def toggle(self, now: datetime) -> datetime | None:
        """Mute for an hour, or end the mute that holds. Returns the new end, or None. Raises StorageError."""
        until = None if await self.muted_until(now) is not None else now + KEY_MUTES_FOR
        await self.set(until)
        return until


def current_mute(until: datetime | None, now: datetime) -> datetime | None:
    """Return the end of the mute if it holds now, else None."""
    return until if until is not None and now < until else None


def mute_words(until: datetime | None, now: datetime, zone: tzinfo | None = None) -> str:
    """Say which mute holds now, with a clock time in `zone`; None is the machine's own."""
    if until is None:
        return "alerts are not muted"
    return f"alerts are muted until {clock(until, now, zone)}"

"""Rows of what is known now and can be had again at a price: account states, alert memories, facts of accounts, the
mute, what the clock lacks.

Rows of the state database, one JSON document each, with a checksum: a single bit that has changed is found.
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
"""Under this name stands what is remembered of all accounts together."""

_SELECT: Final = "SELECT name, document, checksum FROM cache WHERE settings = ? AND kind = ?"
_PUT: Final = "INSERT OR REPLACE INTO cache VALUES (?, ?, ?, ?, ?)"
_DELETE: Final = "DELETE FROM cache WHERE settings = ? AND kind = ? AND name = ?"

KEY_MUTES_FOR: Final = timedelta(hours=1)

MUTE_SECS: Final = 2.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AlertMemory:
    """The memory of the alert machine of one account, or of all: in a row of its own, for not every program keeps it.

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
    """All that an earlier process has left of one settings file: account states, facts of accounts, alerts.

    `conditions` are the lasting conditions of all accounts together, `clock_offset` is as in `State`.
    """

    accounts: Mapping[str, AccountState] = field(default_factory=dict)
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    log: tuple[LoggedAlert, ...] = ()
    clock_offset: timedelta = timedelta(0)


def load(database: sqlite3.Connection, settings: str) -> Cached:
    """All that is kept. Raises DamagedError."""
    with damage():
        accounts = {n: _account(document) for n, document in _rows(database, settings, ACCOUNT)}
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


def _account(document: Any) -> AccountState:
    """The account of a row; version 0.1.0 has kept under `health` if, and why, its polls fail."""
    health = document.get("health") if isinstance(document, dict) else None
    if isinstance(health, dict) and health.get("type") == "Down":
        document = {**document, "down": health}
    return decode(AccountState, document)


def read(path: Path, settings: str) -> Cached:
    """All that is kept, for who does not write; nothing, with a log line, where it cannot be read."""
    try:
        return read_only(path, lambda database: load(database, settings), Cached())
    except StorageError as error:
        _log.warning("%s", error)
        return Cached()


def put(database: sqlite3.Connection, settings: str, kind: str, name: str, value: Any) -> None:
    """Keep the value, of the type of its kind, in the place of the one before; None deletes it."""
    if value is None:
        database.execute(_DELETE, (settings, kind, name))
        return
    if kind == ACCOUNT:
        value = storable(value)
    row = render_row(encode(_TYPES.get(kind, Any), value), settings, kind, name)
    database.execute(_PUT, (settings, kind, name, *row))


def storable(account: AccountState) -> AccountState:
    """The account without what is not kept with it, such as the argv of its token's program, which may be private.

    Nor is a folder whose name is no text: it is found again.
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
    """When the newest mute ends, be it past or to come; None where there is none. Raises DamagedError."""
    with damage():
        text = dict(_rows(database, "", MUTE)).get("")
        return None if text is None else datetime.fromisoformat(text)


def put_mute(database: sqlite3.Connection, until: datetime | None) -> None:
    """Keep this as the end of the mute; None ends it."""
    put(database, "", MUTE, "", None if until is None else until.isoformat())


def true_now(path: Path) -> datetime:
    """Tell the time by the machine's clock, set right as the last program that polled has found it to be."""
    try:
        return SystemClock().now() + read_only(path, _clock_offset, timedelta(0))
    except StorageError:  # which those say who go on to read
        return SystemClock().now()


def _clock_offset(database: sqlite3.Connection) -> timedelta:
    with damage():
        return decode(timedelta, dict(_rows(database, "", CLOCK)).get("", 0))


def last_import(database: sqlite3.Connection, settings: str) -> str:
    """A text that is another one each time that an account has got older samples. Raises DamagedError."""
    with damage():
        return str(dict(_rows(database, settings, IMPORTED)).get("", ""))


def put_import(database: sqlite3.Connection, settings: str, source: str) -> None:
    """Let programs know that accounts have got older samples, each time from another source.

    Forecasts that were computed without them are forgotten.
    """
    put(database, settings, IMPORTED, "", source)
    with damage():
        for name, document in _rows(database, settings, ACCOUNT):
            put(database, settings, ACCOUNT, name, replace(_account(document), forecast=None))


def _rows(database: sqlite3.Connection, settings: str, kind: str) -> Iterator[tuple[str, Any]]:
    for name, text, checksum in database.execute(_SELECT, (settings, kind)).fetchall():
        yield name, json.loads(verify(text, checksum, settings, kind, name))


# The mute


class Mute:
    """Until when the user wants no alerts. Every process reads and writes the row of it; it is over once its
    instant has passed.
    """

    def __init__(self, database: "Database") -> None:
        self._database = database
        self._until: datetime | None = None

    async def muted_until(self, now: datetime) -> datetime | None:
        """When the mute ends that holds now; None where none does. What was read last holds while nothing can be."""
        with suppress(StorageError):  # which the recorder reports
            self._until = await self._database.read(muted_until, within=MUTE_SECS)
        return holding_mute(self._until, now)

    async def set(self, until: datetime | None) -> None:
        """Mute until then; None ends it. Raises StorageError."""
        await self._database.write(lambda database: put_mute(database, until), within=MUTE_SECS)
        self._until = until

    async def toggle(self, now: datetime) -> datetime | None:
        """Mute for an hour, or end the mute that holds; returns until when it holds now. Raises StorageError."""
        until = None if await self.muted_until(now) is not None else now + KEY_MUTES_FOR
        await self.set(until)
        return until


def holding_mute(until: datetime | None, now: datetime) -> datetime | None:
    """The end of the mute where it holds now."""
    return until if until is not None and now < until else None


def mute_words(until: datetime | None, now: datetime, zone: tzinfo | None = None) -> str:
    """Say which mute holds now, with a clock time in `zone`; None is the machine's own."""
    if until is None:
        return "alerts are not muted"
    return f"alerts are muted until {clock(until, now, zone)}"

"""Executes commands, wherever they come from."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from exporters.template import parse_format
from monitor.app.app import App
from monitor.app.queries import lines_of
from monitor.core import events
from monitor.core.commands import (
    AddAccount,
    Command,
    EditAccount,
    ImportLogins,
    Ingest,
    Refresh,
    Reload,
    RemoveAccount,
    SendTest,
    ToggleMute,
    UseAccount,
)
from monitor.core.errors import TrackerError, describe
from monitor.core.format import clock, duration
from monitor.core.model import AccountState
from monitor.notify.channel import NOTIFICATIONS_OFF
from monitor.storage.cache import mute_words
from monitor.system.aio import Daemon

REFRESH_SECS: Final = 30.0
"""Limit of the wait for the polls of a refresh, which have limits of their own."""

MINUTE: Final = timedelta(minutes=1)


async def execute(app: App, command: Command) -> str:
    """Carry the command out on this program; the answer is text for the user. Raises TrackerError."""
    match command:
        case Refresh(account):
            return await _refresh(app, account)
        case ToggleMute():
            now = app.clock.now()
            until = await app.persistence.mute.toggle(now)
            app.store.dispatch(events.Muted(now, until))
            return mute_words(until, now) if until else "alerts are on again"
        case ImportLogins():
            return await _import(app, command)
        case AddAccount():
            return await app.credentials.accounts.add(command)
        case EditAccount():
            return await app.credentials.accounts.edit(command)
        case RemoveAccount(name):
            return await app.credentials.accounts.remove(name)
        case UseAccount(name):
            return await app.credentials.accounts.use(name)
        case Ingest(document, config_dir, form):
            parsed = parse_format("{name}" if form is None else form)
            name = await app.credentials.local_usage.ingest(document or {}, config_dir)
            return lines_of(app.store.state, app.clock.now(), parsed, name).rstrip("\n")
        case SendTest():
            outcomes = await app.test_channels()
            lines = [f"{outcome.channel}: {outcome.detail}" for outcome in outcomes]
            if not outcomes:
                raise TrackerError(NOTIFICATIONS_OFF)
            if all(outcome.failure for outcome in outcomes):
                raise TrackerError(
                    f"every channel failed: {'; '.join(lines)}: run `monitor doctor`"
                )
            return "\n".join(lines)
        case Reload():
            raise TrackerError("no running monitor to reload")


async def _refresh(app: App, account: str | None) -> str:
    """Poll now, as far as server and budget allow, and report: `17 refreshed, 3 wait until 14:05`."""
    now, before = app.clock.now(), app.store.state.accounts
    names = [name for name in before if account in (None, name)]
    if account is not None and not names:
        raise TrackerError(f"there is no account {account!r}: see `monitor accounts list`")
    if not app.store.state.policy.polls:
        raise TrackerError("nothing is polled: the settings have api.enabled = false")
    app.store.dispatch(events.RefreshRequested(now, account))

    def is_due(name: str) -> bool:
        found = app.store.state.accounts.get(name)
        return found is not None and (found.polling or found.next_poll_at <= now)

    due = [name for name in names if is_due(name)]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(REFRESH_SECS):
            while any(map(is_due, due)):
                await app.store.wait_for_change()
    after = app.store.state.accounts
    pairs = [(before[name], after[name]) for name in names if name in after]
    return refresh_words(pairs, app.clock.now(), account)


def refresh_words(
    pairs: Sequence[tuple[AccountState, AccountState]], now: datetime, account: str | None = None
) -> str:
    """Sum up a refresh by the accounts before and after it; `account` is set where only one was meant."""
    done = [new for old, new in pairs if new.last_success_at != old.last_success_at]
    failed = [new for old, new in pairs if new.failures_in_a_row > old.failures_in_a_row]
    waits = [new.next_poll_at for _, new in pairs if new not in done and new not in failed]
    left = max(waits, default=now) - now
    wait = f"until {clock(now + left, now)}" if left >= MINUTE else duration(left)
    if account is not None:
        down = [new.down.failure for new in failed if new.down is not None]
        if down:
            return f"{account}: {describe(down[0]) or down[0].reason}"
        return f"{account}: next refresh in {duration(left)}" if waits else f"{account} refreshed"
    parts = [f"{len(done)} refreshed"] if done else []
    parts += [f"{len(failed)} failed"] if failed else []
    parts += [f"{len(waits)} wait{'s' * (len(waits) == 1)} {wait}"] if waits else []
    return ", ".join(parts) or "no account to refresh"


async def _import(app: App, command: ImportLogins) -> str:
    """Import all logins that are found, or that of a folder; a line for each place."""
    credentials, folder = app.credentials, command.folder
    if folder is None:
        places = await credentials.watcher.find_places()
    else:
        places = [await Daemon(partial(credentials.login_at, folder)).future]
    imports = await credentials.accounts.import_all(places)
    if command.brief:
        return imports.or_raise().words
    if folder is not None:
        imports.or_raise()
    failures = [failure.words for failure in imports.failed]
    if not imports.imported:
        raise TrackerError("; ".join(["nothing was imported", *failures]))
    return "\n".join([*(one.words for one in imports.imported), *failures])

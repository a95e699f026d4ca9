"""Executes commands in the process that polls; a key, the command line and the socket bring the same values."""

from collections.abc import Awaitable, Callable

from exporters.template import parse_format
from monitor.app.app import App
from monitor.app.queries import lines_of
from monitor.core.commands import (
    AddAccount,
    Command,
    EditAccount,
    ImportLogins,
    Ingest,
    Refresh,
    Reload,
    RemoveAccount,
    ToggleMute,
    UseAccount,
)
from monitor.core.errors import TrackerError
from monitor.core.events import Muted, RefreshRequested
from monitor.storage.mute import mute_words

Execute = Callable[[Command], Awaitable[str]]
"""Carries a command out, here or in the leader, and answers with text for the user. Raises TrackerError."""


async def execute(app: App, command: Command) -> str:
    """Carry the command out on this program; as `Execute` has it."""
    match command:
        case Refresh(account):
            return _refresh(app, account)
        case ToggleMute():
            now = app.clock.now()
            until = await app.mute.toggle(now)
            app.store.dispatch(Muted(now, until))
            return mute_words(until, now)
        case ImportLogins(None, brief=True):
            return (await app.book.import_all(await app.logins())).or_raise().words
        case ImportLogins(folder):
            return await _import(app, folder)
        case AddAccount():
            return await app.book.add(command)
        case EditAccount():
            return await app.book.edit(command)
        case RemoveAccount(name):
            return await app.book.remove(name)
        case UseAccount(name):
            return await app.book.use(name)
        case Ingest(document, config_dir, form):
            parsed = parse_format("{name}" if form is None else form)
            name = await app.figures.ingest(document or {}, config_dir)
            return lines_of(app.state(), app.clock.now(), parsed, name).rstrip("\n")
        case Reload():
            raise TrackerError("there is no running monitor that could read its settings anew")


def _refresh(app: App, account: str | None) -> str:
    """Ask for new figures; the answer says where the server, or the budget of the hour, makes us wait instead."""
    now = app.clock.now()
    app.store.dispatch(RefreshRequested(now, account))
    asked = [a for name, a in app.state().accounts.items() if account in (None, name)]
    if account is not None and not asked:
        raise TrackerError(f"there is no account {account!r}: see `monitor accounts list`")
    waiting = [a for a in asked if a.next_poll_at > now]
    whom = "all accounts" if account is None else account
    if waiting and len(waiting) == len(asked):
        soonest = min(a.next_poll_at for a in waiting) - now
        return f"{whom}: next request in {int(soonest.total_seconds()) + 1}s"
    return f"refreshing {whom}"


async def _import(app: App, folder: str | None) -> str:
    """Import all logins that are found, or that of a folder; a line for each place."""
    if folder is None:
        imports = await app.book.import_all(await app.logins())
    else:
        imports = (await app.book.import_all([app.login_at(folder)])).or_raise()
    failures = [failure.words for failure in imports.failed]
    if not imports.imported:
        raise TrackerError("; ".join(["nothing was imported", *failures]))
    return "\n".join([*(one.words for one in imports.imported), *failures])

"""`monitor accounts`: what the keys `i a e d s` do, for scripts. Secrets come from a prompt or standard input."""

import asyncio
import getpass
import sys
from argparse import Namespace
from collections.abc import Awaitable, Callable
from typing import Final

from monitor.app import App, real
from monitor.commands.opening import settings_of
from monitor.core.errors import TrackerError
from monitor.core.model import Account, Secret

Verb = Callable[[App, Namespace], Awaitable[None]]


def accounts(arguments: Namespace) -> int:
    """Run one verb; without one, list the accounts."""
    verb = arguments.verb or "list"
    if verb == "list":
        settings = settings_of(arguments)
        _print_accounts(settings.accounts, settings.active_account)
        return 0
    return asyncio.run(_run(_VERBS[verb], arguments))


async def _run(verb: Verb, arguments: Namespace) -> int:
    async with real(settings_of(arguments)) as app:
        await verb(app, arguments)
    return 0


def _print_accounts(listed: tuple[Account, ...], active: int) -> None:
    if not listed:
        print("no accounts yet: log in with Claude Code, then run `monitor accounts import`")
    for place, account in enumerate(listed):
        mark = "*" if place == active else " "
        label = f"  ({account.label})" if account.label else ""
        print(f"{mark} {account.name}  {account.auth_method}  {account.org_id or '-'}{label}")


async def _import(app: App, arguments: Namespace) -> None:
    folder = arguments.config_dir
    sources = [app.login_at(folder)] if folder else app.logins()[:1]
    for imported in await app.book.import_from(sources):
        print(f"{imported.name}: {'imported' if imported.is_new else 'token renewed'}")


async def _add(app: App, arguments: Namespace) -> None:
    key = _asked_secret("session key (the cookie `sessionKey` of claude.ai): ")
    print(await app.book.add(arguments.name, key, arguments.org_id))


async def _edit(app: App, arguments: Namespace) -> None:
    account = app.book.account(arguments.account)
    key = _asked_secret("new session key: ") if arguments.session_key else None
    new_name = arguments.name if arguments.name is not None else account.name
    org_id = arguments.org_id if arguments.org_id is not None else account.org_id
    print(await app.book.edit(account.name, new_name, key, org_id))


async def _remove(app: App, arguments: Namespace) -> None:
    account = app.book.account(arguments.account)
    if not arguments.yes and not _confirmed(f"remove {account.name} and its key? [y/N] "):
        raise TrackerError("nothing was removed")
    print(await app.book.remove(account.name))


async def _use(app: App, arguments: Namespace) -> None:
    print(await app.book.use(arguments.account))


def _asked_secret(question: str) -> Secret:
    """A secret from a prompt that shows nothing, or one line of standard input."""
    if sys.stdin.isatty():
        return Secret(getpass.getpass(question).strip())
    return Secret(sys.stdin.readline().strip())


def _confirmed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise TrackerError("this asks a question, and there is nobody to answer: pass --yes")
    return input(question).strip().lower() in ("y", "yes")


_VERBS: Final[dict[str, Verb]] = {
    "import": _import,
    "add": _add,
    "edit": _edit,
    "remove": _remove,
    "use": _use,
}

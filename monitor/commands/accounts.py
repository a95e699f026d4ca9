"""`monitor accounts`: what the keys `i a e d s` do, for scripts. Secrets come from a prompt or standard input."""

import asyncio
import getpass
import os
import sys
from argparse import Namespace
from collections.abc import Awaitable, Callable
from typing import Final

from monitor.accounts.importing import Imports
from monitor.accounts.learnt import Facts, Learnt
from monitor.app import App, real
from monitor.commands.opening import settings_of
from monitor.core.errors import TrackerError
from monitor.core.model import Account, Secret
from monitor.files import JsonFile
from monitor.settings import Settings, state_folder
from monitor.sources.cswap import listed

Verb = Callable[[App, Namespace], Awaitable[None]]


def accounts(arguments: Namespace) -> int:
    """Run one verb; without one, list the accounts."""
    verb = arguments.verb or "list"
    if verb == "list":
        settings = settings_of(arguments)
        learnt = Learnt(JsonFile(state_folder(os.environ) / "accounts.json"))
        _print_accounts(settings, learnt)
        return 0
    return asyncio.run(_run(_VERBS[verb], arguments))


async def _run(verb: Verb, arguments: Namespace) -> int:
    async with real(settings_of(arguments)) as app:
        await verb(app, arguments)
    return 0


def _print_accounts(settings: Settings, learnt: Learnt) -> None:
    if not settings.accounts:
        print("no accounts yet: log in with Claude Code, then run `monitor accounts import --all`")
    for place, account in enumerate(settings.accounts):
        mark = "*" if place == settings.active_account else " "
        label = f"  ({account.label})" if account.label else ""
        org_id, storage = account.org_id or "-", account.storage or settings.storage or "automatic"
        folders = _folders(account, learnt[account.name])
        print(f"{mark} {account.name}  {account.auth_method}  {org_id}  {storage}{folders}{label}")


def _folders(account: Account, facts: Facts) -> str:
    """Where Claude Code has the account's login now, else where the settings say so."""
    said = (account.config_dir,) if account.config_dir is not None else ()
    return "".join(f"  {folder or '~/.claude'}" for folder in facts.folders or said)


async def _import(app: App, arguments: Namespace) -> None:
    if arguments.from_cswap:
        await _import_known(app)
    if arguments.all:
        _print_imports(await app.book.import_all(await app.logins()))
    elif arguments.config_dir:
        _print_imports((await app.book.import_all([app.login_at(arguments.config_dir)])).or_raise())
    elif not arguments.from_cswap:
        current = (await app.logins())[:1]
        _print_imports((await app.book.import_all(current)).or_raise())


async def _import_known(app: App) -> None:
    """Accounts without tokens; those whose login is on this machine have one as soon as it is looked for."""
    for name in await app.book.add_known(await listed()):
        print(f"{name}: added, without a token")
    await app.watcher.look()


def _print_imports(imports: Imports) -> None:
    for imported in imports.imported:
        print(imported.words)
    for failure in imports.failed:
        print(failure.words)
    if not imports.imported:
        raise TrackerError("nothing was imported")


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

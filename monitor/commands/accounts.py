"""`monitor accounts`: what the keys `i a e d s` do, for scripts. Secrets come from a prompt or standard input."""

import asyncio
import getpass
import json
import os
import sys
from argparse import Namespace
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from monitor.app.cached_state import read_cached
from monitor.app.execute import execute
from monitor.app.leadership import COMMAND_SECS
from monitor.app.wiring import build
from monitor.commands.queries import settings_of
from monitor.core.alerts.rules import Override, parse_share, parse_silent, parse_thresholds
from monitor.core.commands import (
    AddAccount,
    Command,
    EditAccount,
    ImportLogins,
    Reload,
    RemoveAccount,
    UseAccount,
    Who,
    encode_request,
)
from monitor.core.errors import SettingsError, TrackerError
from monitor.core.format import iso
from monitor.core.model import Account, Secret
from monitor.core.ranking import find_account
from monitor.core.sanitize import clean
from monitor.credentials.account_cache import AccountCache, CachedAccount
from monitor.credentials.claude_code import ClaudeCode
from monitor.credentials.folders import DEFAULT, absolute, natural_key
from monitor.credentials.programs import list_swap_accounts
from monitor.fast_path import socket_of
from monitor.ipc.client import ask, order
from monitor.settings import Settings
from monitor.terminal.text import pad, width

SHORT_ID: Final = 12
"""The table cuts a longer id of an organization; `--json` has all of it."""

Verb = Callable[[Namespace], Command]
"""Makes the command of a verb, and prompts for what is missing."""


def accounts(arguments: Namespace) -> int:
    """Run one verb; without one, list the accounts."""
    verb = arguments.verb or "list"
    if verb == "list":
        _list(arguments)
        return 0
    if verb == "import" and arguments.from_cswap:
        asyncio.run(_import_known(arguments))
        with suppress(TrackerError):  # the import has succeeded, whether or not one answers
            order(socket_of(arguments), encode_request(Reload()), COMMAND_SECS)
        if not arguments.all and not arguments.config_dir:
            return 0
    # It prompts outside of the event loop, which would swallow a first Ctrl-C.
    command = _VERBS[verb](arguments)
    # The running monitor executes it, so that it knows at once; this process does where none runs.
    socket, answer = socket_of(arguments), None
    if ask(socket, encode_request(Who())) is not None:  # a stopped one fails here, within 2 s
        answer = order(socket, encode_request(command), COMMAND_SECS)
    print(asyncio.run(_execute(command, arguments)) if answer is None else answer)
    return 0


async def _execute(command: Command, arguments: Namespace) -> str:
    async with build(settings_of(arguments)) as app:
        return await execute(app, command)


def _list(arguments: Namespace) -> None:
    settings = settings_of(arguments)
    cache = AccountCache(read_cached(settings).facts)
    if arguments.json:
        print(json.dumps({"accounts": _documents(settings, cache)}, indent=2))
        return
    if not settings.accounts:
        print("no accounts yet: log in with Claude Code, then run `monitor accounts import --all`")
        return
    print("\n".join(_table(_documents(settings, cache))))


def _documents(settings: Settings, cache: AccountCache) -> list[dict[str, Any]]:
    """Return the rows of `--json`; `login_expires_at` is when Claude Code's own login ends, if known."""
    return [
        {
            "name": account.name,
            "label": account.label,
            "active": place == settings.active_account,
            "auth_method": str(account.auth_method),
            "org_id": account.org_id or None,
            "storage": account.storage or settings.storage or "automatic",
            "folders": _folders(account, cache[account.name]),
            "login_expires_at": (at := cache[account.name].login_expires_at) and iso(at),
        }
        for place, account in enumerate(settings.accounts)
    ]


def _table(documents: list[dict[str, Any]]) -> list[str]:
    """Return a header and a line for each account, without the columns that are empty."""
    home = os.environ.get("HOME", "").rstrip("/")
    rows = [("#", "Name", "Label", "Auth", "Organization", "Token", "Folders", "Login ends")]
    for number, one in enumerate(documents, 1):
        folders = [
            f"~{folder.removeprefix(home)}" if home and folder.startswith(f"{home}/") else folder
            for folder in one["folders"]
        ]
        organization = one["org_id"] or ""
        rows.append(
            (
                f"{number}{' *' if one['active'] else ''}",
                clean(one["name"]),
                clean(one["label"] or ""),
                one["auth_method"].replace("_", " "),
                organization if len(organization) <= SHORT_ID else f"{organization[:8]}…",
                one["storage"],
                ", ".join(map(clean, folders)),
                (one["login_expires_at"] or "").partition("T")[0],
            )
        )
    columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
    cells = [max(map(width, column)) for column in columns]
    return ["  ".join(map(pad, row, cells)).rstrip() for row in zip(*columns, strict=True)]


def _folders(account: Account, facts: CachedAccount) -> list[str]:
    """Return the folders in which Claude Code has the account's login, else the one that the settings name."""
    named = (account.config_dir,) if account.config_dir is not None else ()
    return sorted((folder or DEFAULT for folder in facts.folders or named), key=natural_key)


def _import(arguments: Namespace) -> Command:
    if arguments.all:
        return ImportLogins()
    if arguments.config_dir:
        return ImportLogins(absolute(arguments.config_dir))
    # The folder of this shell's environment, which may differ from the monitor's.
    return ImportLogins(ClaudeCode().folder or "")


async def _import_known(arguments: Namespace) -> None:
    """Add claude-swap's accounts, without tokens, and then find those whose login is on this machine."""
    async with build(settings_of(arguments)) as app:
        added = await app.credentials.accounts.add_known(await list_swap_accounts())
        for name in added:
            print(f"{name}: added, without a token")
        if not added:
            print("nothing new: all of claude-swap's accounts are already added")
        await app.credentials.watcher.look()


def _add(arguments: Namespace) -> Command:
    key = _prompt_secret("session key (the cookie `sessionKey` of claude.ai): ")
    return AddAccount(arguments.name, key, arguments.org_id)


def _edit(arguments: Namespace) -> Command:
    settings = settings_of(arguments)
    account = find_account(arguments.account, settings.accounts)
    thresholds, silent = arguments.thresholds, arguments.silent
    changes = (arguments.name, arguments.org_id, arguments.label, arguments.reserve)
    if all(change is None for change in (*changes, thresholds, silent)) and not (
        arguments.session_key
    ):
        raise SettingsError("nothing to change: see `monitor accounts edit --help`")
    override = settings.overrides.get(account.name, Override())
    try:
        if thresholds is not None:
            override = replace(override, thresholds=parse_thresholds(thresholds))
        if silent is not None:
            override = replace(override, silent=parse_silent(silent))
        reserve = None if arguments.reserve is None else parse_share(arguments.reserve or "0")
    except ValueError as error:
        raise SettingsError(str(error)) from None
    return EditAccount(
        account.name,
        arguments.name if arguments.name is not None else account.name,
        arguments.org_id if arguments.org_id is not None else account.org_id,
        _prompt_secret("new session key: ") if arguments.session_key else None,
        arguments.label,
        override,
        reserve,
    )


def _remove(arguments: Namespace) -> Command:
    account = _account(arguments)
    if not arguments.yes and not _confirm(f"remove {account.name} and its key? [y/N] "):
        raise TrackerError("nothing was removed")
    return RemoveAccount(account.name)


def _account(arguments: Namespace) -> Account:
    """Return the account that the argument names. Raises SettingsError where there is none."""
    return find_account(arguments.account, settings_of(arguments).accounts)


def _prompt_secret(question: str) -> Secret:
    """Read a secret from a prompt without echo, or a line of standard input; empty at its end."""
    if sys.stdin.isatty():
        with suppress(EOFError):
            return Secret(getpass.getpass(question).strip())
        return Secret("")
    try:
        return Secret(sys.stdin.readline().strip())
    except OSError as error:
        raise TrackerError(f"standard input: {error.strerror}") from None


def _confirm(question: str) -> bool:
    if not sys.stdin.isatty():
        raise TrackerError("not a terminal: pass --yes to confirm")
    with suppress(EOFError):
        return input(question).strip().lower() in ("y", "yes")
    return False


_VERBS: Final[dict[str, Verb]] = {
    "import": _import,
    "add": _add,
    "edit": _edit,
    "remove": _remove,
    "use": lambda arguments: UseAccount(_account(arguments).name),
}

"""Reads the state that the last running monitor has saved, and finds the login that Claude Code would use now.

For commands while no monitor runs. Light on purpose, for a prompt waits for it: it asks nobody and writes nothing.
Where a running monitor would ask the API whose a new token is, the answer here is "not known".
"""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from exporters.template import parse_format, render_line
from monitor.core.errors import CredentialError, NotLoggedInError, SettingsError, TrackerError
from monitor.core.events import AccountsLoaded, Restored
from monitor.core.limits import parse_rate_limits
from monitor.core.model import Account, AccountState, AuthMethod
from monitor.core.state import State
from monitor.core.update import update
from monitor.credentials.account_cache import AccountCache
from monitor.credentials.folders import home
from monitor.credentials.tokens import parse_login
from monitor.paths import config_path, instance_key
from monitor.settings import Settings, load, policy_of, state_db
from monitor.storage import cache as cache_rows
from monitor.storage.cache import Cached
from monitor.system.files import read_regular

NOBODY: Final = ""
"""Stands for an account's name where nobody knows whose the folder is."""

FOLDER_VARIABLES: Final = ("CLAUDE_SECURESTORAGE_CONFIG_DIR", "CLAUDE_CONFIG_DIR")
"""The variables that lead Claude Code to another login, the stronger one first; empty, they mean the default place."""


def read_cached(settings: Settings) -> Cached:
    """Read what the last monitor with these settings has saved."""
    return cache_rows.read(state_db(os.environ), instance_key(os.environ, settings.path))


def restore_state(settings: Settings, known: Mapping[str, AccountState], at: datetime) -> State:
    """Make the state of the settings' accounts from what was known of them, as a monitor that starts does."""
    state, _ = update(State(policy=policy_of(settings)), Restored(at, known))
    state, _ = update(state, AccountsLoaded(at, settings.accounts, settings.active_account))
    return state


# The line of Claude Code's status line


def line_of_input(
    document: Mapping[str, Any], folder: str | None, form: str, config: str | None, at: datetime
) -> tuple[str, str]:
    """Render the figures that Claude Code gives its status line in this folder (None is `~/.claude`), with a newline.

    The second text is what is wrong with the figures. Of the saved state only the owner of the folder is used: its
    figures may be old. Raises SettingsError for a format that cannot be used.
    """
    parsed = parse_format(form)
    usage, complaint = None, ""
    try:
        usage = parse_rate_limits(document, at)
    except TrackerError as error:
        complaint = str(error)
    state, facts = State(active=-1), Cached().facts
    with suppress(SettingsError):  # what is wrong with them is said by other commands
        settings = load(Path(config_path(os.environ, config)))
        known = read_cached(settings)
        state, facts = restore_state(settings, known.accounts, at), known.facts
    name = _account_in(folder or "", state, AccountCache(facts))
    account = state.accounts.get(name) or AccountState(Account(NOBODY), at, state.policy.interval)
    last = None if usage is None else at
    account = replace(account, usage=usage, down=None, last_success_at=last, forecast=None)
    accounts = {**state.accounts, name: account}
    return f"{render_line(parsed, replace(state, accounts=accounts), name, at)}\n", complaint


def _account_in(folder: str, state: State, cache: AccountCache) -> str:
    """Name the account whose login was last seen in the folder, else the one that the settings give it to."""
    place = _real_folder(folder, os.environ)
    seen = {name: cache[name].folders for name in state.accounts}
    named = {name: (one.account.config_dir,) for name, one in state.accounts.items()}
    for known in (seen, named):
        for name, folders in known.items():
            if place in [_real_folder(each, os.environ) for each in folders if each is not None]:
                return name
    return NOBODY


# The login in use


class CurrentLogin(NamedTuple):
    """The account that Claude Code would use now; None where it is none of ours, or is not `known`."""

    account: str | None = None
    known: bool = True


NOT_KNOWN: Final = CurrentLogin(known=False)


def find_login(
    state: State,
    cache: AccountCache,
    now: datetime,
    environ: Mapping[str, str] = os.environ,
    platform: str = sys.platform,
) -> CurrentLogin:
    """Find the account of the login in use. On macOS the Keychain would have to be asked, so it is not known there."""
    if platform == "darwin":
        return NOT_KNOWN
    # Claude Code takes a ~ in its environment for a name.
    spelling = next((environ[name] for name in FOLDER_VARIABLES if name in environ), "")
    folder = os.path.realpath(spelling) if spelling else _real_folder("", environ)
    path = Path(folder) / ".credentials.json"
    try:
        login = parse_login(read_regular(path).decode(errors="replace"), str(path))
    except (NotLoggedInError, FileNotFoundError):
        return CurrentLogin()
    except (CredentialError, OSError):
        return NOT_KNOWN
    accounts = state.accounts.items()
    names = [name for name, one in accounts if one.account.auth_method is AuthMethod.OAUTH]
    secret = login.credential.secret
    owners = cache.accounts_with(secret)
    owner = next((name for name in names if name in owners), None)
    if owner is None and cache.profile_of(secret) is None:
        if not login.credential.is_dead(now):
            return NOT_KNOWN
        # Nobody can be asked about it any more: it belongs to the account that uses this folder.
        places = {name: [_real_folder(f, environ) for f in cache[name].folders] for name in names}
        owner = min((name for name in names if folder in places[name]), default=None)
    return CurrentLogin(owner)


def _real_folder(folder: str, environ: Mapping[str, str]) -> str:
    """Resolve a folder of Claude Code, however it is spelled; "" is the default one."""
    return os.path.realpath(os.path.expanduser(folder or f"{home(environ)}/.claude"))  # noqa: PTH111 - never raises

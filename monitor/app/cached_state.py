"""The state when somebody polled last, and the login that Claude Code would use now: for commands while nobody polls.

Light on purpose, for a prompt waits for it; it asks nobody and writes nothing. A process that stays follows logins, and
may ask the API whose a new token is: where a command would have to ask, it does not know.
"""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from exporters.template import parse_format, render_line
from monitor.core.errors import (
    CredentialError,
    NotLoggedInError,
    SettingsError,
    TrackerError,
)
from monitor.core.events import AccountsLoaded, Restored
from monitor.core.limits import parse_rate_limits
from monitor.core.model import (
    Account,
    AccountState,
    AuthMethod,
)
from monitor.core.state import Policy, State
from monitor.core.update import update
from monitor.credentials.account_cache import AccountCache
from monitor.credentials.tokens import parse_login
from monitor.paths import config_path, instance_key
from monitor.settings import Settings, load, state_db
from monitor.storage import cache as cache_rows
from monitor.storage.cache import Cached
from monitor.system.files import read_regular

NOBODY: Final = ""
"""Instead of an account's name: nobody knows whose the folder is."""

FOLDER_VARIABLES: Final = ("CLAUDE_SECURESTORAGE_CONFIG_DIR", "CLAUDE_CONFIG_DIR")
"""The variables that lead Claude Code to another login, the stronger one first; empty, they mean the default place."""


def cached(settings: Settings) -> Cached:
    """Read what the last program that polled by these settings has left."""
    return cache_rows.read(state_db(os.environ), instance_key(os.environ, settings.path))


def saved_state(settings: Settings, known: Mapping[str, AccountState], at: datetime) -> State:
    """Make the state of the settings' accounts from what was known of them, as a program that starts does."""
    policy = Policy(
        timedelta(seconds=settings.poll_interval_secs),
        polls=settings.api.enabled,
        keeps_history=settings.history.enabled,
    )
    state, _ = update(State(policy=policy), Restored(at, known))
    state, _ = update(state, AccountsLoaded(at, settings.accounts, settings.active_account))
    return state


# The line of Claude Code's status line


def line_of_input(
    document: Mapping[str, Any], folder: str | None, form: str, config: str | None, at: datetime
) -> tuple[str, str]:
    """Render what Claude Code tells its status line in this folder (None is `~/.claude`), with a newline.

    The second text is what is wrong with the figures. The saved state says whose folder that is, and gives no
    figures: they may be old. Raises SettingsError for a format that is none.
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
        known = cached(settings)
        state, facts = saved_state(settings, known.accounts, at), known.facts
    name = _account_in(folder or "", state, AccountCache(facts))
    account = state.accounts.get(name) or AccountState(Account(NOBODY), at, state.policy.interval)
    last = None if usage is None else at
    account = replace(account, usage=usage, down=None, last_success_at=last, forecast=None)
    accounts = {**state.accounts, name: account}
    return f"{render_line(parsed, replace(state, accounts=accounts), name, at)}\n", complaint


def _account_in(folder: str, state: State, cache: AccountCache) -> str:
    """Return the account that was seen to live there, else the one that the settings say lives there."""
    place = _real_folder(folder, os.environ)
    seen = {name: cache[name].folders for name in state.accounts}
    named = {name: (one.account.config_dir,) for name, one in state.accounts.items()}
    for known in (seen, named):
        for name, folders in known.items():
            if place in [_real_folder(each, os.environ) for each in folders if each is not None]:
                return name
    return NOBODY


# The login in use


class LoggedIn(NamedTuple):
    """The account, None where the login is of none of ours; where it is not `known`, that says nothing."""

    account: str | None = None
    known: bool = True


NOT_KNOWN: Final = LoggedIn(known=False)


def logged_in(
    state: State,
    cache: AccountCache,
    now: datetime,
    environ: Mapping[str, str] = os.environ,
    platform: str = sys.platform,
) -> LoggedIn:
    """Say which of the accounts it is. On macOS the Keychain would have to be asked, so it is not known there."""
    if platform == "darwin":
        return NOT_KNOWN
    # Claude Code takes a ~ in its environment for a name.
    spelling = next((environ[name] for name in FOLDER_VARIABLES if name in environ), "")
    folder = os.path.realpath(spelling) if spelling else _real_folder("", environ)
    path = Path(folder) / ".credentials.json"
    try:
        login = parse_login(read_regular(path).decode(errors="replace"), str(path))
    except (NotLoggedInError, FileNotFoundError):
        return LoggedIn()
    except (CredentialError, OSError):
        return NOT_KNOWN
    accounts = state.accounts.items()
    names = [name for name, one in accounts if one.account.auth_method is AuthMethod.OAUTH]
    secret = login.credential.secret
    owner = cache.owner_of(secret, names)
    if owner is None and cache.profile_of(secret) is None:
        if not login.credential.is_dead(now):
            return NOT_KNOWN
        # Nobody can be asked about it any more: it is of whoever lives there.
        places = {name: [_real_folder(f, environ) for f in cache[name].folders] for name in names}
        owner = min((name for name in names if folder in places[name]), default=None)
    return LoggedIn(owner)


def _real_folder(folder: str, environ: Mapping[str, str]) -> str:
    """Resolve a folder of Claude Code, however it is spelled; "" is the default one."""
    home = environ.get("HOME") or "~"
    return os.path.realpath(os.path.expanduser(folder or f"{home}/.claude"))  # noqa: PTH111 - never raises

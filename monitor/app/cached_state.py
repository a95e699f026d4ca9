"""What was known of the accounts when somebody polled last, for who asks while nobody polls. Writes nothing.

Light on purpose: a prompt waits for it.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from exporters.template import parse_format, render_line
from monitor.core.errors import SettingsError
from monitor.core.events import AccountsLoaded, Restored
from monitor.core.model import Account, AccountState, Unpolled, Up, Usage
from monitor.core.policy import Policy
from monitor.core.restore import unasked
from monitor.core.state import State
from monitor.core.update import update
from monitor.credentials.account_cache import AccountCache
from monitor.credentials.status_line import parse_rate_limits
from monitor.settings import Settings, config_path, load, settings_id, state_db
from monitor.storage import cache
from monitor.storage.cache import Cached, FactsDocument

NOBODY: Final = ""
"""As an account's name: that of a folder of which nobody knows whose it is."""


def cached(settings: Settings) -> Cached:
    """What the last program that polled by these settings has left."""
    return cache.read(state_db(os.environ), settings_id(os.environ, settings.path))


def saved_state(settings: Settings, known: Mapping[str, AccountState], at: datetime) -> State:
    """The settings' accounts with what was known of them, as a program that starts takes it up."""
    policy = Policy(timedelta(seconds=settings.poll_interval_secs))
    restored = Restored(at, known if settings.api.enabled else unasked(known))
    loaded = AccountsLoaded(at, settings.accounts, settings.active_account)
    state, _ = update(State(policy=policy), restored)
    state, _ = update(state, loaded)
    return state


def line_of_input(
    said: Mapping[str, Any], folder: str | None, form: str, config: str | None, at: datetime
) -> str:
    """The line of what Claude Code tells its status line in this folder (None is `~/.claude`), with its newline.

    Of the saved state it has whose folder that is, and no figures: they may be old. Raises TrackerError.
    """
    parsed = parse_format(form)
    usage = parse_rate_limits(said, at)
    state, facts = State(active=-1), Cached().facts
    with suppress(SettingsError):  # what is wrong with them is told by other commands
        settings = load(config_path(os.environ, config))
        known = cached(settings)
        state, facts = saved_state(settings, known.accounts, at), known.facts
    name = _owner(state, AccountCache(FactsDocument(facts)), folder) or NOBODY
    account = state.accounts.get(name) or AccountState(Account(NOBODY), at, state.policy.interval)
    accounts = {**state.accounts, name: _with_usage(account, usage, at)}
    return f"{render_line(parsed, replace(state, accounts=accounts), name, at)}\n"


def _with_usage(account: AccountState, usage: Usage | None, at: datetime) -> AccountState:
    """The account with this usage, and with no other."""
    if usage is None:
        return replace(account, usage=None, health=Unpolled(), last_success_at=None)
    return replace(account, usage=usage, health=Up(at), last_success_at=at)


def _owner(state: State, learnt: AccountCache, folder: str | None) -> str | None:
    """The account that was seen to live there, else the one that the settings say lives there."""
    lives = {name: learnt[name].folders for name in state.accounts}
    said = {name: (one.account.config_dir,) for name, one in state.accounts.items()}
    place = _place(folder or "")
    return next((name for known in (lives, said) for name in _at(place, known)), None)


def _at(place: str, known: Mapping[str, tuple[str | None, ...]]) -> Iterator[str]:
    for name, folders in known.items():
        if place in [_place(folder) for folder in folders if folder is not None]:
            yield name


def _place(folder: str) -> str:
    """The folder however it is spelled; "" is the default one."""
    return os.path.realpath(os.path.expanduser(folder or "~/.claude"))  # noqa: PTH111 - a Path may raise

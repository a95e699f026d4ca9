"""Answers scripts and agents that ask, before they go on, if an account is still below a percentage. Pure."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from difflib import get_close_matches
from enum import IntEnum
from typing import Final

from monitor.core.errors import SettingsError
from monitor.core.forecast import fits
from monitor.core.limits import is_window_key
from monitor.core.model import EXTRA, FIVE_HOURS, SEVEN_DAYS, Account, AccountState
from monitor.core.planning import USUAL_COST
from monitor.core.state import State

SHORTEST_TASK: Final = timedelta(minutes=15)
MOST_NAMED: Final = 3
"""So many accounts does an error name that may be meant."""


class Verdict(IntEnum):
    """The exit codes of the public interface."""

    BELOW = 0
    REACHED = 4
    UNKNOWN = 5


def guarded(
    state: State,
    now: datetime,
    account: str | None = None,
    window: str | None = None,
    most: float = 1.0,
) -> Verdict:
    """Judge if the account's window is at `most` (a ratio) or above, or locked.

    Without an account it is the current one, without a window the fuller one of 5h and 7d, or the money of one that
    has neither. A window that should have been reset by now counts as empty. Raises SettingsError for an account or a
    window that cannot be.
    """
    known_keys = {w.key for a in state.accounts.values() if a.usage for w in a.usage.windows}
    if window is not None and window not in known_keys and not is_window_key(window):
        raise SettingsError(f"no such window: {window!r}: it is 5h, 7d, or 7d_ and a model's name")
    asked = current_account(state) if account is None else named_account(state, account)
    if asked is None or not asked.values_are_fresh(now, state.policy.interval):
        return Verdict.UNKNOWN
    keys: tuple[str, ...] = (FIVE_HOURS, SEVEN_DAYS) if window is None else (window,)
    if window is None and not any(asked.window(key, now) for key in keys):
        keys = (EXTRA,)
    verdict = Verdict.UNKNOWN
    for key in keys:
        found = asked.window(key, now)
        if found is None or (math.isnan(found.utilization) and found.locked_reason is None):
            continue
        if found.locked_reason is not None or round(found.utilization - most, 6) >= 0:
            return Verdict.REACHED
        verdict = Verdict.BELOW
    return verdict


def fitting(
    state: State,
    now: datetime,
    account: str | None,
    window: str | None,
    need: float,
    confidence: float,
) -> Verdict:
    """Judge if a task of `need` points of a 5-hour window fits before any limit, or that of one window.

    `confidence` (0 to 1) is the probability with which it has to, beside what the account is used for anyway. Raises
    SettingsError as `guarded` does.
    """
    plain = guarded(state, now, account, window)
    asked = current_account(state) if account is None else named_account(state, account)
    if plain is not Verdict.BELOW or asked is None:
        return plain
    expected = asked.forecast
    cost = expected.week_cost.ratio if expected and expected.week_cost else USUAL_COST
    forecasts, is_known = [], True
    for key in (FIVE_HOURS, SEVEN_DAYS) if window is None else (window,):
        found = asked.window(key, now)
        if found is None:
            continue
        points = need if key.startswith(FIVE_HOURS) else need * cost
        if (1 - found.utilization) * 100 < points:
            return Verdict.REACHED
        forecast = asked.forecast_of(key, now)
        if forecast is not None and forecast.distribution is not None:
            forecasts.append((forecast.distribution, points))
        elif found.resets_at is not None:
            is_known = False
    pace = expected.points_per_hour if expected else None
    lasting = max(timedelta(hours=need / pace), SHORTEST_TASK) if pace else SHORTEST_TASK
    if forecasts and fits(forecasts, lasting) < confidence:
        return Verdict.REACHED
    return Verdict.BELOW if is_known else Verdict.UNKNOWN


def current_account(state: State) -> AccountState | None:
    """The account that Claude Code would use now, else the one that is marked as active."""
    return state.accounts.get(state.logged_in or state.active_account or "")


def named_account(state: State, name: str) -> AccountState:
    """Finds the account of the state that `find_account` finds. Raises SettingsError."""
    accounts = [account.account for account in state.accounts.values()]
    return state.accounts[find_account(name, accounts).name]


def find_account(name: str, accounts: Sequence[Account]) -> Account:
    """Finds the account that a user means by its name, its label, its number in the settings (from 1 on) or how one
    of the names or labels begins; the first of these that fits decides. Raises SettingsError for none or several.
    """
    begun = name.casefold()
    found = (
        [account for account in accounts if account.name == name]
        or [account for account in accounts if account.label == name]
        or [account for number, account in enumerate(accounts, 1) if str(number) == name]
        or [
            account
            for account in accounts
            if begun and any(known.casefold().startswith(begun) for known in _names_of(account))
        ]
    )
    if len(found) == 1:
        return found[0]
    if found:
        shown = [repr(account.name) for account in found[:MOST_NAMED]]
        more = len(found) - len(shown)
        listed = " or ".join([*shown, f"{more} more"] if more else shown)
        raise SettingsError(f"{name!r} may be {listed}: name one of them")
    near = get_close_matches(name, [known for a in accounts for known in _names_of(a)], n=1)
    instead = f"did you mean {near[0]!r}?" if near else "see `monitor accounts list`"
    raise SettingsError(f"there is no account {name!r}: {instead}")


def _names_of(account: Account) -> list[str]:
    return [account.name, account.label] if account.label else [account.name]

"""Ranks the accounts to use now: by what is known of them, and how urgent each one's week is; with reasons in words.

First comes the account under the highest pressure (see `planning`): the one whose week expires first for what is left
of it. The one in use is kept unless another's is a good deal higher. Another one with little left comes behind the
others, one that is full last. Per-model weeks are hints, unless the question is about a model. Scripts and agents ask
whether there is room in one account before they go on. Pure.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from enum import IntEnum
from typing import Final

from monitor.core import format
from monitor.core.errors import Reason, SettingsError
from monitor.core.forecast import fits
from monitor.core.limits import is_window_key
from monitor.core.model import EXTRA, FIVE_HOURS, SEVEN_DAYS, Account, AccountState, Window
from monitor.core.planning import (
    FREE,
    USUAL_COST,
    AccountLimits,
    Limit,
    preference,
    urgency,
    why,
)
from monitor.core.sanitize import clean
from monitor.core.state import State

APPLICABLE: Final = (FIVE_HOURS, SEVEN_DAYS)
"""The windows that stop all work of an account."""

MINUTE: Final = timedelta(minutes=1)

NO_END: Final = datetime.max.replace(tzinfo=UTC)
"""Later than any reset."""


class Confidence(IntEnum):
    """Grades what is known of an account's room, the best first."""

    KNOWN = 0
    OLD = 1
    LOGIN_NEEDED = 2
    UNKNOWN = 3
    FULL = 4


@dataclass(frozen=True, slots=True)
class Candidate:
    """One account as a place to work. `room` is a ratio, and None where nothing is known of it.

    `window` is the fuller one; `free_at` is when a full account is open again, where that is known. `urgency` is its
    pressure (see `planning`). `reasons` are its own: doubts and hints.
    """

    account: str
    confidence: Confidence
    room: float | None = None
    window: Window | None = None
    free_at: datetime | None = None
    logged_in: bool = False
    in_use: bool = False
    reasons: tuple[str, ...] = ()
    urgency: float = 0.0

    @property
    def is_full(self) -> bool:
        """Full, rather than left with its reserve alone."""
        return self.window is not None and _stops(self.window)

    @property
    def percent_left(self) -> int:
        """Its room as the table has it: what the percentage that is shown there leaves of 100."""
        return math.ceil(round(min(self.room or 0.0, 1.0) * 100, 6))

    @property
    def lapses_at(self) -> datetime:
        """The reset at which its room lapses unused; to the minute, since answers differ a little about one end."""
        resets_at = self.window.resets_at if self.window else None
        if resets_at is None or resets_at >= NO_END - MINUTE:
            return NO_END
        return (resets_at + MINUTE / 2).replace(second=0, microsecond=0)


def candidate_of(
    state: State,
    account: AccountState,
    now: datetime,
    limits: AccountLimits | None = None,
    model: str | None = None,
) -> Candidate:
    """Judge one account at `now`; `limits` are its own, where it can be used."""
    name = account.account.name
    windows = applicable(account, now, model)
    fullest = max(windows, key=lambda window: window.utilization, default=None)
    candidate = Candidate(
        account=name,
        confidence=Confidence.UNKNOWN,
        room=None if fullest is None else max(1 - fullest.utilization, 0.0),
        window=fullest,
        logged_in=name == state.logged_in,
    )
    if blocking := [window for window in windows if _stops(window)]:
        # Free again when the last of its full windows is, if each of them says when that is.
        last = max(blocking, key=lambda window: window.resets_at or NO_END)
        return replace(
            candidate,
            confidence=Confidence.FULL,
            room=0.0,
            window=last,
            free_at=last.resets_at,
            reasons=(" and ".join(f"its {w.key} is {_fullness(w)}" for w in blocking),),
        )
    if limits is not None:
        week = limits.week_for(model)
        limits = limits.at(now)
        candidate = replace(candidate, urgency=urgency(limits, now, model))
        if week.left < FREE:
            reserve = format.exact_percent(limits.reserve)
            is_kept = replace(limits, reserve=0.0).week_for(model).left >= FREE
            lack = f"only its reserve of {reserve} is left" if is_kept else "its week is used up"
            return replace(
                candidate,
                confidence=Confidence.FULL,
                room=0.0,
                free_at=week.resets_at,
                reasons=(lack,),
            )
    confidence, doubts = _confidence(state, account, now, known=fullest is not None)
    return replace(
        candidate, confidence=confidence, reasons=(*doubts, *_hints(account, windows, now))
    )


def applicable(account: AccountState, now: datetime, model: str | None = None) -> list[Window]:
    """List the known windows that stop all work, or work with the model, when they are full."""
    keys = (*APPLICABLE, f"{SEVEN_DAYS}_{model}") if model else APPLICABLE
    return [w for w in account.windows(now) if w.key in keys and not math.isnan(w.utilization)]


def _stops(window: Window) -> bool:
    return window.locked_reason is not None or round(window.utilization, 6) >= 1


def _fullness(window: Window) -> str:
    return "locked" if window.locked_reason is not None else "full"


def _confidence(
    state: State, account: AccountState, now: datetime, *, known: bool
) -> tuple[Confidence, tuple[str, ...]]:
    """Grade its figures, and say why they are worth less than they seem."""
    doubts: list[str] = []
    confidence = Confidence.KNOWN
    failure = account.down.failure if account.down else None
    if known and not account.values_are_fresh(now, state.policy.interval):
        confidence = Confidence.OLD
        at = account.last_success_at
        doubts.append(f"its figures are {format.age(now - at) if at else 'very'} old")
    if known and failure is not None and failure.renewable:
        confidence = Confidence.OLD
        doubts.append("its token has ended, which Claude Code renews when it runs")
    if failure is not None and account.login_required:
        confidence = Confidence.LOGIN_NEEDED
        is_scope = failure.reason is Reason.SCOPE
        refused = "its token was refused: run claude there"
        doubts.append("its token may not read usage" if is_scope else refused)
    if not known:
        confidence = Confidence.UNKNOWN
        doubts.append("its limits are not known" if account.usage else "its usage is not known yet")
    return confidence, tuple(doubts)


def _hints(account: AccountState, windows: Sequence[Window], now: datetime) -> Iterator[str]:
    """Yield what is worth knowing, and decides nothing."""
    for window in windows:
        if not window.confirmed:
            yield f"{window.key} should have been reset by now, which no poll has confirmed"
    for window in account.windows(now):
        if window.key not in APPLICABLE and _stops(window):
            end = window.resets_at
            until = "" if end is None else f" for another {format.duration(end - now)}"
            yield f"{clean(window.key)} is {_fullness(window)}{until}"


PLAN_WEIGHTS: Final = {"pro": 1.0, "max_5x": 5.0, "max_20x": 20.0}
"""The sizes of 5-hour windows beside each other, by plan, as their names say; any other plan counts as the smallest."""


def all_limits(state: State, now: datetime) -> list[AccountLimits]:
    """List the limits of each account that can be used and is known; the smallest plan has weight 1."""
    usable = [a for a in state.accounts.values() if not a.login_required and applicable(a, now)]
    weights = [PLAN_WEIGHTS.get(account.plan or "", 1.0) for account in usable]
    least = min(weights, default=1.0)
    found = []
    for account, weight in zip(usable, weights, strict=True):
        left = {
            w.key: Limit(0.0 if _stops(w) else max(1 - w.utilization, 0.0), w.resets_at)
            for w in account.windows(now)
            if not math.isnan(w.utilization)
        }
        weeks = f"{SEVEN_DAYS}_"
        cost = account.forecast.week_cost if account.forecast else None
        limits = AccountLimits(
            account.account.name,
            # A window that is not open, or that the plan does not have, is free.
            left.get(FIVE_HOURS, Limit(1.0)),
            left.get(SEVEN_DAYS, Limit(1.0)),
            {k.removeprefix(weeks): limit for k, limit in left.items() if k.startswith(weeks)},
            cost.ratio if cost else USUAL_COST,
            weight / least,
            account.account.reserve,
        )
        found.append(limits)
    return found


@dataclass(frozen=True, slots=True)
class Choice:
    """The account to use now, or (not `usable`) the one that is free first; None where nothing is known of any."""

    account: str | None
    usable: bool
    reasons: tuple[str, ...]
    free_at: datetime | None = None
    ranking: tuple[Candidate, ...] = ()

    @property
    def free(self) -> int:
        """The number of accounts with room in all limits that stop their work, as far as is known."""
        return sum(candidate.confidence <= Confidence.OLD for candidate in self.ranking)


def choose(state: State, now: datetime, model: str | None = None) -> Choice:
    """Choose the best account, and rank all of them. With a `model`, its own week counts like the account's."""
    limits, in_use = {one.name: one for one in all_limits(state, now)}, state.in_use(now)
    found = [
        replace(candidate_of(state, account, now, limits.get(name), model), in_use=name == in_use)
        for name, account in state.accounts.items()
    ]

    def order(candidate: Candidate) -> tuple[object, ...]:
        """Sort the best one first; of equals the one whose room would lapse first, then by the settings."""
        name, confidence = candidate.account, candidate.confidence
        if confidence is Confidence.FULL:
            return confidence, candidate.free_at or NO_END, name != in_use
        known = limits.get(name)
        key = (False, 0.0) if known is None else preference(known.at(now), now, in_use, model)
        return confidence, *key, candidate.lapses_at, name != in_use

    ranking = tuple(sorted(found, key=order))
    if not ranking:
        return Choice(None, False, ("no accounts yet: run `monitor accounts import --all`",))
    if all(candidate.room is None for candidate in ranking):
        doubts = [
            f"{clean(candidate.account)}: {', '.join(candidate.reasons)}"
            for candidate in ranking[:3]
            if candidate.reasons
        ]
        return Choice(None, False, ("no usage data yet", *doubts), ranking=ranking)
    best = ranking[0]
    usable = best.confidence is not Confidence.FULL
    if usable:
        reasons = (*_reasons_for(ranking, limits, state, now, model), *best.reasons)
    else:
        reasons = (*_reasons_when_full(ranking, now), *best.reasons)
    return Choice(best.account, usable, reasons, best.free_at, ranking)


def _reasons_for(
    ranking: Sequence[Candidate],
    limits: Mapping[str, AccountLimits],
    state: State,
    now: datetime,
    model: str | None,
) -> Iterator[str]:
    """Give the reasons for the first one: how much of it is used, and its advantage over the others."""
    best = ranking[0]
    used = [
        f"{w.key} {format.percent(w.utilization, confirmed=w.confirmed)}"
        for w in applicable(state.accounts[best.account], now)
    ]
    if used:
        yield f"{', '.join(used)} used"
    others = [c for c in ranking[1:] if c.confidence is not Confidence.FULL]
    peers = [
        limits[c.account] for c in others if c.confidence is best.confidence and c.account in limits
    ]
    if len(ranking) > 1 and not others:
        are_full = all(candidate.is_full for candidate in ranking[1:])
        if len(ranking) > 2:
            yield "all others are full" if are_full else "no other account has room"
        else:
            yield f"the other one {'is full' if are_full else 'has no room'}"
    elif others and not peers:
        yield f"the {'others have' if len(others) > 1 else 'other one has'} no recent data"
    elif others and best.account in limits:
        current = best.account if best.in_use else None
        yield why(limits[best.account], [limits[best.account], *peers], now, current, model)
    if model and not any(model in one.models for one in limits.values()):
        yield f"no account has a limit of its own for {clean(model)}"


def _reasons_when_full(ranking: Sequence[Candidate], now: datetime) -> Iterator[str]:
    best = ranking[0]
    are_full = all(candidate.is_full for candidate in ranking)
    if len(ranking) > 1:
        yield "every account is full" if are_full else "no account has room"
    else:
        yield f"the only account {'is full' if are_full else 'has no room'}"
    if best.free_at is None:
        yield "when that ends is not known"
    else:
        first = "it is free" if len(ranking) == 1 else f"{clean(best.account)} is free first,"
        yield f"{first} in {format.duration(best.free_at - now)}"


# Room in one account: for scripts and agents that ask before they go on

SHORTEST_TASK: Final = timedelta(minutes=15)
MOST_NAMED: Final = 3
"""An error names so many accounts that may be meant."""


class Verdict(IntEnum):
    """The exit codes of the public interface."""

    BELOW = 0
    REACHED = 4
    UNKNOWN = 5


def judge_room(
    state: State,
    now: datetime,
    account: str | None = None,
    window: str | None = None,
    most: float = 1.0,
) -> Verdict:
    """Judge whether the account's window is at `most` (a ratio) or above, or locked.

    Without an account it is the current one, without a window the fuller one of 5h and 7d, or the money of one that
    has neither. A window that should have been reset by now counts as empty. Raises SettingsError for an account or a
    window that cannot be.
    """
    known_keys = {w.key for a in state.accounts.values() if a.usage for w in a.usage.windows}
    if window is not None and window not in known_keys and not is_window_key(window):
        raise SettingsError(f"no such window: {window!r}: it is 5h, 7d, or 7d_ and a model's name")
    asked = current_account(state) if account is None else find_account_state(state, account)
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


def judge_task(
    state: State,
    now: datetime,
    account: str | None,
    window: str | None,
    need: float,
    confidence: float,
) -> Verdict:
    """Judge whether a task of `need` points of a 5-hour window fits before any limit, or that of one window.

    `confidence` (0 to 1) is the probability with which it has to, beside what the account is used for anyway. Raises
    SettingsError as `judge_room` does.
    """
    plain = judge_room(state, now, account, window)
    asked = current_account(state) if account is None else find_account_state(state, account)
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
    """Return the account that Claude Code would use now, else the one that is marked as active."""
    return state.accounts.get(state.logged_in or state.active_account or "")


def find_account_state(state: State, name: str) -> AccountState:
    """Find the state of the account that `find_account` finds. Raises SettingsError."""
    accounts = [account.account for account in state.accounts.values()]
    return state.accounts[find_account(name, accounts).name]


def find_account(name: str, accounts: Sequence[Account]) -> Account:
    """Find the account that a user means by its name, label, number in the settings, or how a name or label begins.

    The first of these that fits decides; numbers begin at 1. Raises SettingsError for none or several.
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

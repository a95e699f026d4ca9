"""Chooses the account to use now by its pressure, and plans which one to use when. Pure.

A week that is not used up expires at its reset, and a 5-hour window, which begins with its first use, limits how fast a
week can be used up. The *pressure* of an account is what is left of its week over what can still be used of it before
the reset, through the windows that fit into the time: from 1 on, some of it is already lost. The account under the
highest pressure is used first; the current one is kept unless another's is a good deal higher, since a switch
costs a cold prompt cache.

Windows are opened on a *ring*: where one begins every 5 h / n, one of n accounts is soon free again at any time. The
program opens none, it only says when.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from monitor.core import format
from monitor.core.model import WEEK, WINDOW

STICKINESS: Final = 1.3
"""Another account has to be under so many times the pressure before the current one is left."""

ENDING: Final = 0.3
"""An open window about to end counts for so much more pressure. It saves switches later."""

SPENT: Final = 10.0
"""Points of a 5-hour window. An account with less is nearly spent: it is begun only where there is no other."""

USUAL_COST: Final = 1 / 7
"""The part of a week that one full 5-hour window costs, until it is learned."""


@dataclass(frozen=True, slots=True)
class Limit:
    """The rest of one limit, as a ratio of 0 to 1, and when it resets; None where no window is open."""

    left: float
    resets_at: datetime | None = None

    def at(self, now: datetime) -> "Limit":
        """Return the limit at a later time, if nothing more is used of it."""
        return self if self.resets_at is None or now < self.resets_at else Limit(1.0)


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """The limits of one account. `models` are per-model weeks by the model's name in lower case.

    `week_cost` is the part of the week that one full 5-hour window costs; `plan_weight` the size of its windows beside
    those of other plans; `reserve` the share of its week that is left to others.
    """

    name: str
    five_hours: Limit
    week: Limit
    models: Mapping[str, Limit] = field(default_factory=dict)
    week_cost: float = USUAL_COST
    plan_weight: float = 1.0
    reserve: float = 0.0

    def at(self, now: datetime) -> "AccountLimits":
        """Return the limits at a later time, if nothing more is used of them."""
        limits = (self.five_hours, self.week, *self.models.values())
        if all(limit.resets_at is None or now < limit.resets_at for limit in limits):
            return self  # as at most of the many steps of a plan
        models = {model: limit.at(now) for model, limit in self.models.items()}
        return replace(
            self, five_hours=self.five_hours.at(now), week=self.week.at(now), models=models
        )

    def week_for(self, model: str | None) -> Limit:
        """Return the week less the reserve; the model's own one where less is left of it."""
        own = self.models.get(model) if model else None
        week = own if own is not None and own.left < self.week.left else self.week
        return Limit(max(week.left - self.reserve, 0.0), week.resets_at)

    def points(self, model: str | None = None) -> float:
        """Return the points of a 5-hour window that can be used at once."""
        return min(self.five_hours.left, self.week_for(model).left / self.week_cost) * 100

    def free_at(self, now: datetime, model: str | None = None) -> datetime | None:
        """Return the instant from which something can be used of it; None where that is not known."""
        waits = [
            limit.resets_at
            for limit in (self.five_hours, self.week_for(model))
            if limit.left < FREE
        ]
        known = [instant for instant in waits if instant is not None]
        return max((now, *known)) if len(known) == len(waits) else None


FREE: Final = 0.005
"""A limit with less left is full: readings are whole percents."""


def pressure(account: AccountLimits, now: datetime, model: str | None = None) -> float:
    """The rest of the week over what can be used of it before its reset; 0 for one that is full."""
    week = account.week_for(model)
    windows_left = week.left / account.week_cost
    until_reset = (week.resets_at or now + WEEK) - now
    five = account.five_hours
    rest = min(five.resets_at - now, until_reset) if five.resets_at else timedelta(0)
    usable = (five.left if five.resets_at else 0.0) + (until_reset - rest) / WINDOW
    return windows_left / max(usable, 0.01)


def urgency(account: AccountLimits, now: datetime, model: str | None = None) -> float:
    """The pressure, raised a little as the end of an open window comes near: what is left of it expires then, too."""
    ends = account.five_hours.resets_at
    gone = 0.0 if ends is None else 1 - min(max((ends - now) / WINDOW, 0.0), 1.0)
    return pressure(account, now, model) * (1 + ENDING * gone)


class Action(StrEnum):
    USE = "use"
    OPEN = "open"
    LEAVE = "leave"
    WAIT = "wait"
    EXPIRES = "expires"


@dataclass(frozen=True, slots=True)
class Advice:
    """One line of a plan: what to do with the account from `at` on, until `until` where that is known, and why.

    `account` is None where there is nothing to use.
    """

    at: datetime
    until: datetime | None
    action: Action
    account: str | None
    reason: str


def preference(
    account: AccountLimits, now: datetime, current: str | None, model: str | None = None
) -> tuple[bool, float]:
    """A sort key for accounts with room, the best first: those that are not nearly spent, by urgency.

    The `current` account is kept unless another one is a good deal more urgent.
    """
    if account.name == current:
        return False, round(-STICKINESS * urgency(account, now, model), 6)
    return account.points(model) < SPENT, round(-urgency(account, now, model), 6)


def advise(
    accounts: Sequence[AccountLimits],
    now: datetime,
    current: str | None = None,
    model: str | None = None,
) -> Advice:
    """Say which account to use now; or to wait, until the first one has room again."""
    accounts = [account.at(now) for account in accounts]
    open_ones = [account for account in accounts if account.points(model) >= FREE * 100]
    if open_ones:
        best = min(open_ones, key=lambda account: preference(account, now, current, model))
        reason = why(best, open_ones, now, current, model)
        return Advice(now, None, Action.USE, best.name, reason)
    frees = ((account.free_at(now, model), account.name) for account in accounts)
    free_at, name = min(((at, name) for at, name in frees if at), default=(None, ""))
    reason = "all accounts are full"
    if free_at is not None:
        reason += f": {name} is free in {format.duration(free_at - now, seconds=False)}"
    return Advice(now, free_at, Action.WAIT, None, reason)


def why(
    account: AccountLimits,
    others: Sequence[AccountLimits],
    now: datetime,
    current: str | None,
    model: str | None,
) -> str:
    """Give the reason for this account among all that have room, in one line."""
    if len(others) == 1:
        return "the only account with room"
    week = account.week_for(model)
    left = f"{week.left * 100:.0f}% of its week is left"
    if week.resets_at is not None:
        left += f" and resets in {format.duration(week.resets_at - now, seconds=False)}"
    if account.name == current:
        return f"stay: no other account's week is much more urgent ({left})"
    if pressure(account, now, model) >= 1:
        return f"{left}: more than can still be used of it"
    if week.resets_at is None:
        return f"{left}"
    return f"{left}: the most for the time"


def window_to_open(
    accounts: Sequence[AccountLimits],
    now: datetime,
    last_opened: datetime | None,
    model: str | None = None,
) -> str | None:
    """Name the account on which the ring wants a window opened now, if any; `last_opened` is when any was opened last.

    Of the accounts without an open window it is the one under the highest pressure, unless it is nearly spent.
    """
    if not accounts or (last_opened is not None and now - last_opened < WINDOW / len(accounts)):
        return None
    closed = [
        account
        for account in (account.at(now) for account in accounts)
        if account.five_hours.resets_at is None and account.points(model) >= SPENT
    ]
    best = max(closed, key=lambda account: pressure(account, now, model), default=None)
    return best.name if best else None


def spend(
    account: AccountLimits, points: float, now: datetime, model: str | None = None
) -> AccountLimits:
    """Deduct so many points of a 5-hour window from the account's limits; this opens a window where none is.

    With a `model`, all of it is used of the model's own week, too.
    """
    five, part = account.five_hours, points / 100

    def deduct(week: Limit) -> Limit:
        left = max(week.left - part * account.week_cost, 0.0)
        return Limit(left, week.resets_at or now + WEEK)

    return replace(
        account,
        five_hours=Limit(max(five.left - part, 0.0), five.resets_at or now + WINDOW),
        week=deduct(account.week),
        models={name: deduct(w) if name == model else w for name, w in account.models.items()},
    )


PLAN_STEP: Final = timedelta(minutes=10)

LONGEST_PLAN: Final = timedelta(hours=48)
"""Work is expected by the hour for so long; weeks that end by then are told of, too."""


def plan(
    accounts: Sequence[AccountLimits],
    now: datetime,
    duration: timedelta,
    points_per_hour: Callable[[datetime], float],
    current: str | None = None,
    model: str | None = None,
) -> tuple[Advice, ...]:
    """Plan which account to use when, for so long, if work comes as `points_per_hour` expects it.

    Points are those of a 5-hour window of plan weight 1. The lines are in order of time; last come accounts that are
    not needed, and weeks of which something expires before `LONGEST_PLAN` is over.
    """
    end, horizon = now + duration, now + max(duration, LONGEST_PLAN)
    by_name = {account.name: account.at(now) for account in accounts}
    began = [a.five_hours.resets_at - WINDOW for a in by_name.values() if a.five_hours.resets_at]
    last_opened = max(began, default=None)
    lines: list[Advice] = []
    expiring: list[Advice] = []
    at = now
    while at < horizon:
        for name, account in by_name.items():
            resets_at = account.week.resets_at
            if resets_at is not None and resets_at <= at and account.week.left >= 0.01:
                expiring.append(_expiry(account, resets_at))
            by_name[name] = account.at(at)
        work = points_per_hour(at) * (PLAN_STEP / timedelta(hours=1))
        if work > 0:
            advice = advise(tuple(by_name.values()), at, current, model)
            uses = (line for line in reversed(lines) if line.action is not Action.OPEN)
            before = next(uses, None)
            if before is None or before.account != advice.account:
                lines.append(advice)
            if advice.account is not None:
                current = advice.account
                if by_name[current].five_hours.resets_at is None:
                    last_opened = at
                used = by_name[current]
                by_name[current] = spend(used, work / used.plan_weight, at, model)
        opened = window_to_open(tuple(by_name.values()), at, last_opened, model)
        if opened is not None and _is_work_expected(points_per_hour, at):
            by_name[opened] = spend(by_name[opened], 0.0, at)
            last_opened = at
            reason = "starts its 5 hours early, so that they end early"
            lines.append(Advice(at, at + WINDOW, Action.OPEN, opened, reason))
        at += PLAN_STEP
    lines = [line for line in lines if line.at < end]
    lines = [line for line in lines if line.action is not Action.OPEN or _is_used(line, lines)]
    named = {line.account for line in lines}
    idle = [
        Advice(now, end, Action.LEAVE, a.name, _why_left(a, now, model))
        for a in accounts
        if a.name not in named
    ]
    return (*_end_uses(lines, end), *idle, *expiring)


def _is_used(opened: Advice, lines: Sequence[Advice]) -> bool:
    """Return whether the plan comes to use the account while the window that is opened on it is open."""
    return any(
        line.action is Action.USE
        and line.account == opened.account
        and opened.at < line.at < opened.at + WINDOW
        for line in lines
    )


def _end_uses(lines: Sequence[Advice], end: datetime) -> list[Advice]:
    """Give each use of an account, and each wait, the time at which the next one begins."""
    ended = []
    until = end
    for line in reversed(lines):
        if line.action is Action.OPEN:
            ended.append(line)
        else:
            ended.append(replace(line, until=until))
            until = line.at
    return ended[::-1]


def _is_work_expected(points_per_hour: Callable[[datetime], float], at: datetime) -> bool:
    """Return whether work is expected within some hours: a window that nobody uses need not be opened."""
    return any(points_per_hour(at + timedelta(hours=hour)) >= 1 for hour in range(8))


def _why_left(account: AccountLimits, now: datetime, model: str | None) -> str:
    account = account.at(now)
    if account.points(model) < FREE * 100:
        is_full = replace(account, reserve=0.0).points(model) < FREE * 100
        why = "full" if is_full else "only its reserve is left"
        free_at = account.free_at(now, model)
        return f"{why}, free in {format.duration(free_at - now, seconds=False)}" if free_at else why
    return "not needed: the others suffice"


def _expiry(account: AccountLimits, resets_at: datetime) -> Advice:
    words = f"{account.week.left * 100:.0f}% of its week expires unused"
    if account.reserve:
        is_all = account.week.left <= account.reserve
        reserve = f"including its reserve of {account.reserve * 100:.0f}%"
        words += ", all of it its reserve" if is_all else f", {reserve}"
    return Advice(resets_at, None, Action.EXPIRES, account.name, words)

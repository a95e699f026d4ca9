"""Forecasts all accounts together: how many are free in some hours, and whether they all run out. Pure.

One person's work moves from account to account, so the accounts are not forecast one by one: the *demand* of the
person (learned from all accounts together) is set against the *supply*, which is what is left of the windows that are
open, and a new window at each reset, as far as the weeks go. All are exhausted as soon as the demand has caught up.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from monitor.core.forecast import RunOut, gamma_quantiles
from monitor.core.format import clock
from monitor.core.model import WINDOW
from monitor.core.planning import FREE, AccountLimits
from monitor.core.profiles import Activity

HORIZONS: Final = (timedelta(0), timedelta(hours=1), timedelta(hours=3), timedelta(hours=8))

RECENT: Final = timedelta(hours=6)
"""Today's pace is measured over so many hours."""

PACE_SHAPE: Final = 2.0
BURST: Final = 18.0
"""As of one 5-hour window (see `Tuning`); today says more of the pace of all accounts than of that of one window."""

AHEAD: Final = timedelta(hours=4)
"""The time ahead for which the exhaustion of all accounts is forecast."""

SOON: Final = 0.4
STILL_SOON: Final = 0.005
"""All accounts are exhausted soon from the first probability on, and until it falls below the second."""

RISES_WITHIN: Final = timedelta(minutes=10)
FALLS_WITHIN: Final = timedelta(minutes=30)
"""The probability follows each look this slowly: one burst of work is no reason for an alert, nor one pause for
its end. These and the two above were chosen on simulated people with other seeds than those who judge.
"""


@dataclass(frozen=True, slots=True)
class FreeAccounts:
    """The number of accounts that are free at an instant: the most likely one, and an 80 % interval."""

    at: datetime
    low: int
    likely: int
    high: int

    @property
    def span(self) -> str:
        """The interval in words: `1–3`, or the only number."""
        return f"{self.low}–{self.high}" if self.low < self.high else f"{self.low}"


@dataclass(frozen=True, slots=True)
class PoolForecast:
    """The accounts together, as expected at `at`.

    `exhausted_probability` is that all are full within `AHEAD`, as recent looks had it; `exhausted_at` is when they
    most likely are, None where they most likely are not within the last horizon.
    """

    at: datetime
    free: tuple[FreeAccounts, ...]
    exhausted_probability: float
    exhausted_at: datetime | None

    def later(self, now: datetime) -> list[FreeAccounts]:
        """List the numbers of free accounts at the instants that are still ahead."""
        return [free for free in self.free if free.at > max(self.at, now)]

    def words(self, now: datetime) -> str:
        """Write them as `1–3 at 13:00, 0–2 at 20:00 (80%)`."""
        return f"{', '.join(f'{f.span} at {clock(f.at, now)}' for f in self.later(now))} (80%)"


def forecast_pool(
    accounts: Sequence[AccountLimits],
    now: datetime,
    demand: Activity,
    active: bool,
    recent: tuple[float, float] = (0.0, 0.0),
    before: PoolForecast | None = None,
    horizons: Sequence[timedelta] = HORIZONS,
) -> PoolForecast:
    """Forecast the accounts, which come in the order in which they will be used.

    `active` says whether somebody works now. `recent` is the use within `RECENT`, and the use that was expected of its
    half hours with some use, in points of a 5-hour window of plan weight 1. `before` is the previous forecast.
    """
    accounts = [account.at(now) for account in accounts]
    end = now + max((*horizons, AHEAD))
    use = forecast_use(demand, now, end, active, recent)
    free = []
    for horizon in horizons:
        at = now + horizon
        heavy, usual, light = (use.quantile(at, q) for q in (0.1, 0.5, 0.9))
        counts = [_count_free(accounts, now, at, points) for points in (heavy, usual, light)]
        free.append(FreeAccounts(at, counts[0], counts[1], counts[2]))
    probability = exhaustion_probability(accounts, now, now + AHEAD, use)
    if before is not None and before.free[0].likely:  # what was said of an exhausted pool is over
        known = before.exhausted_probability
        follows = RISES_WITHIN if probability > known else FALLS_WITHIN
        past = math.exp(-max(now - before.at, timedelta(0)) / follows)
        probability = past * known + (1 - past) * probability
    return PoolForecast(now, tuple(free), probability, _exhaustion_time(accounts, now, end, use))


def forecast_use(
    demand: Activity,
    now: datetime,
    end: datetime,
    active: bool,
    recent: tuple[float, float],
) -> RunOut:
    """Forecast the points that will be wanted, as a distribution."""
    hours, total = [], [0.0]
    for done, points in demand.steps(now, end, active):
        hours.append(done)
        total.append(total[-1] + points)
    used, expected = recent
    scale = demand.points_per_hour / 2
    paces = gamma_quantiles(PACE_SHAPE + used / scale, PACE_SHAPE + expected / scale)
    burst = max(BURST, demand.points_per_hour / 4)
    return RunOut(now, end, tuple(hours), tuple(total[1:]), paces, 0.0, burst)


def supply(account: AccountLimits, now: datetime, at: datetime) -> float:
    """Return the points of plan weight 1 that can be used of the account from now until then."""
    five = account.five_hours
    first = five.resets_at if five.resets_at is not None else now + WINDOW
    windows = five.left
    if at >= first:
        windows += 1 + (at - first) // WINDOW
    week = max(account.week.left - account.reserve, 0.0) / account.week_cost
    renewed = account.week.resets_at
    if renewed is None or at < renewed:
        return min(windows, week) * 100 * account.plan_weight
    before = min(five.left + max((renewed - first) // WINDOW + 1, 0), week)
    return (
        min(windows, before + (1 - account.reserve) / account.week_cost) * 100 * account.plan_weight
    )


def exhaustion_probability(
    accounts: Sequence[AccountLimits], now: datetime, at: datetime, use: RunOut
) -> float:
    """Return the probability that the demand catches up with the supply until then."""

    def surplus(instant: datetime, pace: float) -> float:
        return usable_points(accounts, now, instant, use, pace) - FREE * 100

    return use.catch_up_probability(_instants(accounts, now, at), surplus)


def usable_points(
    accounts: Sequence[AccountLimits], now: datetime, at: datetime, use: RunOut, pace: float
) -> float:
    """Return the points that somebody of this pace can use until then, taking the accounts in their order.

    What is left in a window at its reset expires; it counts only as far as it is used before.
    """
    total, before = 0.0, 0.0
    for account in accounts:
        held = supply(account, now, now)
        resets_at = account.five_hours.resets_at
        expires = resets_at is not None and resets_at <= at
        wanted = (
            max(pace * use.mean_use(resets_at) - before, 0.0) if expires and resets_at else held
        )
        total += min(held, wanted) + supply(account, now, at) - held
        before += held
    return total


MOMENT: Final = timedelta(seconds=1)


def _instants(accounts: Sequence[AccountLimits], now: datetime, at: datetime) -> list[datetime]:
    """List the instants just before the supply grows, and the last one."""
    resets = [
        instant
        for account in accounts
        for limit in (account.five_hours, account.week)
        if (instant := limit.resets_at) is not None and now < instant <= at
    ]
    return [now, *(instant - MOMENT for instant in sorted(resets)), at]


def _exhaustion_time(
    accounts: Sequence[AccountLimits], now: datetime, end: datetime, use: RunOut
) -> datetime | None:
    """Find when it is as likely as not, to five minutes; the probability never falls with time."""
    if exhaustion_probability(accounts, now, end, use) < 0.5:
        return None
    low, high = now, end
    while high - low > timedelta(minutes=5):
        middle = low + (high - low) / 2
        if exhaustion_probability(accounts, now, middle, use) >= 0.5:
            high = middle
        else:
            low = middle
    return high


def _count_free(
    accounts: Sequence[AccountLimits], now: datetime, at: datetime, points: float
) -> int:
    """Count the accounts that have something left at that time, if so much is used in their order."""
    free = 0
    for account in accounts:
        holds = supply(account, now, at)
        if holds - points >= FREE * 100:
            free += 1
        points = max(points - holds, 0.0)
    return free


def is_exhausted_soon(forecast: PoolForecast, before: bool) -> bool:
    """Return whether all accounts are exhausted soon; `before` is the answer of the last look."""
    return forecast.exhausted_probability >= (STILL_SOON if before else SOON)

"""The ways of forecasting that `make backtest` compares: naive ones, and ours."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from monitor.core.profiles import FULL_FROM, HOUR, Period, Sample


@dataclass(frozen=True, slots=True)
class Look:
    """One question at one instant: a period up to `now`, and what was known before it began.

    `start` is when the period began; `past` are the earlier periods.
    """

    now: datetime
    start: datetime
    resets_at: datetime
    period: Period
    past: Sequence[Period]

    @property
    def level(self) -> float:
        return self.period.last.utilization

    @property
    def left(self) -> float:
        return max(1 - self.level, 0.0)


@dataclass(frozen=True, slots=True)
class Answer:
    """`full_at` is the reset where the window lasts; `probability` that it does not."""

    probability: float
    full_at: datetime


Method = Callable[[Look], Answer]


def window_average(look: Look) -> Answer:
    """At the mean pace since the window began."""
    return _at_pace(look, look.level / ((look.now - look.start) / HOUR))


def slope_of(span: timedelta) -> Method:
    """At the mean pace of the last hours."""

    def slope(look: Look) -> Answer:
        since = max(look.now - span, look.start)
        before = level_at(look.period.samples, since)
        return _at_pace(look, (look.level - before) / ((look.now - since) / HOUR))

    return slope


def least_squares_of(span: timedelta) -> Method:
    """On the line of least squares through the last hours, as PromQL's predict_linear has it."""

    def fit(look: Look) -> Answer:
        points = [
            ((s.at - look.now) / HOUR, s.utilization)
            for s in look.period.samples
            if look.now - span <= s.at
        ]
        mean_x = sum(x for x, _ in points) / len(points)
        mean_y = sum(y for _, y in points) / len(points)
        spread = sum((x - mean_x) ** 2 for x, _ in points)
        slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
        at_now = mean_y - slope * mean_x
        return _after(look, (1 - at_now) / slope if slope > 0 else None)

    return fit


def hour_profile_point(look: Look) -> Answer:
    """By the mean use of each hour of the day, of all that is known; no weekdays, no pace of its own."""
    use, seen = [0.0] * 24, [0.0] * 24
    for period in (*look.past, look.period):
        for before, after in pairwise(period.samples):
            if after.at - before.at <= 1.5 * HOUR and after.utilization < FULL_FROM:
                use[before.at.hour] += max(after.utilization - before.utilization, 0.0)
                seen[before.at.hour] += (after.at - before.at) / HOUR
    at, level = look.now, look.level
    while at < look.resets_at:
        rate = use[at.hour] / seen[at.hour] if seen[at.hour] else sum(use) / max(sum(seen), 1)
        if level + rate >= 1:
            return Answer(1.0, min(at + HOUR * ((1 - level) / rate), look.resets_at))
        at, level = at + HOUR, level + rate
    return Answer(0.0, look.resets_at)


def past_curves(look: Look) -> Answer:
    """By the curves of past weeks, each scaled to today's level: the share of them that runs out, the median time."""
    into = look.now - look.start
    times = []
    for period in look.past:
        resets_at = period.last.resets_at
        if resets_at is None:
            continue
        began = resets_at - (look.resets_at - look.start)
        then = level_at(period.samples, began + into)
        if then <= 0 or look.level <= 0:
            continue
        scale = look.level / then
        crossed = next(
            (s.at for s in period.samples if s.at > began + into and s.utilization * scale >= 1),
            None,
        )
        times.append(
            min(look.start + (crossed - began), look.resets_at) if crossed else look.resets_at
        )
    if not times:
        return window_average(look)
    times.sort()
    return Answer(sum(t < look.resets_at for t in times) / len(times), times[len(times) // 2])


def level_at(samples: Sequence[Sample], at: datetime) -> float:
    """The last level read by then; 0 before the first."""
    index = bisect_right(samples, at, key=lambda sample: sample.at)
    return samples[index - 1].utilization if index else 0.0


def _at_pace(look: Look, pace: float) -> Answer:
    return _after(look, look.left / pace if pace > 0 else None)


def _after(look: Look, hours: float | None) -> Answer:
    if hours is None or hours > 10_000:
        return Answer(0.0, look.resets_at)
    full_at = max(look.now + HOUR * hours, look.now)
    return Answer(1.0, full_at) if full_at < look.resets_at else Answer(0.0, look.resets_at)


WEEK_NAIVE: Final[dict[str, Method]] = {
    "window_average": window_average,
    "slope_6h": slope_of(6 * HOUR),
    "slope_24h": slope_of(24 * HOUR),
    "predict_linear_24h": least_squares_of(24 * HOUR),
    "hour_profile_point": hour_profile_point,
    "past_curves": past_curves,
}

FIVE_HOURS_NAIVE: Final[dict[str, Method]] = {
    "window_average": window_average,
    "slope_30m": slope_of(timedelta(minutes=30)),
    "slope_1h": slope_of(HOUR),
}

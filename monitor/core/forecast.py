"""Forecasts when a window is full, and the probability that it is before its reset. Pure, without randomness.

The model in one paragraph. An account is used by the clock: `Profile` is its mean use at each hour of the local
week, learned from the increments between its samples. On top of that a week is a light or a heavy one: the *pace* is
a factor on the profile, with a Gamma prior around 1 that this period's own use sharpens. Use comes in bursts, so what
is used until some hour is itself Gamma distributed around pace × expected use. All of it together gives the
probability that the rest of the window is used up by any instant; its quantiles are the times that are shown.

A 7-day window is forecast by hours. A 5-hour window is forecast in steps of five minutes, with the chance to be
active at that time of day in place of the mean use: somebody who works now very likely works on for a while, and
nobody works all of the window.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from typing import Final

from monitor.core.profiles import (
    FIVE_HOURLY,
    FULL_FROM,
    HOUR,
    WEEKLY,
    Activity,
    Period,
    Profile,
    Sample,
    Tuning,
    is_active,
    learn,
    split_periods,
    until,
)

KNOWN_AFTER: Final = timedelta(days=2)
"""Less history than this is too little to say anything."""

CHUNK: Final = timedelta(hours=3)
"""The pace is measured in pieces of this length, at least."""


@dataclass(frozen=True, slots=True)
class FullAt:
    """The instants by which a window is full with 10 %, 50 % and 90 % probability; never later than its reset."""

    p10: datetime
    p50: datetime
    p90: datetime


@dataclass(frozen=True, slots=True)
class Forecast:
    """The probability (0 to 1) that a window is full before its reset; `full_at` is None where it most likely lasts.

    `distribution` is what both were read off.
    """

    run_out_probability: float
    full_at: FullAt | None
    distribution: "RunOut | None" = None


@dataclass(frozen=True, slots=True)
class RateChange:
    """From `at` on the same work costs `factor` times what it did of this window."""

    at: datetime
    factor: float


@dataclass(frozen=True, slots=True)
class RunOut:
    """The distribution of the instant at which a window is full.

    `hours` and `expected` are expected use, summed up from `start` to the reset; `paces` are equally likely factors
    on it; `need` is what is left of the window, and `burst` the size of a burst of use, both in points.
    """

    start: datetime
    resets_at: datetime
    hours: tuple[float, ...]
    expected: tuple[float, ...]
    paces: tuple[float, ...]
    need: float
    burst: float

    @property
    def probability(self) -> float:
        """The probability that it is full before the reset."""
        return self._tail(self.expected[-1]) if self.expected else 0.0

    def full_probability(self, instant: datetime) -> float:
        """Return the probability that it is full by then; from the reset on as at the reset."""
        return self.use_probability(self.need, instant)

    def use_probability(self, points: float, instant: datetime) -> float:
        """Return the probability that at least so many points more are used by then, or by the reset."""
        return self._tail(self.mean_use(instant), points)

    def quantile(self, instant: datetime, probability: float) -> float:
        """Return how many points, at least, are used by then with this probability."""
        low, high = 0.0, 4 * self.expected[-1] + 100 if self.expected else 0.0
        if instant <= self.start:
            return 0.0
        while high - low > 0.5:
            middle = (low + high) / 2
            is_reached = self.use_probability(middle, instant) >= probability
            low, high = (middle, high) if is_reached else (low, middle)
        return low

    @property
    def expiring(self) -> float:
        """The points that are left at the reset, in the mean over all paces."""
        left = (max(self.need - pace * self.mean_use(self.resets_at), 0.0) for pace in self.paces)
        return sum(left) / len(self.paces)

    def compact(self) -> "RunOut":
        """Reduce it to few short numbers, to be kept and sent: finer for the coming hours than for later ones."""
        marks: list[tuple[float, float]] = []
        last = len(self.hours) - 1
        for index, pair in enumerate(zip(self.hours, self.expected, strict=True)):
            least = max(pair[0] / 12, 0.2)
            if index == last or pair[0] - (marks[-1][0] if marks else 0.0) >= least:
                marks.append((round(pair[0], 3), round(pair[1], 3)))
        return replace(
            self,
            hours=tuple(hour for hour, _ in marks),
            expected=tuple(points for _, points in marks),
            paces=tuple(round(pace, 4) for pace in self.paces),
            need=round(self.need, 2),
            burst=round(self.burst, 2),
        )

    def catch_up_probability(
        self, instants: Sequence[datetime], supply: Callable[[datetime, float], float]
    ) -> float:
        """Return the probability that use reaches `supply` (points, by instant and pace) at one of the instants.

        Each pace is judged apart: at a high one, use catches up at one instant or at another.
        """
        expected = [(at, self.mean_use(at)) for at in instants]
        total = 0.0
        for pace in self.paces:
            total += max(
                self._tail_at_pace(supply(at, pace), pace * points) for at, points in expected
            )
        return total / len(self.paces)

    def _tail_at_pace(self, need: float, mean: float) -> float:
        return upper_gamma(mean / self.burst, need / self.burst) if need > 0 else 1.0

    def mean_use(self, instant: datetime) -> float:
        """Return the expected use in points by then, at a pace of 1."""
        wanted = (instant - self.start) / HOUR
        index = bisect_right(self.hours, wanted)
        if index >= len(self.hours):
            return self.expected[-1] if self.expected else 0.0
        before = self.expected[index - 1] if index else 0.0
        since = self.hours[index - 1] if index else 0.0
        share = max(wanted - since, 0.0) / (self.hours[index] - since)
        return before + share * (self.expected[index] - before)

    def full_by(self, probability: float) -> datetime:
        """Return the instant by which it is full with this probability; the reset where it is less likely than that."""
        if not self.expected or self._tail(self.expected[-1]) < probability:
            return self.resets_at
        low, high = 0.0, self.expected[-1]
        while high - low > 0.02:
            middle = (low + high) / 2
            low, high = (low, middle) if self._tail(middle) >= probability else (middle, high)
        index = bisect_right(self.expected, low)
        before = self.expected[index - 1] if index else 0.0
        since = self.hours[index - 1] if index else 0.0
        if index >= len(self.hours):
            return self.resets_at
        share = (high - before) / (self.expected[index] - before)
        return min(
            self.start + timedelta(hours=since + min(share, 1) * (self.hours[index] - since)),
            self.resets_at,
        )

    def _tail(self, expected: float, points: float | None = None) -> float:
        need = (self.need if points is None else points) / self.burst
        if need <= 0:
            return 1.0
        scaled = expected / self.burst
        return sum(upper_gamma(pace * scaled, need) for pace in self.paces) / len(self.paces)


def run_out(
    samples: Sequence[Sample],
    now: datetime,
    duration: timedelta,
    learned: Profile | Activity,
    calibration: float = 1.0,
    change: RateChange | None = None,
    tuning: Tuning | None = None,
) -> RunOut | None:
    """Find the distribution of the time at which the window is full; None where none is open or too little is known.

    Samples are those of one window in order of time; the last two periods are enough, and what is later than `now` is
    not looked at. `duration` is the length of the window. `calibration` scales the size of bursts (see `calibrate`).
    """
    periods = split_periods(until(samples, now, since=now - 2 * duration))
    if not periods or learned.observed < KNOWN_AFTER:
        return None
    period = periods[-1]
    last, resets_at = period.last, period.last.resets_at
    if resets_at is None or resets_at <= now:
        return None
    start = resets_at - duration
    if len(periods) > 1:
        start = max(start, periods[-2].last.at)
    if isinstance(learned, Activity):
        tuning = tuning or FIVE_HOURLY
        steps = learned.steps(last.at, resets_at, is_active(period.samples, last.at))
        used, expected = _active_evidence(period, start, learned)
    else:
        tuning = tuning or WEEKLY
        steps = learned.steps(last.at, resets_at)
        since = start if len(periods) == 1 else periods[0].first.at
        if change is not None and change.at <= last.at:
            since = max(since, change.at)
        half_life = timedelta(days=tuning.pace_half_life_days)
        used, expected = _evidence(periods, since, learned, last.at, half_life)
    shape, mean = tuning.pace_shape, 1.0
    if change is not None and last.at - duration < change.at <= last.at:
        shape, mean = shape / 2, change.factor
    hours, total = [], [0.0]
    for done, points in steps:
        hours.append(done)
        total.append(total[-1] + points)
    burst = calibration * (learned.burst if isinstance(learned, Profile) else tuning.burst)
    burst *= tuning.burst_factor
    scale = tuning.pace_points * burst
    paces = gamma_quantiles(shape + used / scale, shape / mean + expected / scale)
    need = max(99.5 - last.utilization * 100, 0.25) if last.utilization < FULL_FROM else 0.0
    return RunOut(last.at, resets_at, tuple(hours), tuple(total[1:]), paces, need, burst)


def forecast(
    samples: Sequence[Sample],
    now: datetime,
    duration: timedelta,
    learned: Profile | Activity,
    calibration: float = 1.0,
    change: RateChange | None = None,
) -> Forecast | None:
    """Forecast as `run_out` does, in the figures that are shown."""
    found = run_out(samples, now, duration, learned, calibration, change)
    if found is None:
        return None
    shown = found.compact()
    if found.need <= 0:
        since = split_periods(until(samples, now))[-1].full_since or now
        return Forecast(1.0, FullAt(since, since, since), shown)
    probability = found.probability
    if probability < 0.5:
        return Forecast(probability, None, shown)
    return Forecast(
        probability, FullAt(found.full_by(0.1), found.full_by(0.5), found.full_by(0.9)), shown
    )


LIKELY: Final = 0.7
STILL_LIKELY: Final = 0.4
"""A window runs out from the first probability on, and until it falls below the second."""


def is_running_out(forecast: Forecast | None, before: bool) -> bool:
    """Return whether the window runs out before its reset; `before` is the answer so far in this period.

    The two thresholds lie far apart, so that the answer does not flip from look to look.
    """
    return forecast is not None and forecast.run_out_probability >= (
        STILL_LIKELY if before else LIKELY
    )


def fits(windows: Iterable[tuple[RunOut, float]], lasting: timedelta) -> float:
    """Return the probability that a task fits before any limit, beside the expected use of the account.

    Each window comes with the points of it that the task needs; `lasting` is how long the task takes. What is left
    to do at a reset is done in the new window.
    """
    return min((_fits(window, points, lasting) for window, points in windows), default=0.0)


def _fits(window: RunOut, points: float, lasting: timedelta) -> float:
    end = min(window.start + lasting, window.resets_at)
    share = (end - window.start) / lasting if lasting else 1.0
    left = window.need - points * share
    return 1 - window.use_probability(left, end) if left > 0 else 0.0


def _evidence(
    periods: Sequence[Period],
    start: datetime,
    profile: Profile,
    now: datetime,
    half_life: timedelta,
) -> tuple[float, float]:
    """Sum up the points used from `start` on, and those expected of the same time; older use counts less.

    It goes back into the periods before: a heavy week does not end with the window. Full time is left out.
    """
    used, expected = 0.0, 0.0
    for period in periods:
        first = period.first
        if period is periods[-1] and len(periods) == 1 and start < first.at:
            first = Sample(start, 0.0)
        mark = first
        for sample in period.samples:
            if sample.at <= start:
                mark = sample
                continue
            is_full = sample.utilization >= FULL_FROM
            if sample.at - mark.at < CHUNK and sample is not period.last and not is_full:
                continue
            weight = 0.5 ** ((now - sample.at) / half_life)
            used += weight * max(sample.utilization - mark.utilization, 0.0) * 100
            expected += weight * profile.between(mark.at, sample.at)
            mark = sample
            if is_full:
                break
    return used, expected


def _active_evidence(period: Period, start: datetime, activity: Activity) -> tuple[float, float]:
    """Sum up the points used in this window, and those expected of the slots in which there was use."""
    used, hours = 0.0, 0.0
    slot_use: dict[int, float] = {}
    previous = None
    for sample in period.samples:
        if sample.at >= start and previous is not None:
            slot = int(sample.at.timestamp() / 1800)
            slot_use[slot] = slot_use.get(slot, 0.0) + sample.utilization - previous.utilization
        previous = sample
    end = period.last.at.timestamp() / 1800
    for slot, rise in slot_use.items():
        if rise >= 0.005:
            used += rise * 100
            hours += min(1.0, end - slot) / 2
    return used, hours * activity.points_per_hour


_HALF: Final = (0.1046, 0.3186, 0.5485, 0.8122, 1.1503, 1.7317)
_NORMAL: Final = (*(-z for z in reversed(_HALF)), *_HALF)
"""Quantiles of the normal distribution at 1/24, 3/24, …, 23/24."""


def gamma_quantiles(shape: float, rate: float) -> tuple[float, ...]:
    """Twelve equally likely values of a Gamma distribution, by the approximation of Wilson and Hilferty."""
    ninth = 1 / (9 * shape)
    return tuple(max(shape / rate * (1 - ninth + z * math.sqrt(ninth)) ** 3, 1e-6) for z in _NORMAL)


def upper_gamma(shape: float, x: float) -> float:
    """The regularized upper incomplete Gamma function Q(shape, x); 0 for a shape of 0 (nothing is used)."""
    if shape <= 1e-9:
        return 0.0
    front = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    if (
        x < shape + 1
    ):  # the series of the lower function, else Lentz's continued fraction: Numerical Recipes 6.2
        term = total = 1 / shape
        a = shape
        while abs(term) > abs(total) * 1e-7:
            a += 1
            term *= x / a
            total += term
        return max(1 - total * front, 0.0)
    b = x + 1 - shape
    c, d = 1e300, 1 / b
    result, i = d, 0
    while i < 300:
        i += 1
        factor = -i * (i - shape)
        b += 2
        d = 1 / (factor * d + b or 1e-300)
        c = b + factor / c or 1e-300
        change = d * c
        result *= change
        if abs(change - 1) < 1e-7:
            break
    return min(front * result, 1.0)


@dataclass(frozen=True, slots=True)
class Finished:
    """The outcome of one forecast: the event fell between these two probabilities of its distribution.

    They are equal where the window ran out; where it lasted, all that lies beyond the reset is as good.
    """

    low: float
    high: float

    @property
    def covered(self) -> float:
        """The share of it inside the 80 % interval; its mean over calibrated forecasts is 0.8."""
        if self.high <= self.low:
            return float(0.1 <= self.low <= 0.9)
        return max(min(self.high, 0.9) - max(self.low, 0.1), 0.0) / (self.high - self.low)


def score(forecast: RunOut, full_at: datetime | None) -> Finished:
    """Score a forecast whose window was full at `full_at`, or (None) lasted to its reset."""
    if full_at is None:
        return Finished(forecast.probability, 1.0)
    by = forecast.full_probability(full_at)
    return Finished(by, by)


JUDGED: Final = 60
"""Forecasts are calibrated by so many finished ones, the newest."""


def calibrate(finished: Sequence[Finished]) -> float:
    """Find the factor on the size of bursts that would have made the finished forecasts, oldest first, right.

    It is drawn to 1 while there are few of them: one look follows the other, and a week is but one outcome.
    """
    recent = finished[-JUDGED:]
    if len(recent) < JUDGED / 2:
        return 1.0
    covered = (sum(one.covered for one in recent) + 0.8 * JUDGED) / (len(recent) + JUDGED)
    if 0.75 <= covered <= 0.85:
        return 1.0
    return min(max(1 + 4 * (0.8 - covered), 0.5), 2.0)


LOOK_EVERY: Final = {True: timedelta(hours=3), False: timedelta(minutes=15)}
"""Between two looks at a finished period, by whether the window is one of days."""


def calibration(
    samples: Sequence[Sample], now: datetime, duration: timedelta, tz: tzinfo | None = None
) -> float:
    """Calibrate the next forecasts by the newest finished periods, forecast as they would have been.

    At each look only what lay before its period was learned from.
    """
    finished: list[Finished] = []
    every = LOOK_EVERY[duration >= timedelta(days=1)]
    periods = split_periods(until(samples, now))
    for index in range(len(periods) - 2, 0, -1):
        period = periods[index]
        resets_at, full_at = period.last.resets_at, period.full_since
        is_whole = resets_at is not None and resets_at - period.last.at <= every
        if len(finished) >= JUDGED or not (is_whole or full_at):
            continue
        learned = learn(samples, period.first.at, duration, tz)
        look, scores = period.first.at + every, list[Finished]()
        while look < (full_at or period.last.at):
            found = run_out(samples, look, duration, learned)
            if found is not None and found.need > 0:
                scores.append(score(found, full_at))
            look += every
        finished[:0] = scores
    return calibrate(finished)

"""When a window runs out: the probability that it does before its reset, and the time. Pure, without randomness.

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
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

HOUR: Final = timedelta(hours=1)
KNOWN_AFTER: Final = timedelta(days=2)
"""Less history than this is too little to say anything."""

LONGEST_GAP: Final = 1.5
"""Hours. Use between two samples further apart cannot be laid to an hour of the day. (Old history is hourly.)"""

FULL: Final = 0.995
"""From here on a window counts as full: readings are whole percents, and stop at 100."""

FALL: Final = 0.03
"""A level that falls by more than this was reset; less is the API correcting itself."""

RESET_MOVED: Final = timedelta(hours=1)
"""`resets_at` jitters by seconds, and slides with the clock while an idle window is empty; a new period moves it
further than this."""

BLINK: Final = timedelta(minutes=30)
"""A level that is back where it was within this time had not been reset: one reading was wrong."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading of one window. `utilization` is a ratio; `resets_at` is None while no window is open."""

    at: datetime
    utilization: float
    resets_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class FullAt:
    """When a window is full: with 10 %, 50 % and 90 % probability by then; never later than its reset."""

    p10: datetime
    p50: datetime
    p90: datetime


@dataclass(frozen=True, slots=True)
class Forecast:
    """The probability (0 to 1) that a window is full before its reset; `full_at` is None where it most likely lasts."""

    run_out_probability: float
    full_at: FullAt | None


@dataclass(frozen=True, slots=True)
class RateChange:
    """From `at` on the same work costs `factor` times what it did of this window (see `exchange`)."""

    at: datetime
    factor: float


@dataclass(frozen=True, slots=True)
class Tuning:
    """Parameters of the model; chosen on simulated users by `make backtest ARGS=--tune`, never on real weeks.

    Points are percents of the window, hours are hours of observation.
    """

    half_life_days: float = 28.0  # of the profile's memory
    even_hours: float = 24.0  # at the even pace, added to the observed hours
    hour_shrink: float = 2.0  # hours at the mean, added to each hour of the day
    weekend: float = 0.7  # weekend use per use on all days, before any weekend was seen
    weekend_shrink: float = 15.0  # points
    weekday_shrink: float = 60.0  # points
    pace_shape: float = 6.0
    pace_points: float = 5.0
    pace_half_life_days: float = 6.0
    burst: float = 2.0  # points


WEEKLY: Final = Tuning()
FIVE_HOURLY: Final = Tuning(
    half_life_days=28.0, pace_shape=4.0, pace_points=10.0, burst=6.0, hour_shrink=2.0
)


@dataclass(frozen=True, slots=True)
class Period:
    """The samples of one window between two resets, in order. It is `closed` where a later one has begun."""

    samples: tuple[Sample, ...]
    closed: bool

    @property
    def first(self) -> Sample:
        return self.samples[0]

    @property
    def last(self) -> Sample:
        return self.samples[-1]

    @property
    def full_since(self) -> datetime | None:
        """The instant of the first reading at the limit."""
        return next((s.at for s in self.samples if s.utilization >= FULL), None)


def split_periods(samples: Iterable[Sample]) -> list[Period]:
    """The samples of one window, which come in order of time, cut at each reset, early ones too."""
    runs: list[list[Sample]] = []
    for sample in samples:
        if not runs or _is_reset(runs[-1][-1], sample):
            runs.append([sample])
        else:
            runs[-1].append(sample)
    runs = _without_blinks(runs)
    return [Period(tuple(run), closed=run is not runs[-1]) for run in runs]


def _is_reset(before: Sample, after: Sample) -> bool:
    if before.utilization - after.utilization > FALL:
        return True
    if before.resets_at is None or after.resets_at is None:
        return before.resets_at is not None and after.at >= before.resets_at
    return after.resets_at - before.resets_at > RESET_MOVED


def _without_blinks(runs: list[list[Sample]]) -> list[list[Sample]]:
    """Join what a wrong reading had cut: a fall that is undone within half an hour was none."""
    kept: list[list[Sample]] = []
    position = 0
    while position < len(runs):
        run = runs[position]
        after = runs[position + 1] if position + 1 < len(runs) else None
        if (
            kept
            and after
            and after[0].at - kept[-1][-1].at <= BLINK
            and abs(after[0].utilization - kept[-1][-1].utilization) <= FALL
            and not _is_reset(kept[-1][-1], after[0])
        ):
            kept[-1].extend(after)
            position += 2
        else:
            kept.append(run)
            position += 1
    return kept


@dataclass(frozen=True, slots=True)
class Profile:
    """Mean use of one window by local hour of the week (Monday 0:00 first), in points per hour.

    `observed` is the time that it was learned from, without gaps and full hours.
    """

    points_per_hour: tuple[float, ...]
    observed: timedelta
    tz: tzinfo

    def between(self, start: datetime, end: datetime) -> float:
        """Expected use in points from `start` to `end`."""
        return sum(points for _, points in self.steps(start, end))

    def steps(self, start: datetime, end: datetime) -> Iterable[tuple[float, float]]:
        """(hours from `start`, expected points in the step) for each step that ends on a full local hour, or at `end`."""
        local = start.astimezone(self.tz)
        total = (end - start) / HOUR
        hour_of_week = local.weekday() * 24 + local.hour
        into = local.minute / 60 + local.second / 3600
        done = 0.0
        while done < total:
            step = min(1 - into, total - done)
            done, into = done + step, 0.0
            yield done, step * self.points_per_hour[hour_of_week]
            hour_of_week = (hour_of_week + 1) % 168


def learn_profile(
    periods: Sequence[Period], duration: timedelta, tz: tzinfo, now: datetime, tuning: Tuning = WEEKLY
) -> Profile:
    """The profile of all that was observed until `now`, newer use counting more.

    Full hours are left out: what would have been used there is not known. Each hour is drawn to the mean, and
    the weekend and the days of the week to what is usual, as far as there is little of them.
    """
    use, seen = [0.0] * 168, [0.0] * 168
    observed = 0.0
    for period in periods:
        for before, after in zip(period.samples, period.samples[1:]):
            gap = (after.at - before.at) / HOUR
            if not 0 < gap <= LONGEST_GAP or after.utilization >= FULL:
                continue
            observed += gap
            weight = 0.5 ** ((now - after.at) / timedelta(days=tuning.half_life_days))
            points = max(after.utilization - before.utilization, 0.0) * 100
            local = before.at.astimezone(tz)
            cell = local.weekday() * 24 + local.hour
            into = local.minute / 60 + local.second / 3600
            left = gap
            while left > 1e-9:
                step = min(1 - into, left)
                use[cell] += weight * points * step / gap
                seen[cell] += weight * step
                left, into, cell = left - step, 0.0, (cell + 1) % 168
    return Profile(_smooth(use, seen, duration, tuning), timedelta(hours=observed), tz)


def _smooth(
    use: Sequence[float], seen: Sequence[float], duration: timedelta, tuning: Tuning
) -> tuple[float, ...]:
    even = 100 / (duration / HOUR)
    mean = (sum(use) + tuning.even_hours * even) / (sum(seen) + tuning.even_hours)
    by_hour = [
        (sum(use[h::24]) + tuning.hour_shrink * mean) / (sum(seen[h::24]) + tuning.hour_shrink)
        for h in range(24)
    ]
    expected = [sum(by_hour[h] * seen[d * 24 + h] for h in range(24)) for d in range(7)]
    used = [sum(use[d * 24 : d * 24 + 24]) for d in range(7)]
    rates = []
    for day in range(7):
        kind = range(5, 7) if day >= 5 else range(5)
        usual = tuning.weekend if day >= 5 else 1.0
        of_kind = (sum(used[d] for d in kind) + tuning.weekend_shrink * usual) / (
            sum(expected[d] for d in kind) + tuning.weekend_shrink
        )
        factor = (used[day] + tuning.weekday_shrink * of_kind) / (
            expected[day] + tuning.weekday_shrink
        )
        rates.extend(by_hour[h] * factor for h in range(24))
    return tuple(rates)


SLOT: Final = timedelta(minutes=30)
"""Activity is learned by slots of this length: in whole percents a shorter one often shows no use where there was."""

CHUNK: Final = timedelta(hours=3)
"""The pace is measured in pieces of this length, at least."""

STEP: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Activity:
    """How somebody works through a day: `chance` to be active in each half hour of a working day, then of a
    weekend's day (96 in all), points per hour while active, and the likelihood to stay as one is, a slot later.
    """

    chance: tuple[float, ...]
    points_per_hour: float
    persistence: float
    observed: timedelta
    tz: tzinfo

    def steps(self, start: datetime, end: datetime, active: bool) -> Iterable[tuple[float, float]]:
        """(hours from `start`, expected points in the step) for steps of five minutes until `end`."""
        local = start.astimezone(self.tz)
        minute = local.weekday() * 1440 + local.hour * 60 + local.minute
        memory = (1.0 if active else 0.0) - self.chance[_slot_of(minute)]
        fading = self.persistence ** (STEP / SLOT)
        total, length = (end - start) / HOUR, STEP / HOUR
        done = 0.0
        while done < total:
            step = min(length, total - done)
            memory *= fading
            chance = min(max(self.chance[_slot_of(minute)] + memory, 0.0), 1.0)
            done, minute = done + step, minute + 5
            yield done, step * chance * self.points_per_hour


def _slot_of(minute_of_week: int) -> int:
    day, minute = divmod(minute_of_week % 10080, 1440)
    return minute // 30 + (48 if day >= 5 else 0)


def learn_activity(
    periods: Sequence[Period], tz: tzinfo, now: datetime, tuning: Tuning = FIVE_HOURLY
) -> Activity:
    """The activity of all that was observed until `now`; full times are left out, gaps break the chain."""
    slots: dict[int, list[float]] = {}  # half hours since 1970: points used, hours seen
    observed = 0.0
    for period in periods:
        for before, after in zip(period.samples, period.samples[1:]):
            gap = (after.at - before.at) / HOUR
            if not 0 < gap <= LONGEST_GAP or after.utilization >= FULL:
                continue
            observed += gap
            points = max(after.utilization - before.utilization, 0.0) * 100
            start = before.at.timestamp() / 1800
            end = after.at.timestamp() / 1800
            slot = int(start)
            while slot < end:
                step = min(end, slot + 1) - max(start, slot)
                cell = slots.setdefault(slot, [0.0, 0.0])
                cell[0] += points * step / (end - start)
                cell[1] += step / 2
                slot += 1
    return _activity(slots, observed, tz, now, tuning)


def _activity(
    slots: dict[int, list[float]], observed: float, tz: tzinfo, now: datetime, tuning: Tuning
) -> Activity:
    active, seen = [0.0] * 96, [0.0] * 96
    use, hours = 0.0, 0.0
    stayed, left, came = 1.4, 0.6, 0.6  # what is usual, before much was seen
    away = 1.4
    today = now.timestamp() / 1800
    for slot, (points, exposure) in slots.items():
        is_active = points >= 0.5
        weight = 0.5 ** ((today - slot) / 48 / tuning.half_life_days) * exposure * 2
        local = datetime.fromtimestamp(slot * 1800, tz)
        cell = _slot_of(local.weekday() * 1440 + local.hour * 60 + local.minute)
        seen[cell] += weight
        if is_active:
            active[cell] += weight
            use, hours = use + weight * points, hours + weight * exposure
        after = slots.get(slot + 1)
        if after is not None:
            stays = (after[0] >= 0.5) == is_active
            if is_active:
                stayed, left = stayed + stays, left + (not stays)
            else:
                away, came = away + stays, came + (not stays)
    mean = (sum(active) + 1) / (sum(seen) + 4)
    by_time = [
        (active[i] + active[i + 48] + tuning.hour_shrink * mean)
        / (seen[i] + seen[i + 48] + tuning.hour_shrink)
        for i in range(48)
    ]
    chance = []
    for offset, usual in ((0, 1.0), (48, tuning.weekend)):
        expected = sum(by_time[i] * seen[offset + i] for i in range(48))
        factor = (sum(active[offset : offset + 48]) + 10 * usual) / (expected + 10)
        chance.extend(min(value * factor, 0.98) for value in by_time)
    persistence = stayed / (stayed + left) - came / (came + away)
    return Activity(
        tuple(chance),
        (use + 4 * 20.0) / (hours + 4),
        min(max(persistence, 0.05), 0.95),
        timedelta(hours=observed),
        tz,
    )


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
        """That it is full before the reset."""
        return self._by(self.expected[-1]) if self.expected else 0.0

    def by(self, instant: datetime) -> float:
        """The probability that it is full by then; from the reset on as at the reset."""
        return self.uses(self.need, instant)

    def uses(self, points: float, instant: datetime) -> float:
        """The probability that at least so many points more are used by then, or by the reset."""
        wanted = (instant - self.start) / HOUR
        index = bisect_right(self.hours, wanted)
        if index >= len(self.hours):
            return self._by(self.expected[-1], points) if self.expected else 0.0
        before = self.expected[index - 1] if index else 0.0
        since = self.hours[index - 1] if index else 0.0
        share = max(wanted - since, 0.0) / (self.hours[index] - since)
        return self._by(before + share * (self.expected[index] - before), points)

    def at(self, probability: float) -> datetime:
        """The instant by which it is full with this probability; the reset where it is less likely than that."""
        if not self.expected or self._by(self.expected[-1]) < probability:
            return self.resets_at
        low, high = 0.0, self.expected[-1]
        while high - low > 0.02:
            middle = (low + high) / 2
            low, high = (low, middle) if self._by(middle) >= probability else (middle, high)
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

    def _by(self, expected: float, points: float | None = None) -> float:
        need = (self.need if points is None else points) / self.burst
        if need <= 0:
            return 1.0
        scaled = expected / self.burst
        return sum(upper_gamma(pace * scaled, need) for pace in self.paces) / len(self.paces)


def learn(
    samples: Sequence[Sample],
    now: datetime,
    duration: timedelta,
    tz: tzinfo = UTC,
    tuning: Tuning | None = None,
) -> Profile | Activity:
    """What `run_out` needs to know of the past, of samples of one window in order of time until `now`.

    It takes longer than the forecast itself, grows with the history, and may be up to a day old.
    """
    periods = split_periods(_until(samples, now))
    if duration < timedelta(days=1):
        return learn_activity(periods, tz, now, tuning or FIVE_HOURLY)
    return learn_profile(periods, duration, tz, now, tuning or WEEKLY)


def run_out(
    samples: Sequence[Sample],
    now: datetime,
    duration: timedelta,
    learned: Profile | Activity,
    calibration: float = 1.0,
    change: RateChange | None = None,
    tuning: Tuning | None = None,
) -> RunOut | None:
    """The distribution of the time at which the window is full; None where no window is open or too little is known.

    Samples are those of one window in order of time; the last two periods are enough, and what is later than `now` is
    not looked at. `duration` is the length of the window. `calibration` scales the size of bursts (see `calibrate`).
    """
    periods = split_periods(_until(samples, now, since=now - 2 * duration))
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
        used, expected = _worked(period, start, learned)
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
    paces = gamma_quantiles(
        shape + used / tuning.pace_points, shape / mean + expected / tuning.pace_points
    )
    need = max(99.5 - last.utilization * 100, 0.25) if last.utilization < FULL else 0.0
    burst = tuning.burst * calibration
    return RunOut(last.at, resets_at, tuple(hours), tuple(total[1:]), paces, need, burst)


def _until(
    samples: Sequence[Sample], now: datetime, since: datetime | None = None
) -> Sequence[Sample]:
    end = bisect_right(samples, now, key=lambda sample: sample.at)
    begin = bisect_left(samples, since, key=lambda sample: sample.at) if since else 0
    return samples[begin:end]


def forecast(
    samples: Sequence[Sample],
    now: datetime,
    duration: timedelta,
    learned: Profile | Activity,
    calibration: float = 1.0,
    change: RateChange | None = None,
) -> Forecast | None:
    """As `run_out`, in the figures that are shown."""
    found = run_out(samples, now, duration, learned, calibration, change)
    if found is None:
        return None
    if found.need <= 0:
        since = split_periods(_until(samples, now))[-1].full_since or now
        return Forecast(1.0, FullAt(since, since, since))
    probability = found.probability
    if probability < 0.5:
        return Forecast(probability, None)
    return Forecast(probability, FullAt(found.at(0.1), found.at(0.5), found.at(0.9)))


def _evidence(
    periods: Sequence[Period], start: datetime, profile: Profile, now: datetime, half_life: timedelta
) -> tuple[float, float]:
    """Points used of late, and expected of the same time; from `start` on, older use counting less.

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
            is_full = sample.utilization >= FULL
            if sample.at - mark.at < CHUNK and sample is not period.last and not is_full:
                continue
            weight = 0.5 ** ((now - sample.at) / half_life)
            used += weight * max(sample.utilization - mark.utilization, 0.0) * 100
            expected += weight * profile.between(mark.at, sample.at)
            mark = sample
            if is_full:
                break
    return used, expected


def _worked(period: Period, start: datetime, activity: Activity) -> tuple[float, float]:
    """Points used in this window, and expected of the slots in which there was use."""
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


def is_active(samples: Sequence[Sample], now: datetime) -> bool:
    """Whether the level rose within the last half hour."""
    recent = [sample for sample in samples if now - SLOT <= sample.at <= now]
    return len(recent) > 1 and recent[-1].utilization - recent[0].utilization >= 0.005


_NORMAL: Final = (-1.7317, -1.1503, -0.8122, -0.5485, -0.3186, -0.1046, 0.1046, 0.3186, 0.5485, 0.8122, 1.1503, 1.7317)  # fmt: skip
"""Quantiles of the normal distribution at 1/24, 3/24, …, 23/24."""


def gamma_quantiles(shape: float, rate: float) -> tuple[float, ...]:
    """Twelve equally likely values of a Gamma distribution, by the approximation of Wilson and Hilferty."""
    ninth = 1 / (9 * shape)
    return tuple(
        max(shape / rate * (1 - ninth + z * math.sqrt(ninth)) ** 3, 1e-6) for z in _NORMAL
    )


def upper_gamma(shape: float, x: float) -> float:
    """The regularized upper incomplete Gamma function Q(shape, x); 0 for a shape of 0 (nothing is used)."""
    if shape <= 1e-9:
        return 0.0
    front = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    if x < shape + 1:  # the series of the lower function, else Lentz's continued fraction: Numerical Recipes 6.2
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
    """What became of one forecast: the event fell between these two probabilities of its distribution.

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
    """How a forecast ended: the window was full at `full_at`, or (None) lasted to its reset."""
    if full_at is None:
        return Finished(forecast.probability, 1.0)
    by = forecast.by(full_at)
    return Finished(by, by)


JUDGED: Final = 60
"""So many finished forecasts, the newest ones, say how well calibrated they are."""


def calibrate(finished: Sequence[Finished]) -> float:
    """The factor on the size of bursts that the account's own finished forecasts ask for, oldest first: 1 to leave it.

    It is drawn to 1 while there are few of them: one look follows the other, and a week is but one outcome.
    """
    recent = finished[-JUDGED:]
    if len(recent) < JUDGED / 2:
        return 1.0
    covered = (sum(one.covered for one in recent) + 0.8 * JUDGED) / (len(recent) + JUDGED)
    if 0.75 <= covered <= 0.85:
        return 1.0
    return min(max(1 + 4 * (0.8 - covered), 0.5), 2.0)

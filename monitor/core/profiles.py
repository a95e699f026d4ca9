"""Learns from samples, cut at the resets, at which hours an account is used. Pure.

`Profile` is the mean use at each hour of the local week, for windows of a week. `Activity` is the chance to be active
at each half hour of the day, for windows of five hours: somebody who works now very likely works on for a while, and
nobody works all of the window.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice, pairwise
from typing import Final, NamedTuple

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
LONGEST_GAP: Final = 1.5
"""Hours. Use between two samples further apart cannot be laid to an hour of the day. (Old history is hourly.)"""

FULL_FROM: Final = 0.995
"""From here on a window counts as full: readings are whole percents, and stop at 100."""

FALL: Final = 0.03
"""A level that falls by more than this was reset; less is the API correcting itself."""

RESET_MOVED: Final = timedelta(hours=1)
"""`resets_at` jitters by seconds, and slides with the clock while an idle window is empty; a new period moves it
further than this."""

BLINK: Final = timedelta(minutes=30)
"""A level that is back where it was within this time had not been reset: one reading was wrong."""


class Sample(NamedTuple):
    """One reading of one window. `utilization` is a ratio; `resets_at` is None while no window is open."""

    at: datetime
    utilization: float
    resets_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Tuning:
    """Parameters of the model; chosen on simulated users by `python -m tools.backtest.tune`, never on real weeks.

    Points are percents of the window, hours are hours of observation.
    """

    half_life_days: float = 28.0  # of the profile's memory
    even_hours: float = 24.0  # at the even pace, added to the observed hours
    hour_shrink: float = 2.0  # hours at the mean, added to each hour of the day
    weekend: float = 0.5  # weekend use per use on all days, before any weekend was seen
    weekend_shrink: float = 40.0  # points
    weekday_shrink: float = 150.0  # points
    pace_shape: float = 6.0
    pace_points: float = 0.6  # bursts that count as much as one of the shape
    pace_half_life_days: float = 1.5
    burst: float = 9.0  # points, before it is learned
    burst_days: float = 6.0
    burst_factor: float = 1.1


WEEKLY: Final = Tuning()
FIVE_HOURLY: Final = Tuning(
    half_life_days=60.0, weekend=0.7, pace_shape=4.0, pace_points=0.83, burst=18.0
)


@dataclass(frozen=True, slots=True)
class Period:
    """The samples of one window between two resets, in order; there is at least one."""

    samples: tuple[Sample, ...]

    @property
    def first(self) -> Sample:
        return self.samples[0]

    @property
    def last(self) -> Sample:
        return self.samples[-1]

    @property
    def full_since(self) -> datetime | None:
        """The instant of the first reading at the limit."""
        return next((s.at for s in self.samples if s.utilization >= FULL_FROM), None)


def split_periods(samples: Iterable[Sample]) -> list[Period]:
    """Cut the samples of one window, in order of time, at each reset, early ones too.

    A fall that is undone within half an hour was a wrong reading, which is left out, and no reset.
    """
    runs: list[list[Sample]] = []
    in_order = tuple(samples)
    for index, sample in enumerate(in_order):
        before = runs[-1][-1] if runs else None
        if before is None or _is_reset(before, sample):
            if before is not None and _is_blink(before, in_order, index):
                continue
            runs.append([sample])
        else:
            runs[-1].append(sample)
    return [Period(tuple(run)) for run in runs]


@dataclass(slots=True)
class Slice:
    """The levels of one window within a slice of time; `last` is that at its end, which the next slice begins with."""

    low: float
    high: float
    last: float
    is_reset: bool = False


GAP: Final = timedelta(hours=2)
"""In a longer gap between two samples nothing is known; older samples are an hour apart."""


def slices(
    samples: Sequence[Sample], since: datetime, slice_: timedelta, count: int, now: datetime
) -> list[Slice | None]:
    """Find the levels in each slice of time from `since` to `now`; None where nothing is known."""
    found: list[Slice | None] = [None] * count
    start, secs = since.timestamp(), slice_.total_seconds()  # numbers: a year has 20,000 samples
    gap = max(GAP.total_seconds(), secs * 2)

    def note(index: int, level: float, *, begins: bool = False) -> None:
        if not 0 <= index < count:
            return
        known = found[index]
        if known is None:
            found[index] = Slice(level, level, level, begins)
            return
        if level < known.low:
            known.low = level
        elif level > known.high:
            known.high = level
        known.last, known.is_reset = level, known.is_reset or begins

    def carry(level: float, after: int, end: float) -> None:
        """The level lasts from the slice after that until an instant."""
        for index in range(max(after + 1, 0), min(int((end - start) // secs), count - 1) + 1):
            note(index, level)

    before: Sample | None = None
    known_from, known_place = 0.0, 0
    for period in split_periods(samples):
        begins = before is not None
        for sample in period.samples:
            at = sample.at.timestamp()
            place = int((at - start) // secs)
            if before is not None and place > known_place:
                end = min(at, known_from + gap)
                if begins and before.resets_at is not None:
                    end = min(end, before.resets_at.timestamp())
                carry(before.utilization, known_place, end)
            note(place, sample.utilization, begins=begins)
            before, known_from, known_place, begins = sample, at, place, False
    if before is not None:
        end = min((at for at in (now, before.resets_at) if at), default=now).timestamp()
        carry(before.utilization, known_place, min(end, known_from + gap))
    return found


def _is_reset(before: Sample, after: Sample) -> bool:
    if before.utilization - after.utilization > FALL:
        return True
    if before.resets_at is after.resets_at:
        return False
    if before.resets_at is None or after.resets_at is None:
        return before.resets_at is not None and after.at >= before.resets_at
    return after.resets_at - before.resets_at > RESET_MOVED


def _is_blink(before: Sample, samples: Sequence[Sample], index: int) -> bool:
    """Return whether the level from before the fall at `index` is read again within half an hour."""
    for sample in islice(samples, index + 1, None):
        if sample.at - before.at > BLINK:
            return False
        if sample.utilization >= before.utilization - FALL and not _is_reset(before, sample):
            return True
    return False


@dataclass(frozen=True, slots=True)
class Profile:
    """Mean use of one window by local hour of the week (Monday 0:00 first), in points per hour.

    `burst` is how unsteady the use is: the variance of a day's use over its mean, in points. `observed` is the time
    that it was learned from, without gaps and full hours. A `tz` of None is the machine's.
    """

    points_per_hour: tuple[float, ...]
    burst: float
    observed: timedelta
    tz: tzinfo | None

    def between(self, start: datetime, end: datetime) -> float:
        """Expected use in points from `start` to `end`."""
        return sum(points for _, points in self.steps(start, end))

    def steps(self, start: datetime, end: datetime) -> Iterable[tuple[float, float]]:
        """(hours from `start`, expected points) of each step; they end on full local hours, and at `end`."""
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
    periods: Sequence[Period],
    duration: timedelta,
    tz: tzinfo | None,
    now: datetime,
    tuning: Tuning = WEEKLY,
) -> Profile:
    """Learn the profile from all that was observed until `now`, newer use counting more.

    Full hours are left out: what would have been used there is not known. Each hour is drawn to the mean, and
    the weekend and the days of the week to what is usual, as far as there is little of them.
    """
    use, seen = [0.0] * 168, [0.0] * 168
    observed = 0.0
    for period in periods:
        for before, after in pairwise(period.samples):
            gap = (after.at - before.at) / HOUR
            if not 0 < gap <= LONGEST_GAP or after.utilization >= FULL_FROM:
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
    rates = _smooth(use, seen, duration, tuning)
    profile = Profile(rates, tuning.burst, timedelta(hours=observed), tz)
    return replace(profile, burst=_burst(periods, profile, now, tuning))


def _burst(periods: Sequence[Period], profile: Profile, now: datetime, tuning: Tuning) -> float:
    """Measure how far each day's use was from the expectation by the profile and the days before."""
    even = sum(profile.points_per_hour) / 7  # points a day
    squares = tuning.burst_days * even * tuning.burst
    total = tuning.burst_days * even
    fading = 0.5 ** (1 / tuning.pace_half_life_days)
    used, expected = 0.0, 0.0
    weight = tuning.pace_shape * tuning.burst * tuning.pace_points
    for period in periods:
        mark = period.first
        for sample in period.samples:
            if sample.utilization >= FULL_FROM:
                break
            if sample.at - mark.at < DAY:
                continue
            days = (sample.at - mark.at) / DAY
            points = max(sample.utilization - mark.utilization, 0.0) * 100
            usual = profile.between(mark.at, sample.at)
            said = max((weight + used) / (weight + expected) * usual, 0.5)
            if days < 1.5:
                recency = 0.5 ** ((now - sample.at) / DAY / tuning.half_life_days)
                squares += recency * min((points - said) ** 2, 16 * said * tuning.burst)
                total += recency * said
            used = (used + points) * fading**days
            expected = (expected + usual) * fading**days
            mark = sample
    return squares / total


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
    rates: list[float] = []
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

STEP: Final = timedelta(minutes=5)

MARGIN: Final = 0.1
"""The chance to be active is known so well."""

NEAR: Final = (-2, -1, 1, 2)
"""A half hour of which little was seen is taken to be like those around it."""


@dataclass(frozen=True, slots=True)
class Activity:
    """The habits of a day: the `chance` to be active in each half hour of a working day, then of a weekend's day (96 in
    all), the points per hour while active, and the likelihood to be as active or idle half an hour later.
    """

    chance: tuple[float, ...]
    points_per_hour: float
    persistence: float
    observed: timedelta
    tz: tzinfo | None

    def steps(self, start: datetime, end: datetime, active: bool) -> Iterable[tuple[float, float]]:
        """(hours from `start`, expected points in the step) for steps of five minutes until `end`.

        `active` says whether there was use in the half hour before.
        """
        local = start.astimezone(self.tz)
        minute = local.weekday() * 1440 + local.hour * 60 + local.minute
        memory = (1.0 if active else 0.0) - self.chance[_slot_of(minute)]
        before = self.chance[_slot_of(minute - 30)]
        fading = self.persistence ** (STEP / SLOT)
        total, length = (end - start) / HOUR, STEP / HOUR
        done = 0.0
        while done < total:
            step = min(length, total - done)
            memory *= fading
            usual = self.chance[_slot_of(minute)]
            chance = min(max(usual + memory, 0.0), 1.0)
            if active:  # no more of those who worked can work on than work at all, but for a margin
                chance = min(chance, (usual + MARGIN) / before)
            done, minute = done + step, minute + 5
            yield done, step * chance * self.points_per_hour


def _slot_of(minute_of_week: int) -> int:
    day, minute = divmod(minute_of_week % 10080, 1440)
    return minute // 30 + (48 if day >= 5 else 0)


def learn_activity(
    periods: Sequence[Period], tz: tzinfo | None, now: datetime, tuning: Tuning = FIVE_HOURLY
) -> Activity:
    """Learn the activity from all that was observed until `now`, except while the window was full or unread."""
    return _activity(_slots(periods), tz, now, tuning)


def learn_demand(
    accounts: Mapping[str, Sequence[Sample]],
    plan_weights: Mapping[str, float],
    tz: tzinfo | None,
    now: datetime,
    tuning: Tuning = FIVE_HOURLY,
) -> Activity:
    """Learn one person's activity on several accounts from their 5-hour windows; points are those of plan weight 1."""
    merged: dict[int, list[float]] = {}
    for name, samples in accounts.items():
        weight = plan_weights.get(name, 1.0)
        for slot, (points, hours) in _slots(split_periods(until(samples, now))).items():
            cell = merged.setdefault(slot, [0.0, 0.0])
            cell[0] += points * weight
            cell[1] = max(cell[1], hours)
    return _activity(merged, tz, now, tuning)


def _slots(periods: Sequence[Period]) -> dict[int, list[float]]:
    """Sum up the points used and the hours seen, by half hours since 1970."""
    slots: dict[int, list[float]] = {}
    for period in periods:
        for before, after in pairwise(period.samples):
            gap = (after.at - before.at) / HOUR
            if not 0 < gap <= LONGEST_GAP or before.utilization >= FULL_FROM:
                continue
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
    return slots


def _activity(
    slots: dict[int, list[float]], tz: tzinfo | None, now: datetime, tuning: Tuning
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
    both = [(active[i] + active[i + 48], seen[i] + seen[i + 48]) for i in range(48)]
    by_time = []
    for i, (often, of) in enumerate(both):
        near = [both[(i + offset) % 48] for offset in NEAR]
        around = (sum(n[0] for n in near) + tuning.hour_shrink * mean) / (
            sum(n[1] for n in near) + tuning.hour_shrink
        )
        by_time.append((often + tuning.hour_shrink * around) / (of + tuning.hour_shrink))
    chance: list[float] = []
    for offset, usual in ((0, 1.0), (48, tuning.weekend)):
        expected = sum(by_time[i] * seen[offset + i] for i in range(48))
        factor = (sum(active[offset : offset + 48]) + 10 * usual) / (expected + 10)
        chance.extend(min(value * factor, 0.98) for value in by_time)
    persistence = stayed / (stayed + left) - came / (came + away)
    return Activity(
        tuple(chance),
        (use + 4 * 20.0) / (hours + 4),
        min(max(persistence, 0.05), 0.95),
        timedelta(hours=sum(hours for _, hours in slots.values())),
        tz,
    )


def learn(
    samples: Sequence[Sample],
    now: datetime,
    duration: timedelta,
    tz: tzinfo | None = UTC,
    tuning: Tuning | None = None,
) -> Profile | Activity:
    """Learn from samples of one window, in order of time until `now`, what `run_out` needs.

    This takes longer than the forecast itself, grows with the history, and its result may be up to a day old.
    """
    periods = split_periods(until(samples, now))
    if duration < timedelta(days=1):
        return learn_activity(periods, tz, now, tuning or FIVE_HOURLY)
    return learn_profile(periods, duration, tz, now, tuning or WEEKLY)


def until(
    samples: Sequence[Sample], now: datetime, since: datetime | None = None
) -> Sequence[Sample]:
    end = bisect_right(samples, now, key=lambda sample: sample.at)
    begin = bisect_left(samples, since, key=lambda sample: sample.at) if since else 0
    return samples[begin:end]


def is_active(samples: Sequence[Sample], now: datetime) -> bool:
    """Return whether the level rose within the last half hour."""
    recent = [sample for sample in samples if now - SLOT <= sample.at <= now]
    return len(recent) > 1 and recent[-1].utilization - recent[0].utilization >= 0.005

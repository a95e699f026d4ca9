"""Rolling looks at a track: at each only the past is known, and the outcome is told by what came after."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor.core.forecast import Finished, calibrate, run_out, score
from monitor.core.profiles import HOUR, Activity, Period, Profile, Tuning, learn, split_periods
from tools.backtest.methods import Answer, Look, Method
from tools.backtest.users import Track


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a look ended; `full_at` is None where the window lasted. Looks of one period share a `group`."""

    group: str
    now: datetime
    full_at: datetime | None
    resets_at: datetime
    answers: Mapping[str, Answer]
    finished: Finished
    interval: tuple[datetime, datetime]
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When looks are taken: first after the reset, then every so often; the past is learned again so often."""

    first: timedelta
    every: timedelta
    learn_every: timedelta


WEEKLY = Rhythm(12 * HOUR, 3 * HOUR, timedelta(0))
FIVE_HOURLY = Rhythm(HOUR / 2, HOUR / 4, 24 * HOUR)


def looks(
    track: Track,
    duration: timedelta,
    rhythm: Rhythm,
    naive: Mapping[str, Method],
    since: datetime | None = None,
    tuning: Tuning | None = None,
) -> Iterator[Outcome]:
    """Each look at the track from `since` on of which the outcome is known and of which we say anything."""
    periods = split_periods(track.samples)
    learned: Profile | Activity | None = None
    learned_at: datetime | None = None
    finished: list[Finished] = []
    for index, period in enumerate(periods):
        resets_at = period.last.resets_at
        if resets_at is None:
            continue
        start = resets_at - duration
        if index:
            start = max(start, periods[index - 1].last.at)
        if period.first.utilization == 0:
            start = max(start, period.first.at)  # after a gap: nothing was used of it before
        full_at = period.full_since
        if full_at is None and resets_at - period.last.at > rhythm.every:
            continue  # cut off by an early reset, a gap or the end of the data: nobody knows
        ended: list[Finished] = []
        calibration = calibrate(finished)
        now = start + rhythm.first
        while now < (full_at or resets_at):
            known = _known(period, now)
            if known is not None:
                began = time.perf_counter()
                if learned is None or learned_at is None or now - learned_at >= rhythm.learn_every:
                    learned, learned_at = learn(track.samples, now, duration, tuning=tuning), now
                found = run_out(track.samples, now, duration, learned, calibration, tuning=tuning)
                if found is not None and found.need > 0:
                    interval = found.full_by(0.1), found.full_by(0.9)
                    ours = Answer(found.probability, found.full_by(0.5))
                    spent = (time.perf_counter() - began) * 1000
                    ended.append(score(found, full_at))
                    if since is None or now >= since:
                        look = Look(now, start, resets_at, known, periods[:index])
                        answers = {name: method(look) for name, method in naive.items()}
                        yield Outcome(
                            f"{track.name} {start:%Y-%m-%d}",
                            now,
                            full_at,
                            resets_at,
                            {"ours": ours, **answers},
                            ended[-1],
                            interval,
                            spent,
                        )
            now += rhythm.every
        finished.extend(ended)


def _known(period: Period, now: datetime) -> Period | None:
    samples = tuple(sample for sample in period.samples if sample.at <= now)
    return Period(samples) if samples else None

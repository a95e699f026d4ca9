"""How somebody works: idle nights, some sessions a day, slow or heavy, and now and then a jump."""

from collections.abc import Iterator
from random import Random

from tools.simulate.record import DAY, HOUR

WEEKEND = (5, 6)
MEAN_PAUSE = 90.0


def uses(rng: Random, days: int) -> list[tuple[float, float]]:
    """(instant, points of the 5 h window) of each piece of work, in order."""
    pace = rng.choice((6.0, 15.0, 30.0, 60.0))
    starts_at = rng.uniform(6, 14)
    works_weekends = rng.random() < 0.4
    pieces = [
        piece
        for day in range(days)
        if works_weekends or day % 7 not in WEEKEND
        for piece in _day(rng, day * DAY + starts_at * HOUR, pace)
    ]
    return sorted(pieces)


def _day(rng: Random, start: float, pace: float) -> Iterator[tuple[float, float]]:
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        begin = start + rng.uniform(0, 9 * HOUR)
        mood = rng.choice((0.3, 1.0, 1.0, 3.0))
        yield from _session(rng, begin, begin + rng.uniform(0.2, 3.5) * HOUR, pace * mood)


def _session(rng: Random, start: float, stop: float, pace: float) -> Iterator[tuple[float, float]]:
    """`pace` is in points an hour."""
    t = start
    while (t := t + rng.expovariate(1 / MEAN_PAUSE)) < stop:
        jump = rng.uniform(10, 45) if rng.random() < 0.004 else 0.0
        yield t, pace * MEAN_PAUSE / HOUR * rng.expovariate(1) + jump

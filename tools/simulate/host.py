"""The machine that the program runs on: it sleeps, loses its network, has its clock set, and kills the program."""

from dataclasses import dataclass
from random import Random

from tools.simulate.record import DAY, HOUR, MINUTE

RIGHT = 60.0
"""A clock that is off by less is called right."""


@dataclass(frozen=True, slots=True)
class Happening:
    """`kind` is sleep, wake, start, kill, step or refresh.

    `value` is the time for which a kill keeps the program down, or the new error of a clock that is set.
    """

    t: float
    kind: str
    value: float = 0.0


@dataclass(frozen=True, slots=True)
class Life:
    """What happens in order, the spans without a network, and the error of the clock at the start."""

    happenings: list[Happening]
    outages: list[tuple[float, float]]
    skew: float

    def is_offline(self, t: float) -> bool:
        return any(start <= t < stop for start, stop in self.outages)


def life(rng: Random, days: int) -> Life:
    skew = rng.uniform(-20, 20)
    sleeps = _sleeps(rng, days)
    happenings = [
        *(Happening(start, "sleep") for start, _ in sleeps),
        *(Happening(stop, "wake") for _, stop in sleeps),
        *_kills(rng, days),
        *_steps(rng, days, skew),
        *(Happening(t, "refresh") for t in _times(rng, days, rng.choice((0, 10, 60)))),
    ]
    outages = [(t, t + _some_time(rng)) for t in _times(rng, days, rng.choice((1, 4, 10)))]
    return Life(sorted(happenings, key=lambda h: h.t), outages, skew)


def _times(rng: Random, days: int, count: int) -> list[float]:
    return [rng.uniform(0, days * DAY) for _ in range(count)]


def _some_time(rng: Random) -> float:
    return rng.choice((20.0, 3 * MINUTE, 20 * MINUTE, 2 * HOUR, 6 * HOUR)) * rng.uniform(0.3, 1.5)


def _sleeps(rng: Random, days: int) -> list[tuple[float, float]]:
    """A laptop sleeps at night, some week-ends, and in between; a server never. No two overlap."""
    if rng.random() < 0.2:
        return []
    spans = [_night(rng, day) for day in range(days)]
    spans += [(t, t + rng.uniform(MINUTE, 3 * HOUR)) for t in _times(rng, days, 3 * days // 2)]
    spans += [(t, t + rng.uniform(1, 3) * DAY) for t in _times(rng, days, rng.choice((0, 1, 2)))]
    return _merged(spans)


def _night(rng: Random, day: int) -> tuple[float, float]:
    start = day * DAY + rng.gauss(19.5, 1.5) * HOUR
    return start, start + rng.gauss(12, 1.5) * HOUR


def _merged(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    apart: list[tuple[float, float]] = []
    for start, stop in sorted(spans):
        if apart and start <= apart[-1][1]:
            apart[-1] = (apart[-1][0], max(stop, apart[-1][1]))
        else:
            apart.append((start, stop))
    return apart


def _kills(rng: Random, days: int) -> list[Happening]:
    """Restarts and kills; the program comes back at once, or after some time."""
    return [
        Happening(t, "kill", rng.choice((1.0, 1.0, 30.0, _some_time(rng))))
        for t in _times(rng, days, rng.choice((2, 10, 40)))
    ]


def _steps(rng: Random, days: int, skew: float) -> list[Happening]:
    """The clock goes wrong by minutes to hours, forth or back, and is set right some time later."""
    steps = []
    for t in _times(rng, days, rng.choice((0, 1, 3))):
        wrong = rng.choice((-1, 1)) * rng.choice((2 * MINUTE, 10 * MINUTE, HOUR, 5 * HOUR))
        steps += [Happening(t, "step", wrong), Happening(t + _some_time(rng), "step", skew)]
    return steps

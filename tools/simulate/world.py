"""Makes the truth of an account for some days, from a seed: plans, use, resets early and due, moved schedules."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tools.simulate.activity import uses
from tools.simulate.meter import Meter
from tools.simulate.record import DAY, FIVE_HOURS, HOUR, SEVEN_DAYS
from tools.simulate.truth import Account

FABLE = "7d_fable"
PLANS = {
    "max": (FIVE_HOURS, SEVEN_DAYS, FABLE),
    "pro": (FIVE_HOURS, SEVEN_DAYS),
    "no 5h": (SEVEN_DAYS, FABLE),
    "credits": (),
}
WEIGHTS = (50, 36, 11, 3)
FORMS = ("unchanged", "moved", "closed")
SHIFTS = {
    FIVE_HOURS: (4 * HOUR, 8 * HOUR, -HOUR),
    SEVEN_DAYS: (-2 * DAY, -5 * HOUR, HOUR, DAY, 3 * DAY),
}
FULL = 100.0
RESETS_APART = HOUR


def account(rng: Random, days: int) -> Account:
    """One account's truth; about one plan in ten goes away for some days and comes back."""
    keys = PLANS[rng.choices(tuple(PLANS), WEIGHTS)[0]]
    making = _Making(rng, days, [_meter(rng, key) for key in keys])
    making.run()
    return Account(
        {meter.key: meter.window() for meter in making.meters},
        {key: tuple(spans) for key, spans in making.absent.items()},
        decimals=rng.choice((0, 0, 0, 1)),
    )


def _meter(rng: Random, key: str) -> Meter:
    if key == FIVE_HOURS:
        return Meter(key, 5 * HOUR, None, always_open=False)
    anchor = rng.randrange(7 * 24) * HOUR
    return Meter(key, 7 * DAY, anchor, always_open=key == SEVEN_DAYS or rng.random() < 0.5)


@dataclass(slots=True)
class _Habits:
    """How much of a week, and of a model's week, one point of the 5 h window is; how often things happen."""

    week: float
    model: float
    model_share: float
    banked: float


class _Making:
    """Use and special events, merged in the order of time."""

    def __init__(self, rng: Random, days: int, meters: list[Meter]) -> None:
        self.meters = meters
        self.absent: dict[str, list[tuple[float, float]]] = {}
        self._rng = rng
        self._days = days
        self._habits = _Habits(
            week=rng.uniform(0.06, 0.35),
            model=rng.uniform(0.1, 0.6),
            model_share=rng.uniform(0.1, 0.9),
            banked=rng.choice((0.0, 0.1, 0.3)),
        )
        self._specials: list[tuple[float, int, Callable[[float], None]]] = []
        self._count = 0
        self._last_reset = -RESETS_APART

    def run(self) -> None:
        self._plan()
        for t, points in uses(self._rng, self._days):
            self._specials_until(t)
            self._use(t, points)
        self._specials_until(self._days * DAY)
        for meter in self.meters:
            meter.advance(self._days * DAY)

    def _plan(self) -> None:
        rng = self._rng
        for _ in range(rng.choice((0, 1, 2))):
            self._at(rng.uniform(0, self._days * DAY), self._reset_early)
        for _ in range(rng.choice((0, 1, 2, 4))):
            self._at(rng.uniform(0, self._days * DAY), self._move_schedule)
        if rng.random() < 0.1:
            self._at(rng.uniform(0, self._days * DAY), self._lose_plan)

    def _at(self, t: float, act: Callable[[float], None]) -> None:
        self._count += 1
        heapq.heappush(self._specials, (t, self._count, act))

    def _specials_until(self, t: float) -> None:
        while self._specials and self._specials[0][0] <= t:
            at, _, act = heapq.heappop(self._specials)
            self._advance(at)
            act(at)
        self._advance(t)

    def _advance(self, t: float) -> None:
        for meter in self.meters:
            meter.advance(t)

    def _use(self, t: float, points: float) -> None:
        """A full window refuses work, but what is under way, or paid for, still counts."""
        rng = self._rng
        full = any(m.used >= FULL for m in self.meters if m.key != FABLE)
        if (full and rng.random() > 0.03) or any(s <= t < e for s, e in self._absences()):
            return
        for meter in self.meters:
            before = meter.used
            meter.use(t, points * self._share(meter.key))
            if before < 85 <= meter.used or before < FULL <= meter.used:
                self._perhaps_bank(t)

    def _absences(self) -> list[tuple[float, float]]:
        return [span for spans in self.absent.values() for span in spans]

    def _share(self, key: str) -> float:
        habits = self._habits
        if key == FIVE_HOURS:
            return 1.0
        if key == SEVEN_DAYS:
            return habits.week
        return habits.model if self._rng.random() < habits.model_share else 0.0

    def _perhaps_bank(self, t: float) -> None:
        """Some spend a banked reset when a window is full, or nearly so."""
        if self._rng.random() < self._habits.banked:
            self._at(t + self._rng.uniform(20, 2 * HOUR), self._reset_early)

    def _reset_early(self, t: float) -> None:
        if t - self._last_reset < RESETS_APART or not self.meters:
            return
        self._last_reset = t
        rng = self._rng
        form = rng.choice(FORMS)
        left = rng.choice((0.0, 0.0, 0.0, 1.0, 3.0))
        chosen = rng.choice([[m] for m in self.meters] + [self.meters])
        for meter in chosen:
            meter.reset(t, form, left)

    def _move_schedule(self, t: float) -> None:
        if self.meters:
            meter = self._rng.choice(self.meters)
            meter.move_end(t, self._rng.choice(SHIFTS.get(meter.key, SHIFTS[SEVEN_DAYS])))

    def _lose_plan(self, t: float) -> None:
        """The plan has no limits for some days (credits only); afterwards everything begins anew."""
        until = t + self._rng.uniform(0.1, 4) * DAY
        for meter in self.meters:
            self.absent[meter.key] = [(t, until)]
        self._at(until, self._begin_anew)

    def _begin_anew(self, t: float) -> None:
        for meter in self.meters:
            meter.reset(t, "moved" if meter.always_open else "closed", 0.0)

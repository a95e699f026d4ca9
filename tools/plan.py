"""`make plan`: which account to use when, by our choice and by naive rules, on simulated people with several accounts.

Work arrives in sessions and is lost where no account is free. The bound serves the week that expires first and knows no
5-hour limit: no rule loses less. Figures are means over all settings and seeds; the same seed gives the same figures.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

from monitor.core import planning

WEEKS: Final = 6
STEPS_A_DAY: Final = 288
STEPS_A_WEEK: Final = 7 * STEPS_A_DAY
WINDOW: Final = 60  # steps of five minutes
FULL_WINDOWS: Final = 7.0  # a week is worth
WEEK_POINTS: Final = 100 * FULL_WINDOWS
SEEDS: Final = 8
START: Final = datetime(2026, 1, 5, tzinfo=UTC)
STEP: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Setting:
    """So many accounts; work in office hours or all day; `load` is the mean work over all that the weeks hold."""

    accounts: int
    hours: str
    load: float


SETTINGS: Final = (
    Setting(2, "office", 0.8),
    Setting(3, "office", 0.6),
    Setting(4, "office", 0.8),
    Setting(8, "office", 0.6),
    Setting(2, "day", 1.3),
    Setting(3, "day", 1.1),
    Setting(4, "day", 1.2),
    Setting(5, "day", 1.0),
)
"""Chosen, as the lengths of sessions, so that the naive rules lose and waste what is known of them; ours had no say."""

WORKING: Final = {"office": (range(5), 9, 18), "day": (range(7), 8, 23)}
SESSION_STEPS: Final = 6.0  # on average
PAUSE_STEPS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Work:
    """Points of a 5-hour window that are wanted in each step, and the number of the session they belong to."""

    points: list[float]
    session: list[int]


def work_of(setting: Setting, rng: Random) -> Work:
    days, first, last = WORKING[setting.hours]
    total = WEEKS * STEPS_A_WEEK
    points, session = [0.0] * total, [0] * total
    number = 0
    week_factor = 1.0
    for day in range(WEEKS * 7):
        if day % 7 == 0:
            week_factor = math.exp(rng.gauss(0, 0.25))
        if day % 7 not in days:
            continue
        day_factor = week_factor * math.exp(rng.gauss(0, 0.35))
        at = day * STEPS_A_DAY + round((first + rng.gauss(0, 0.4)) * 12)
        end = day * STEPS_A_DAY + last * 12
        while at < end:
            number += 1
            factor = day_factor * math.exp(rng.gauss(0, 0.5))
            stop = min(at + 1 + round(rng.expovariate(1 / SESSION_STEPS)), end)
            for step in range(at, stop):
                points[step] = factor * rng.gammavariate(1.5, 1 / 1.5)
                session[step] = number
            at = stop + 1 + round(rng.expovariate(1 / PAUSE_STEPS))
    scale = setting.load * setting.accounts * WEEK_POINTS * WEEKS / sum(points)
    return Work([value * scale for value in points], session)


@dataclass(slots=True)
class Account:
    """Points left of the 5-hour window and of the week; `window_ends` is None while no window is open."""

    index: int
    week_ends: int
    left: float = 100.0
    week: float = WEEK_POINTS
    window_ends: int | None = None

    @property
    def room(self) -> float:
        return min(self.left, self.week)

    @property
    def is_free(self) -> bool:
        return self.room >= 0.5

    def use(self, points: float, step: int) -> float:
        """Use so many points at most; what could be used."""
        used = min(points, self.room)
        self.open(step)
        self.left -= used
        self.week -= used
        return used

    def open(self, step: int) -> None:
        if self.window_ends is None:
            self.window_ends = step + WINDOW

    def limits(self) -> planning.AccountLimits:
        ends = None if self.window_ends is None else START + self.window_ends * STEP
        return planning.AccountLimits(
            str(self.index),
            planning.Limit(self.left / 100, ends),
            planning.Limit(self.week / WEEK_POINTS, START + self.week_ends * STEP),
            week_cost=1 / FULL_WINDOWS,
        )


@dataclass(slots=True)
class World:
    """All accounts at one step, and what a rule may know of them."""

    accounts: list[Account]
    step: int = 0
    current: Account | None = None
    new_session: bool = False
    last_opened: int | None = None
    expired: float = 0.0
    ended: float = 0.0

    def advance(self, step: int) -> None:
        self.step = step
        for account in self.accounts:
            if account.window_ends is not None and step >= account.window_ends:
                account.left, account.window_ends = 100.0, None
            if step >= account.week_ends:
                self.expired += account.week
                self.ended += WEEK_POINTS
                account.week = WEEK_POINTS
                account.week_ends += STEPS_A_WEEK

    @property
    def free(self) -> list[Account]:
        return [account for account in self.accounts if account.is_free]


Rule = Callable[[World], Account | None]


def in_order(world: World) -> Account | None:
    """The first account of the list that is not full."""
    return next(iter(world.free), None)


def round_robin(world: World) -> Account | None:
    """The next account at each session, and where the current one is full."""
    current = world.current
    if current is not None and current.is_free and not world.new_session:
        return current
    begin = current.index + 1 if current is not None else 0
    count = len(world.accounts)
    turn = (world.accounts[(begin + offset) % count] for offset in range(count))
    return next((account for account in turn if account.is_free), None)


def most_room(world: World) -> Account | None:
    """At each session, and where the current one is full, the account with the most left of its tighter limit."""
    current = world.current
    if current is not None and current.is_free and not world.new_session:
        return current
    return max(world.free, key=lambda a: min(a.left / 100, a.week / WEEK_POINTS), default=None)


def soonest_reset(world: World) -> Account | None:
    """The account whose week resets first."""
    return min(world.free, key=lambda a: a.week_ends, default=None)


def ours(world: World) -> Account | None:
    """`planning.advise`."""
    advice = planning.advise(
        [account.limits() for account in world.accounts],
        START + world.step * STEP,
        None if world.current is None else str(world.current.index),
    )
    return None if advice.account is None else world.accounts[int(advice.account)]


@dataclass(slots=True)
class Tally:
    """What became of the work of one run."""

    wanted: float = 0.0
    lost: float = 0.0
    none_free: int = 0
    switches: int = 0
    expired: float = 0.0
    ended: float = 0.0


AWAKE: Final = (7, 23)
"""Advice to open a window is followed within these hours of the day, and not at night."""


def run(work: Work, week_ends: Sequence[int], rule: Rule, advised: bool) -> Tally:
    accounts = [Account(index, ends) for index, ends in enumerate(week_ends)]
    for account in accounts:
        account.week *= account.week_ends / STEPS_A_WEEK  # a week that has begun before
    world, tally = World(accounts), Tally()
    last_session = 0
    for step, wanted in enumerate(work.points):
        world.advance(step)
        if advised and AWAKE[0] * 12 <= step % STEPS_A_DAY < AWAKE[1] * 12:
            _open_on_the_ring(world)
        if not world.free:
            tally.none_free += 1
        if not wanted:
            continue
        tally.wanted += wanted
        world.new_session = work.session[step] != last_session
        last_session = work.session[step]
        while wanted > 1e-9:
            chosen = rule(world)
            if chosen is None:
                tally.lost += wanted
                break
            world.new_session = False
            if chosen is not world.current:
                tally.switches += world.current is not None
                world.current = chosen
            if chosen.window_ends is None:
                world.last_opened = step
            wanted -= chosen.use(wanted, step)
    tally.expired, tally.ended = world.expired, world.ended
    return tally


def _open_on_the_ring(world: World) -> None:
    n = len(world.accounts)
    if world.last_opened is not None and world.step - world.last_opened < WINDOW / n:
        return  # as planning.window_to_open would say, in less time
    name = planning.window_to_open(
        [account.limits() for account in world.accounts],
        START + world.step * STEP,
        None if world.last_opened is None else START + world.last_opened * STEP,
    )
    if name is not None:
        world.accounts[int(name)].open(world.step)
        world.last_opened = world.step


def bound(work: Work, week_ends: Sequence[int]) -> float:
    """The work that is lost where no 5-hour limit stands in the way, and the week that expires first is used first."""
    ends = list(week_ends)
    left = [WEEK_POINTS * end / STEPS_A_WEEK for end in ends]
    lost = 0.0
    for step, wanted in enumerate(work.points):
        for index, end in enumerate(ends):
            if step >= end:
                ends[index], left[index] = end + STEPS_A_WEEK, WEEK_POINTS
        while wanted > 1e-9:
            index = min(
                (i for i in range(len(ends)) if left[i] > 1e-9), key=ends.__getitem__, default=-1
            )
            if index < 0:
                lost += wanted
                break
            used = min(wanted, left[index])
            left[index] -= used
            wanted -= used
    return lost


POLICIES: Final[dict[str, tuple[Rule, bool]]] = {
    "ours": (ours, False),
    "ours_with_advice": (ours, True),
    "most_room": (most_room, False),
    "round_robin": (round_robin, False),
    "soonest_reset": (soonest_reset, False),
    "in_order": (in_order, False),
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make plan", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="runs of each setting")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    sums = {name: [0.0] * 4 for name in POLICIES}
    lost_at_least = 0.0
    runs = 0
    for setting in SETTINGS:
        for number in range(options.seeds):
            rng = Random(f"plan {options.seed} {number} {setting}")
            work = work_of(setting, rng)
            ends = [rng.randrange(1, STEPS_A_WEEK) for _ in range(setting.accounts)]
            least = bound(work, ends)
            lost_at_least += 100 * least / sum(work.points)
            runs += 1
            for name, (rule, advised) in POLICIES.items():
                tally = run(work, ends, rule, advised)
                figures = (
                    100 * (tally.lost - least) / tally.wanted,
                    100 * tally.none_free / len(work.points),
                    100 * tally.expired / tally.ended,
                    tally.switches / (WEEKS * 7),
                )
                sums[name] = [a + b for a, b in zip(sums[name], figures, strict=True)]
    keys = (
        "avoidable_loss_points",
        "none_free_percent",
        "week_expired_percent",
        "switches_per_day",
    )
    document: dict[str, object] = {
        "settings": len(SETTINGS),
        "seeds": options.seeds,
        "weeks": WEEKS,
    }
    print(
        f"{'policy':18}{'avoidable loss':>16}{'none free':>11}{'week expired':>14}{'switches a day':>16}"
    )
    for name, values in sums.items():
        means = [round(value / runs, 2) for value in values]
        document[name] = dict(zip(keys, means, strict=True))
        print(f"{name:18}" + "".join(f"{value:>16.2f}" for value in means))
    document["bound_loss_percent"] = round(lost_at_least / runs, 2)
    print(
        f"the bound loses {lost_at_least / runs:.2f} % of the work; {time.monotonic() - began:.0f} s",
        file=sys.stderr,
    )
    print(json.dumps(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())

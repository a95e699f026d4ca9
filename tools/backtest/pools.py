"""Is it told ahead that all accounts run out? Simulated people of `make plan`, who use accounts by our choice."""

from dataclasses import dataclass, field
from datetime import UTC, timedelta
from itertools import product
from random import Random
from typing import Any, Final

from monitor.core.exhaustion import RECENT, PoolForecast, forecast_pool, is_exhausted_soon
from monitor.core.profiles import Activity, Sample, learn_demand
from tools.plan import (
    SETTINGS,
    START,
    STEP,
    STEPS_A_DAY,
    STEPS_A_WEEK,
    Account,
    Setting,
    World,
    ours,
    work_of,
)

RUNS: Final = 3
WEEKS: Final = 4
LEARNED: Final = 7  # days before it is judged
LOOK: Final = 2  # steps
TOLERATED: Final = 4 * 12  # steps after which an alert without exhaustion was false
STEPS_RECENT: Final = RECENT // STEP
AGAIN: Final = (
    24  # steps that an account has been free for, before the next exhaustion is another event
)


@dataclass(slots=True)
class Alarms:
    """What was told of the exhaustions of one person."""

    weeks: float = 0.0
    leads: list[float] = field(default_factory=list)  # hours; 0 where it was not told
    false: int = 0


def watch(setting: Setting, seed: str) -> Alarms:
    rng = Random(seed)
    work = work_of(setting, rng)
    ends = [rng.randrange(1, STEPS_A_WEEK) for _ in range(setting.accounts)]
    world = World([Account(index, end) for index, end in enumerate(ends)])
    for account in world.accounts:
        account.week *= account.week_ends / STEPS_A_WEEK
    samples: dict[str, list[Sample]] = {str(a.index): [] for a in world.accounts}
    demand: Activity | None = None
    used: list[float] = []
    found = Alarms(weeks=WEEKS - LEARNED / 7)
    sent: list[int] = []  # alerts that may come true yet
    holds: int | None = None  # since when
    told: PoolForecast | None = None
    free_since = 0
    for step in range(WEEKS * STEPS_A_WEEK):
        world.advance(step)
        now = START + step * STEP
        for account in world.accounts:
            ends_at = None if account.window_ends is None else START + account.window_ends * STEP
            level = int(100 - account.left) / 100
            samples[str(account.index)].append(Sample(now, level, ends_at))
        if step % STEPS_A_DAY == 0 and step >= 3 * STEPS_A_DAY:
            demand = learn_demand(samples, {}, UTC, now)
        judged = step >= LEARNED * STEPS_A_DAY
        exhausted = not world.free
        if exhausted:
            if step - free_since >= AGAIN and judged:
                first = min([*sent, step if holds is None else holds])
                found.leads.append((step - first) / 12)
            sent, holds, told, free_since = [], None, None, step
        elif demand is not None and step % LOOK == 0:
            recent = used[-STEPS_RECENT:]
            active_hours = _active_hours(recent)
            ranked = sorted(
                (a.limits() for a in world.accounts),
                key=lambda a: world.current is None or a.name != str(world.current.index),
            )
            told = forecast_pool(
                ranked,
                now,
                demand,
                active=sum(used[-6:]) > 0,
                recent=(sum(recent), active_hours * demand.points_per_hour),
                before=told,
                horizons=(timedelta(0),),
            )
            if not is_exhausted_soon(told, holds is not None):
                holds = None
            elif holds is None:
                holds = step
                sent.append(step)
        if sent and step - sent[0] >= TOLERATED:
            found.false += judged
            del sent[0]
        used.append(0.0)
        wanted = work.points[step]
        while wanted > 1e-9 and (chosen := ours(world)) is not None:
            world.current = chosen
            part = chosen.use(wanted, step)
            used[-1] += part
            wanted -= part
    return found


def _active_hours(recent: list[float]) -> float:
    """Half hours with some use."""
    return sum(0.5 for i in range(0, len(recent), 6) if sum(recent[i : i + 6]) > 0.5)


def report(seed: int) -> dict[str, Any]:
    """Print how exhaustions are told ahead; its part of the document."""
    total = Alarms()
    for number, setting in product(range(RUNS), SETTINGS):
        found = watch(setting, f"pool {seed + number} {setting}")
        total.weeks += found.weeks
        total.false += found.false
        total.leads += found.leads
    in_time = sum(lead >= 1 for lead in total.leads)
    print(
        f"\nexhausted_soon: {in_time} of {len(total.leads)} exhaustions sent at least an hour ahead, "
        f"{total.false} false in {total.weeks:.0f} weeks"
    )
    return {
        "events": len(total.leads),
        "told_an_hour_ahead": in_time,
        "false_per_week": round(total.false / total.weeks, 3),
    }

"""The invented past of the demo's accounts: four weeks of office hours, for its forecasts to learn from.

It ends with the figures that the demo begins with.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from monitor.core.model import FIVE_HOURS, SEVEN_DAYS
from monitor.core.planning import FIVE_HOURS as LENGTH
from monitor.core.planning import USUAL_COST, WEEK
from monitor.demo.server import SimulatedAccount
from monitor.storage.samples import Row

WEEKS: Final = (1.0, 0.9, 1.15, 1.0)
"""The use of each week beside that of the present one, the newest first."""

STEP: Final = timedelta(minutes=10)


def past_samples(accounts: Sequence[SimulatedAccount], start: datetime, name: str) -> Iterator[Row]:
    """The samples of the account of this name up to `start`, the instant at which the demo begins."""
    simulated = {account.email: account for account in accounts}.get(name)
    if simulated is None:  # which the user has added, or given another name
        return
    limits = simulated.limits(start)
    week, last = limits.seven_day, limits.five_hour
    if week is None or last is None or week.resets_at is None or last.resets_at is None:
        return
    ends = week.resets_at.replace(second=0, microsecond=0)
    last_opened, last_level = last.resets_at - LENGTH, last.percent / 100
    quiet = last_opened - LENGTH  # so that no window reaches into the last one
    level_of_week = week.percent / 100
    steps = max(sum(map(_use, _steps(ends - WEEK, quiet))), 1)
    per_step, cost = max(level_of_week - last_level * USUAL_COST, 0.0) / steps, USUAL_COST
    most_steps = LENGTH / STEP * max(WEEKS)
    if (
        per_step * most_steps > cost
    ):  # windows of so heavy a week are dearer: none is more than full
        per_step = level_of_week / (steps + last_level * most_steps)
        cost = per_step * most_steps
    opened, level = ends - 2 * len(WEEKS) * WEEK, 0.0
    for number, factor in reversed(list(enumerate(WEEKS))):
        resets_at, used = ends - number * WEEK, 0.0
        for at in _steps(resets_at - WEEK, min(resets_at, start)):
            more = per_step * factor * _use(at) if at < quiet else 0.0
            if at >= last_opened > opened:
                opened, level = last_opened, 0.0
            elif at - opened >= LENGTH:
                opened, level = at if more else opened, 0.0
            if opened == last_opened:
                share = (at - last_opened) / (start - last_opened)
                more = (last_level * share - level) * cost
            used, level = min(used + more, 1.0), min(level + more / cost, 1.0)
            yield Row(at, name, SEVEN_DAYS, used, resets_at)
            is_open = at - opened < LENGTH
            yield Row(at, name, FIVE_HOURS, level, opened + LENGTH if is_open else None)


def _steps(begin: datetime, end: datetime) -> Iterator[datetime]:
    at = begin
    while at < end:
        yield at
        at += STEP


def _use(at: datetime) -> float:
    """The use at this time of the local week beside that of an office hour: a break, and a little in the evening."""
    local = at.astimezone()
    if local.weekday() >= 5:
        return 0.3 if 11 <= local.hour < 16 else 0.0
    if 9 <= local.hour < 18:
        return 0.2 if local.hour == 13 else 1.0
    return 0.15 if 20 <= local.hour < 22 else 0.0

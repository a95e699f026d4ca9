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
"""How heavy each week is beside the present one, the newest first."""

STEP: Final = timedelta(minutes=10)


def past_samples(accounts: Sequence[SimulatedAccount], start: datetime, name: str) -> Iterator[Row]:
    """The samples of the account of this name up to `start`, the instant at which the demo begins."""
    limits = next(account.limits(start) for account in accounts if account.email == name)
    week, last = limits.seven_day, limits.five_hour
    if week is None or last is None or week.resets_at is None or last.resets_at is None:
        return
    ends = week.resets_at.replace(second=0, microsecond=0)
    per_step = week.percent / 100 / max(sum(_use(at) for at in _steps(ends - WEEK, start)), 1)
    last_opened = last.resets_at - LENGTH
    opened, level = ends - 2 * len(WEEKS) * WEEK, 0.0
    for number, factor in reversed(list(enumerate(WEEKS))):
        resets_at, used = ends - number * WEEK, 0.0
        for at in _steps(resets_at - WEEK, min(resets_at, start)):
            more = per_step * factor * _use(at)
            used = min(used + more, 1.0)
            yield Row(at, name, SEVEN_DAYS, used, resets_at)
            if at >= last_opened:
                share = (at - last_opened) / (start - last_opened)
                yield Row(at, name, FIVE_HOURS, last.percent / 100 * share, last.resets_at)
                continue
            if at - opened >= LENGTH:
                level = 0.0
                opened = at if more and at + LENGTH <= last_opened else opened
            if at - opened < LENGTH:
                level = min(level + more / USUAL_COST, 1.0)
                yield Row(at, name, FIVE_HOURS, level, opened + LENGTH)
            else:
                yield Row(at, name, FIVE_HOURS, 0.0)


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

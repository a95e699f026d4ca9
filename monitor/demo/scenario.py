"""The invented accounts of the demo, and what happens to them, by the seconds since the program began.

    8 s   user@work.com passes 80 %
    20 s  user@client.com is full
    35 s  its window resets, from 100 to 0 %
    50 s  user@personal.com, which is in use, is full: another account is the one to use now
    62 s  two accounts fail: one is rate limited, the login of the other has ended

After that the windows go on climbing and resetting, each in its own time. Pure but for the wobble of the resets.

Their past is four weeks of office hours, for the forecasts to learn from; it ends with the figures of the beginning.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from monitor.core.model import FIVE_HOURS, SEVEN_DAYS, WEEK, WINDOW
from monitor.core.planning import USUAL_COST
from monitor.demo.server import Fault, Limit, Limits, SimulatedAccount, rate_limited
from monitor.storage.samples import StoredSample

WOBBLE_SECONDS: Final = 0.9
FAILURES_FROM: Final = timedelta(seconds=62)
ENDED_FROM: Final = timedelta(seconds=68)

WEEKS: Final = (1.0, 0.9, 1.15, 1.0)
"""The use of each week relative to the present one, the newest first."""

STEP: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class StoryPeriod:
    """One window period: utilization in percent at some seconds of the story, straight in between.

    It is open until the second `resets`, which the table shows as its reset.
    """

    resets: float
    points: tuple[tuple[float, float], ...]

    def percent(self, second: float) -> int:
        """Return whole percents, as the API sends them."""
        before = [point for point in self.points if point[0] <= second] or [self.points[0]]
        later = [point for point in self.points if point[0] > second] or [self.points[-1]]
        (begun, low), (ended, high) = before[-1], later[0]
        share = (second - begun) / (ended - begun) if ended > begun else 0.0
        return min(math.floor(low + (high - low) * max(share, 0.0)), 100)


Story = tuple[StoryPeriod, ...]
"""The periods of one account's 5h window, at least two; the last one repeats without end."""


def _limit(story: Story, start: datetime, now: datetime) -> Limit:
    second, earlier = (now - start).total_seconds(), 0.0
    before, last = story[-2:]
    if second >= last.resets:  # its earlier rounds took so long
        length = last.resets - before.resets
        earlier = (second - before.resets) // length * length
    period = next((each for each in story if second < each.resets), last)
    ends_at = start + timedelta(seconds=period.resets + earlier)
    return Limit(period.percent(second - earlier), _wobble(ends_at))


def _wobble(moment: datetime) -> datetime:
    """Shift an end a little, as the API does with each answer."""
    return moment + timedelta(seconds=random.uniform(-1, 1) * WOBBLE_SECONDS)  # noqa: S311 - no secret


HOURS: Final = 3600.0

IN_USE: Final = (
    StoryPeriod(110, ((0, 22), (48, 34.9), (48.01, 100))),
    StoryPeriod(350, ((110, 0), (350, 76))),
)  # fmt: skip
CROSSING: Final = (
    StoryPeriod(150, ((0, 72), (7, 79), (7.01, 80), (60, 85), (100, 93), (150, 99))),
    StoryPeriod(390, ((150, 0), (390, 99))),
)  # fmt: skip
FULL: Final = (
    StoryPeriod(33, ((0, 96), (19, 99), (19.01, 100))),
    StoryPeriod(333, ((33, 0), (333, 104))),
)  # fmt: skip


def _steady(hours: float, percent: float) -> Story:
    """Make the story of a window that climbs slowly and resets in so many hours."""
    end = hours * HOURS
    return (
        StoryPeriod(end, ((0, percent), (600, percent + 19))),
        StoryPeriod(end + 5 * HOURS, ((end, 0), (end + 5 * HOURS, 50))),
    )  # fmt: skip


def demo_accounts(start: datetime) -> list[SimulatedAccount]:
    """Make the accounts of the demo, the logged-in one first; the last is not imported yet."""
    hour = start.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    soon, middle, later = (hour + timedelta(days=days) for days in (2.25, 3.6, 5.1))

    def account(
        name: str, number: int, story: Story, week: float, ends: datetime, **models: float
    ) -> SimulatedAccount:
        def limits(now: datetime) -> Limits:
            return Limits(
                five_hour=_limit(story, start, now),
                seven_day=Limit(week, _wobble(ends)),
                models={
                    key.title(): Limit(percent, _wobble(ends)) for key, percent in models.items()
                },
                extra_cents=1240 if models else None,
            )

        return SimulatedAccount(
            email=name,
            account_uuid=f"00000000-0000-4000-8000-00000000000{number}",
            org_uuid=f"00000000-0000-4000-9000-00000000000{number}",
            tokens={f"sk-ant-oat01-demo-{number}"},
            limits=limits,
        )

    throttled = account("night@shift.example", 5, _steady(3.7, 8), 60, later)
    throttled.fault = lambda now: rate_limited("900") if now >= start + FAILURES_FROM else None
    expired = account("old@login.example", 6, _steady(0.9, 27), 55, later)
    expired.fault = lambda now: Fault(401) if now >= start + ENDED_FROM else None
    return [
        account("user@personal.com", 1, IN_USE, 31, soon),
        account("user@work.com", 2, CROSSING, 65, later),
        account("user@client.com", 3, FULL, 58, middle),
        account("models@lab.example", 4, _steady(2.4, 41), 48, later, opus=83, fable=21),
        throttled,
        expired,
        account("spare@login.example", 7, _steady(4.2, 3), 3, later),
    ]


def past_samples(
    accounts: Sequence[SimulatedAccount], start: datetime, name: str
) -> Iterator[StoredSample]:
    """Make the samples of the account of this name up to `start`, when the demo begins."""
    simulated = {account.email: account for account in accounts}.get(name)
    if simulated is None:  # which the user has added, or given another name
        return
    limits = simulated.limits(start)
    week, last = limits.seven_day, limits.five_hour
    if week is None or last is None or week.resets_at is None or last.resets_at is None:
        return
    ends = week.resets_at.replace(second=0, microsecond=0)
    last_opened, last_level = last.resets_at - WINDOW, last.percent / 100
    quiet = last_opened - WINDOW  # so that no window reaches into the last one
    level_of_week = week.percent / 100
    steps = max(sum(map(_use, _steps(ends - WEEK, quiet))), 1)
    per_step, cost = max(level_of_week - last_level * USUAL_COST, 0.0) / steps, USUAL_COST
    most_steps = WINDOW / STEP * max(WEEKS)
    if per_step * most_steps > cost:
        # In so heavy a week each window costs more, so that none exceeds 100 %.
        per_step = level_of_week / (steps + last_level * most_steps)
        cost = per_step * most_steps
    opened, level = ends - 2 * len(WEEKS) * WEEK, 0.0
    for number, factor in reversed(list(enumerate(WEEKS))):
        resets_at, used = ends - number * WEEK, 0.0
        for at in _steps(resets_at - WEEK, min(resets_at, start)):
            more = per_step * factor * _use(at) if at < quiet else 0.0
            if at >= last_opened > opened:
                opened, level = last_opened, 0.0
            elif at - opened >= WINDOW:
                opened, level = at if more else opened, 0.0
            if opened == last_opened:
                share = (at - last_opened) / (start - last_opened)
                more = (last_level * share - level) * cost
            used, level = min(used + more, 1.0), min(level + more / cost, 1.0)
            yield StoredSample(at, name, SEVEN_DAYS, used, resets_at)
            is_open = at - opened < WINDOW
            yield StoredSample(at, name, FIVE_HOURS, level, opened + WINDOW if is_open else None)


def _steps(begin: datetime, end: datetime) -> Iterator[datetime]:
    at = begin
    while at < end:
        yield at
        at += STEP


def _use(at: datetime) -> float:
    """Return the use at this local time relative to an office hour: a break at noon, and a little in the evening."""
    local = at.astimezone()
    if local.weekday() >= 5:
        return 0.3 if 11 <= local.hour < 16 else 0.0
    if 9 <= local.hour < 18:
        return 0.2 if local.hour == 13 else 1.0
    return 0.15 if 20 <= local.hour < 22 else 0.0

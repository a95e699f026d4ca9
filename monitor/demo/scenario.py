"""The invented accounts of the demo: usage that climbs, crosses thresholds, fills up and resets within minutes."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from monitor.demo.bodies import Limit, Limits
from monitor.demo.server import Fault, SimulatedAccount, rate_limited

WOBBLE_SECONDS: Final = 0.9

Curve = Callable[[datetime], Limits]


@dataclass(frozen=True, slots=True)
class Climb:
    """A window of whole minutes that climbs from `start` to beyond `end` percent, then resets."""

    minutes: int
    start: float
    end: float

    def limit(self, now: datetime) -> Limit:
        length = timedelta(minutes=self.minutes).total_seconds()
        elapsed = now.timestamp() % length
        percent = self.start + (self.end - self.start) * elapsed / length
        ends_at = now + timedelta(seconds=length - elapsed)
        return Limit(min(math.floor(percent), 100), _wobbling(ends_at))


def _wobbling(moment: datetime) -> datetime:
    """The API computes an end anew for each answer, a little off each time."""
    return moment + timedelta(seconds=random.uniform(-1, 1) * WOBBLE_SECONDS)  # noqa: S311 - no secret


def _limits(climb: Climb, week: float, week_ends_at: datetime, **models: float) -> Curve:
    def at(now: datetime) -> Limits:
        return Limits(
            five_hour=climb.limit(now),
            seven_day=Limit(week, _wobbling(week_ends_at)),
            models={
                name.title(): Limit(percent, _wobbling(week_ends_at))
                for name, percent in models.items()
            },
            extra_cents=1240 if models else None,
        )

    return at


def _account(name: str, number: int, limits: Curve) -> SimulatedAccount:
    return SimulatedAccount(
        email=name,
        account_uuid=f"00000000-0000-4000-8000-00000000000{number}",
        org_uuid=f"00000000-0000-4000-9000-00000000000{number}",
        tokens={f"sk-ant-oat01-demo-{number}"},
        limits=limits,
    )


def demo_accounts(start: datetime) -> list[SimulatedAccount]:
    """The accounts of the demo, the logged-in one first; the last is not imported yet."""
    hour = start.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    soon, later, late = (hour + timedelta(days=days) for days in (2.25, 4.5, 6.9))
    throttled = _account("night@shift.example", 5, _limits(Climb(9, 20, 70), 35, soon))
    throttled.fault = _after(start + timedelta(seconds=8), rate_limited("900"))
    expired = _account("old@login.example", 6, _limits(Climb(9, 0, 50), 12, late))
    expired.fault = _after(start + timedelta(seconds=14), Fault(401))
    return [
        _account("user@personal.com", 1, _limits(Climb(15, 12, 96), 18, late)),
        _account("user@work.com", 2, _limits(Climb(3, 68, 104), 65, later)),
        _account("user@client.com", 3, _limits(Climb(2, 88, 130), 91, soon)),
        _account("models@lab.example", 4, _limits(Climb(5, 0, 70), 48, late, opus=83, fable=21)),
        throttled,
        expired,
        _account("spare@login.example", 7, _limits(Climb(4, 0, 30), 3, late)),
    ]


def _after(moment: datetime, fault: Fault) -> Callable[[datetime], Fault | None]:
    return lambda now: fault if now >= moment else None

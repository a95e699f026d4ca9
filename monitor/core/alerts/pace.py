"""Pace: how fast a window fills, and when it would be full. Pure.

A 5-hour window is judged by its last half hour, a 7-day window by its last six hours: shorter looks at whole
percents project wildly (simulated: a true 60 % week read over 30 minutes is called full in 15 % of looks).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from monitor.core.alerts.memory import Point
from monitor.core.model import FIVE_HOURS

LOOK_BACK: Final = {FIVE_HOURS: timedelta(minutes=30)}
LOOK_BACK_WEEK: Final = timedelta(hours=6)
POINTS: Final = 12
"""A look-back is kept in about so many points."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """`pace` is in ratio per hour; `full_at` is when 1 is reached at that pace."""

    pace: float
    full_at: datetime


def look_back(key: str) -> timedelta:
    """How far back the pace of the window with this key is measured."""
    return LOOK_BACK.get(key.partition("_")[0], LOOK_BACK_WEEK)


def with_point(track: Sequence[Point], point: Point, key: str) -> tuple[Point, ...]:
    """The track with one more point; it stays within the look-back, and short."""
    span = look_back(key)
    recent = [p for p in track if point.at - p.at <= span]
    if len(recent) >= 2 and recent[-1].at - recent[-2].at < span / POINTS:
        recent.pop()  # the last two stand close together: the newer one goes on for both
    return (*recent, point)


def forecast(track: Sequence[Point], key: str) -> Forecast | None:
    """When the window would be full; None where it does not fill, or is not known long enough to say."""
    if len(track) < 2:
        return None
    first, last = track[0], track[-1]
    span = last.at - first.at
    if span < look_back(key) / 2 or last.utilization <= first.utilization:
        return None
    pace = (last.utilization - first.utilization) / (span / timedelta(hours=1))
    hours = max(1 - last.utilization, 0.0) / pace
    return Forecast(pace, last.at + timedelta(hours=min(hours, 24 * 365)))

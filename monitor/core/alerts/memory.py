"""What the alert machine remembers of a window, and of a lasting condition. Replaced, never edited."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from monitor.core.alerts.rules import Alert


@dataclass(frozen=True, slots=True)
class Condition:
    """What the alert machine remembers of a lasting condition; see `monitor.core.alerts.conditions`.

    It holds `since`; it was sent at `told_at`; it has ceased at `ceased_at`. Once told it is not told again
    before `until`, where that is set: the end of the window period that it is about. `freed_at` is when an
    account was called free again, where the condition is that none had room. `alert` is what is so, as it was seen
    last, since then; a condition that an older version has kept has none until it is seen again.
    """

    since: datetime
    told_at: datetime | None = None
    ceased_at: datetime | None = None
    until: datetime | None = None
    freed_at: datetime | None = None
    alert: Alert | None = None

    def moved(self, by: timedelta) -> "Condition":
        """The condition for a clock that was set by this much."""
        return replace(
            self,
            since=self.since + by,
            told_at=self.told_at and self.told_at + by,
            ceased_at=self.ceased_at and self.ceased_at + by,
            freed_at=self.freed_at and self.freed_at + by,
            alert=self.alert and replace(self.alert, at=self.alert.at + by),
        )


@dataclass(frozen=True, slots=True)
class Point:
    """A utilization at an instant."""

    at: datetime
    utilization: float


@dataclass(frozen=True, slots=True)
class EndedWeek:
    """A week that has ended, until the user is told what of it expired.

    `utilization` was read last at `read_at`, before the `end`, which was noticed at `noticed_at`.
    """

    end: datetime
    period: str
    utilization: float
    read_at: datetime
    noticed_at: datetime

    def moved(self, by: timedelta) -> "EndedWeek":
        """The week for a clock that was set by this much."""
        return replace(self, read_at=self.read_at + by, noticed_at=self.noticed_at + by)


@dataclass(frozen=True, slots=True)
class WindowMemory:
    """What the alert machine remembers of one window of one account; see `monitor.core.alerts.machine`.

    `low_since` is when a hint of an early reset was seen, and `low_end` the end that it named.
    `told` are the thresholds that need no more words in this period, `reached` those that the newest samples
    are at or above, and since when; `track` is what the pace is measured by; `generation` counts the early
    resets behind which the window has kept its end. `ended_week` is the period before, of a week, while that is news.
    """

    at: datetime
    utilization: float
    resets_at: datetime | None
    peak: float
    told: frozenset[float] = frozenset()
    low_since: datetime | None = None
    low_end: datetime | None = None
    reached: Mapping[float, datetime] = field(default_factory=dict)
    track: tuple[Point, ...] = ()
    generation: int = 0
    ended_week: EndedWeek | None = None

    @property
    def period(self) -> str:
        """A name for the period that is the same in every process: its end to the minute, and the generation."""
        end = "" if self.resets_at is None else f"{round(self.resets_at.timestamp() / 60)}"
        return f"{end}+{self.generation}" if self.generation else end

    def moved(self, by: timedelta) -> "WindowMemory":
        """The memory for a clock that was set by this much; what the server says keeps its instants."""
        return replace(
            self,
            at=self.at + by,
            low_since=self.low_since and self.low_since + by,
            reached={threshold: since + by for threshold, since in self.reached.items()},
            track=tuple(replace(point, at=point.at + by) for point in self.track),
            ended_week=self.ended_week and self.ended_week.moved(by),
        )

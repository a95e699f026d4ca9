"""The truth of an account's windows: which period was open when, and what had been used. No program sees it."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Period:
    """The life of a window from its opening to its end; `over_at` is infinite for the one still open.

    `ends` lists (since, end): what the server calls its end, and from when on it does. `times` and `values` are
    the steps of usage in percent, the first of them at the opening.
    """

    id: int
    opened_at: float
    over_at: float
    early: bool
    ends: tuple[tuple[float, float], ...]
    times: tuple[float, ...]
    values: tuple[float, ...]

    def end_at(self, t: float) -> float:
        return next((end for since, end in reversed(self.ends) if since <= t), self.ends[0][1])

    def used_at(self, t: float) -> float:
        return self.values[max(bisect_right(self.times, t) - 1, 0)]


class Window:
    """All periods of one window, in order. A `place` is a period's id, or a negative number for a gap."""

    def __init__(self, key: str, duration: float, periods: Sequence[Period]) -> None:
        self.key = key
        self.duration = duration
        self.periods = periods
        self._openings = [period.opened_at for period in periods]

    def latest(self, t: float) -> Period | None:
        """The period that was opened last, over or not."""
        place = bisect_right(self._openings, t) - 1
        return self.periods[place] if place >= 0 else None

    def open_at(self, t: float) -> Period | None:
        period = self.latest(t)
        return period if period is not None and t < period.over_at else None

    def ended_before(self, t: float) -> Period | None:
        """The period that ended last."""
        period = self.latest(t)
        if period is None or period.over_at <= t:
            return period
        return self.periods[period.id - 1] if period.id > 0 else None

    def place_at(self, t: float) -> int:
        period = self.latest(t)
        if period is None:
            return -1
        return period.id if t < period.over_at else -2 - period.id


@dataclass(frozen=True, slots=True)
class Account:
    """All windows of one account, and the spans (from, to) in which its plan has no such window.

    `decimals` is how finely the server reads usage for it: whole percent mostly.
    """

    windows: dict[str, Window]
    absent: dict[str, tuple[tuple[float, float], ...]]
    decimals: int = 0

    def has(self, key: str, t: float) -> bool:
        return not any(start <= t < end for start, end in self.absent.get(key, ()))

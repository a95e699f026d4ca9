"""What is written down of a simulated month: each answer as it was seen, and each alert as it was told.

Times are seconds since `EPOCH`: `t` is the true time, `at` what the clock of the simulated machine said.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

EPOCH: Final = datetime(2026, 11, 2, tzinfo=UTC)
"""A Monday, midnight: second 0 of every simulated month."""

MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 86400.0

FIVE_HOURS: Final = "5h"
SEVEN_DAYS: Final = "7d"


def instant(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def seconds(moment: datetime) -> float:
    return (moment - EPOCH).total_seconds()


@dataclass(frozen=True, slots=True)
class Seen:
    """One window in one answer. `end` is the instant that is meant, `named_end` with the server's wobble.

    `honest` is false for an answer that does not speak of the present (stale, empty, lagging); `place` is where
    the window truly stood then, see `truth.Window.place_at`.
    """

    percent: float
    end: float | None
    named_end: float | None
    honest: bool
    place: int


@dataclass(frozen=True, slots=True)
class Told:
    """An alert as the user got it. `threshold` is a percentage, or None for a reset, or for what of a week expired.

    `percent` and `end` are what it says of the window; None is not judged.
    """

    window: str
    threshold: float | None = None
    percent: float | None = None
    end: float | None = None
    is_week: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that reached the program: an answer, or (`seen` is empty) any other event that told something.

    `attempt` counts the account's polls, failed ones included. `late` marks an answer that was delivered twice
    or behind a newer one.
    """

    t: float
    at: float
    attempt: int
    seen: dict[str, Seen]
    late: bool = False


@dataclass(slots=True)
class Log:
    """One account's month: what was seen, and what the program (of `weeks` that ended, too) and two naive rules told.

    An alert belongs to the entry, by its place in `entries`, at which it was told.
    """

    entries: list[Entry] = field(default_factory=list)
    ours: list[tuple[int, Told]] = field(default_factory=list)
    weeks: list[tuple[int, Told]] = field(default_factory=list)
    naive: list[tuple[int, Told]] = field(default_factory=list)
    rounding: list[tuple[int, Told]] = field(default_factory=list)

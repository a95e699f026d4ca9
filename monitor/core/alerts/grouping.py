"""When a burst of alerts is over, so that it is told as one. Pure; instants are seconds of a monotonic clock.

Five accounts that are polled at once, a first start or a wake-up, lead to many alerts within seconds. They wait
for one another while any account is still being asked, though not for long; what is critical hardly waits at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class GroupingDelays:
    """In seconds: the calm after which a burst is over, the longest burst, and how long a critical alert waits."""

    calm: float = 0.3
    longest: float = 10.0
    critical: float = 1.0


@dataclass(frozen=True, slots=True)
class Arrived(Generic[T]):
    """Something to be told, and when it came."""

    what: T
    at: float
    critical: bool = False


def ends_at(burst: Sequence[Arrived[T]], busy: bool, pace: GroupingDelays) -> float:
    """When the burst is over, unless something more arrives. `busy` says that more is to be expected."""
    latest = burst[0].at + pace.longest
    return latest if busy else min(burst[-1].at + pace.calm, latest)


def next_release(burst: Sequence[Arrived[T]], busy: bool, pace: GroupingDelays) -> float:
    """When something of the burst is to be told."""
    urgent = [arrival.at + pace.critical for arrival in burst if arrival.critical]
    return min([ends_at(burst, busy, pace), *urgent])


def released(
    burst: Sequence[Arrived[T]], now: float, busy: bool, pace: GroupingDelays
) -> tuple[list[T], list[Arrived[T]]]:
    """What is to be told now, and what goes on waiting: all, what is critical, or nothing."""
    if not burst or now < next_release(burst, busy, pace):
        return [], list(burst)
    if now >= ends_at(burst, busy, pace):
        return [arrival.what for arrival in burst], []
    urgent = [arrival.what for arrival in burst if arrival.critical]
    return urgent, [arrival for arrival in burst if not arrival.critical]

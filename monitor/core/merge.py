"""Figures that Claude Code says of itself, merged with those of the polls. Pure.

Each of its terminals shows what its own last answer said, and shows it again and again: what comes later need not be
newer. Within a period usage only grows, so the highest figure is the newest; and a period that ends sooner is over.

An answer of the usage API that it keeps has a date, and is whole: as that of a poll it is right, whatever was said
before it.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from monitor.core.alerts.machine import SAME_END
from monitor.core.alerts.rules import WindowMemory
from monitor.core.model import Usage, Window, window_duration

NOISE: Final = 1e-6
"""Ratios closer than this are the same figure, written in another way."""

SLIDING: Final = timedelta(hours=5)
"""The windows of this length open when they are first used; a week begins and ends by itself."""

STEP: Final = timedelta(minutes=15)
"""A sliding end may be rounded: ends have been on 10-minute marks, and on full hours."""


def settled(old: Usage | None, seen: Usage) -> Usage:
    """The usage without ends that are none, and with those that it does not tell.

    Some idle 5h windows seem to have an end that slides with the clock: an end of an empty window that has moved since
    the last answer is none. It may move in steps: until something is used, one that still lies nearly a whole window
    ahead is none either. The end of a window that has not fallen, but tells none, is the one that was known.
    """
    if old is None:
        return seen
    windows = tuple(_settled(old.window(window.key), window, seen.at) for window in seen.windows)
    return replace(seen, windows=windows) if windows != seen.windows else seen


def _settled(known: Window | None, seen: Window, at: datetime) -> Window:
    if known is None:
        return seen
    if seen.resets_at is None and 0 < known.utilization <= seen.utilization:
        goes_on = known.resets_at is not None and known.resets_at > at
        return replace(seen, resets_at=known.resets_at) if goes_on else seen
    length = window_duration(seen.key)
    if known.utilization or seen.utilization or length != SLIDING:
        return seen
    before, end = known.sliding_end or known.resets_at, seen.resets_at
    if before is None or end is None or before <= at:
        return seen
    waits = known.sliding_end is not None and end - at > length - STEP
    if end - before > SAME_END or waits:
        return replace(seen, resets_at=None, sliding_end=end)
    return seen


def merged(old: Usage | None, seen: Usage) -> Usage | None:
    """The usage with what was seen; None where that is nothing new.

    A figure of a window that has ended says nothing.
    """
    if old is not None and seen.at < old.at:
        return None
    windows = {window.key: window for window in old.windows} if old is not None else {}
    known = dict(windows)
    for window in seen.windows:
        if window.resets_at is None or window.resets_at > seen.at:
            before = known.get(window.key)
            windows[window.key] = _newer(before, window, seen.at) if before else window
    if windows == known:
        return None
    return replace(seen if old is None else old, at=seen.at, windows=tuple(windows.values()))


def _newer(known: Window, seen: Window, at: datetime) -> Window:
    """Pick the newer one. One that tells no end where an open window is known may just not have been told of it."""
    if known.resets_at is not None and seen.resets_at is not None:
        if abs(seen.resets_at - known.resets_at) > SAME_END:
            return seen if seen.resets_at > known.resets_at else known
    elif known.resets_at is not None:
        return seen if known.resets_at <= at else known
    elif seen.resets_at is not None:
        return seen
    if seen.utilization - known.utilization <= NOISE:
        return known
    return replace(known, utilization=seen.utilization)


def answered(
    old: Usage | None, answer: Usage, memories: Mapping[str, WindowMemory]
) -> Usage | None:
    """The usage with a dated answer; None where all of it was known, or newer, or it holds no limit.

    A status line may have overtaken the answer, and speaks of fewer windows: those that it left alone, as the
    `memories` of their last samples say, are the answer's.
    """
    if old is None:
        return answer
    if answer.at > old.at:
        return answer if answer.windows else None
    newer = {
        window.key: window
        for window in answer.windows
        if window.key in memories and memories[window.key].at < answer.at
    }
    windows = tuple(newer.get(window.key, window) for window in old.windows)
    return replace(old, windows=windows) if windows != old.windows else None

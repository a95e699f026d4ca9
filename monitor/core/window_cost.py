"""Learns from both counters what one full 5-hour window costs of the week, and when that changed. Pure.

Both counters are whole percents, so a single reading says little: 14.3 points of the week are read as 14 or 15. Over a
stretch of use the ends alone are rounded, and the ratio gets sharper with every window. Limits do change: a doubled
price is recognized within two full windows, a step of a fifth mostly within four. The mix of models moves the ratio
too, by less; that is why a step has to stand out from the noise of the readings *and* from the usual scatter, and why
what tells of it names the mix as the other possible reason.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from monitor.core.forecast import RateChange
from monitor.core.profiles import FALL, FULL_FROM, RESET_MOVED


@dataclass(frozen=True, slots=True)
class Reading:
    """The 5-hour and the 7-day window of one account at one instant, as ratios with the times of their resets."""

    at: datetime
    five_hours: float
    week: float
    five_hours_resets_at: datetime | None = None
    week_resets_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class WeekCost:
    """The part of the week that one full 5-hour window costs, with its standard error, both ratios.

    `windows` is how many full windows it was learned from; `change` the last step of it, if any.
    """

    ratio: float
    error: float
    windows: float
    change: RateChange | None = None

    def windows_left(self, week_left: float) -> float:
        """Return how many full 5-hour windows fit into the rest of the week (a ratio)."""
        return week_left / self.ratio


SMALLEST_STEP: Final = 0.15
"""The smallest step that counts, of the logarithm: a step of a fifth is 0.18, and is read with an error."""

SCATTER: Final = 0.03
"""By so much the mix of models moves the logarithm of the ratio from one window to the next."""

SCALES: Final = ((80.0, 6.0), (120.0, 5.0), (150.0, 4.6), (190.0, 4.0))
"""Points of 5-hour windows, and how many standard errors a step has to stand out over so much use.

A large step is seen at once; only a small one needs the longest stretch. Every scale is one more chance to be wrong.
"""

BEFORE: Final = 250.0
"""The points of use that a step is compared with, at least."""

MEMORY: Final = 1500.0
"""The most points of use that the ratio is learned from."""

LEARNED_AFTER: Final = 100.0
"""The least points of use that the ratio is learned from."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Use within one 5-hour window and one week, in points of each; it begins `at`.

    `joined` says that the week's counter stood still between the stretch before and this one: the rounding of the two
    then cancels out.
    """

    at: datetime
    five_hours: float
    week: float
    joined: bool


def learn_cost(readings: Iterable[Reading]) -> WeekCost | None:
    """Learn the cost of a full window from readings in order of time; None until a full window was seen.

    Only what lies after the last step counts.
    """
    pieces: list[Stretch] = []
    changed_at: datetime | None = None
    ratio_before = 0.0
    for piece in stretches(readings):
        pieces.append(piece)
        begin = _step(pieces)
        if begin is not None:
            used, cost, _ = _sum(pieces[:begin])
            changed_at, ratio_before = pieces[begin].at, cost / used
            pieces = pieces[begin:]
        while sum(p.five_hours for p in pieces[1:]) > MEMORY:
            pieces.pop(0)
    used, cost, error = _sum(pieces)
    if cost <= 0 or (changed_at is None and used < LEARNED_AFTER):
        return None
    change = RateChange(changed_at, cost / used / ratio_before) if changed_at else None
    return WeekCost(cost / used, error * cost / used, used / 100, change)


SHORT_GAP: Final = timedelta(minutes=15)
"""So long after a reading without an open window, the first use of a window is still seen from its beginning."""

PIECE: Final = 20.0
"""Use is looked at in pieces of this many points of the 5-hour window."""


def stretches(readings: Iterable[Reading]) -> Iterable[Stretch]:
    """Cut the use between readings at resets, and every `PIECE` points; an unfinished piece at the end is left out."""
    mark: Reading | None = None
    last: Reading | None = None
    joined = False
    for reading in readings:
        if reading.week >= FULL_FROM:
            mark = last = None  # the counter stands still there
            continue
        if mark is None or last is None or _was_reset(last, reading):
            if mark is not None and last is not None and last.five_hours > mark.five_hours:
                yield _stretch(mark, last, joined)
                joined = last.week == reading.week
            elif mark is None or last is None or last.week != reading.week:
                joined = False
            mark = reading
        elif (reading.five_hours - mark.five_hours) * 100 >= PIECE:
            yield _stretch(mark, reading, joined)
            mark, joined = reading, True
        last = reading


def _stretch(start: Reading, end: Reading, joined: bool) -> Stretch:
    five_hours = (end.five_hours - start.five_hours) * 100
    return Stretch(start.at, five_hours, (end.week - start.week) * 100, joined)


def _was_reset(before: Reading, after: Reading) -> bool:
    if before.five_hours - after.five_hours > FALL or before.week - after.week > FALL:
        return True
    if before.five_hours_resets_at is None and after.at - before.at > SHORT_GAP:
        return True  # windows may have come and gone in between
    pairs = (
        (before.five_hours_resets_at, after.five_hours_resets_at),
        (before.week_resets_at, after.week_resets_at),
    )
    return any(b is not None and (a is None or a - b > RESET_MOVED) for b, a in pairs)


def _sum(pieces: Sequence[Stretch]) -> tuple[float, float, float]:
    """Sum up the points of 5-hour windows and of the week, and return them with the relative error of their ratio."""
    used = sum(piece.five_hours for piece in pieces)
    cost = sum(piece.week for piece in pieces)
    if used <= 0 or cost <= 0:
        return used, cost, 1.0
    ends = 2 + 2 * sum(
        not piece.joined for piece in pieces[1:]
    )  # each is rounded by a variance of 1/12
    rounding = ends / 12 / cost**2 + ends / 12 / used**2
    return used, cost, math.sqrt(rounding + SCATTER**2 * min(100 / used, 1.0))


def _step(pieces: Sequence[Stretch]) -> int | None:
    """Find the first piece after a step of the ratio; None where it did not step."""
    for scale, sigmas in SCALES:
        begin = _last(pieces, scale)
        if begin is None or sum(piece.five_hours for piece in pieces[:begin]) < BEFORE:
            return None
        step, noise = _contrast(pieces, begin)
        if step >= max(SMALLEST_STEP, sigmas * noise):
            near = range(_last(pieces, scale + PIECE) or begin, len(pieces))
            return max(near, key=lambda split: _sharpness(pieces, split))
    return None


def _last(pieces: Sequence[Stretch], points: float) -> int | None:
    """Find the first of the last pieces that come to so many points; None where all are fewer."""
    total = 0.0
    for begin in range(len(pieces) - 1, -1, -1):
        total += pieces[begin].five_hours
        if total >= points:
            return begin
    return None


def _contrast(pieces: Sequence[Stretch], begin: int) -> tuple[float, float]:
    """Compare the ratio since a piece with that before it: the logarithm of the quotient, and its error."""
    used_before, cost_before, error_before = _sum(pieces[:begin])
    used, cost, error = _sum(pieces[begin:])
    if min(cost_before, cost, used_before, used) <= 0:
        return 0.0, 1.0
    step = abs(math.log((cost / used) / (cost_before / used_before)))
    return step, math.hypot(error, error_before)


def _sharpness(pieces: Sequence[Stretch], begin: int) -> float:
    step, noise = _contrast(pieces, begin)
    return step / noise

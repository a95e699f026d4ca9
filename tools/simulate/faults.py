"""The server as it is seen: what it answers at an instant, with every fault that public reports document.

Not made, because no program could tell them from the truth by the answers: an empty answer that lasts for more
than a minute, two of them without an honest answer between, and one right behind a change that nobody saw.
"""

import math
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from random import Random

from monitor.core.errors import Reason
from tools.simulate.record import DAY, HOUR, MINUTE, Seen
from tools.simulate.truth import Account, Period, Window

WOBBLE = 1.879
"""The most that was measured, in seconds, by which an answer's `resets_at` is off the instant that is meant."""

FLAP_FOR = 55.0
REBOUND_FOR = 60.0
REBOUND_PHASE = 7.0
NEAR_END = 90.0
"""So close to its end an empty answer would be the reset itself, for all that a clock can tell."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A poll that brings no usage."""

    reason: Reason
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which every request of the account is refused in one way."""

    start: float
    stop: float
    kind: str


REFUSALS = {
    "server error": Reason.SERVER,
    "token expired": Reason.AUTH,
    "another organization": Reason.CREDENTIALS,
    "not the usage": Reason.SCHEMA,
    "429, Retry-After absent": Reason.RATE_LIMITED,
    "429, Retry-After 0": Reason.RATE_LIMITED,
    "429, Retry-After counts down": Reason.RATE_LIMITED,
}
LASTING = {
    "server error": (20.0, HOUR),
    "token expired": (10 * MINUTE, 8 * HOUR),
    "another organization": (5 * MINUTE, HOUR),
    "not the usage": (20.0, 20 * MINUTE),
    "429, Retry-After absent": (5 * MINUTE, 2 * HOUR),
    "429, Retry-After 0": (5 * MINUTE, 2 * HOUR),
    "429, Retry-After counts down": (HOUR, HOUR),
}


class Server:
    """Answers for one account. `counts` is of the faults that a program really saw, by kind."""

    def __init__(self, account: Account, rng: Random, days: int, counts: Counter[str]) -> None:
        self._account = account
        self._rng = rng
        self._counts = counts
        self._spans = _refusals(rng, days)
        self._lags: dict[tuple[str, int], tuple[str, float]] = {}
        self._last: dict[str, Seen] = {}
        self._flap_from = -HOUR
        self._revisions: dict[str, tuple[int, float, int]] = {}

    def answer(self, t: float, clock_is_right: bool) -> Refusal | dict[str, Seen]:
        """What a request at `t` brings: each window that the plan has, by key, or a refusal."""
        refusal = self._refusal(t)
        if refusal is not None:
            return refusal
        seen = {
            key: self._window(window, t)
            for key, window in self._account.windows.items()
            if self._account.has(key, t)
        }
        if clock_is_right:
            self._disturb(t, seen)
        return seen

    def delivered(self, seen: dict[str, Seen]) -> None:
        """The answer reached the program: the next fault may build on it."""
        self._last.update(seen)

    def looks_odd(self, seen: dict[str, Seen]) -> bool:
        """Whether a user who watches would ask again at once."""
        return any(not window.honest for window in seen.values())

    def _refusal(self, t: float) -> Refusal | None:
        for span in self._spans:
            if span.start <= t < span.stop:
                self._counts[span.kind] += 1
                return Refusal(REFUSALS[span.kind], self._retry_after(span, t))
        return None

    def _retry_after(self, span: Span, t: float) -> timedelta | None:
        if span.kind == "429, Retry-After counts down":
            self._perhaps_block_again(span)
            return timedelta(seconds=round(span.stop - t))
        return timedelta(0) if span.kind == "429, Retry-After 0" else None

    def _perhaps_block_again(self, span: Span) -> None:
        """More than half of the blocks that lapse are renewed for a fresh hour within 15 minutes."""
        later = [s for s in self._spans if s.start >= span.stop and s.start < span.stop + 900]
        if not later and self._rng.random() < 0.2:
            start = span.stop + self._rng.uniform(0, 900)
            self._spans.append(Span(start, start + HOUR, span.kind))

    def _window(self, window: Window, t: float) -> Seen:
        stale = self._stale(window, t)
        if stale is not None:
            return stale
        period = window.open_at(t)
        if period is None:
            return Seen(0.0, None, None, True, window.place_at(t))
        if self._reads_as_closed(window, period, t):
            self._counts["new window reads as closed"] += 1
            return Seen(0.0, None, None, False, period.id)
        used = self._revised(window.key, period, self._rounded(period.used_at(t)))
        return self._named(used, period.end_at(t), True, period.id)

    def _rounded(self, used: float) -> float:
        scale = 10.0**self._account.decimals
        return math.floor(used * scale) / scale

    def _named(self, percent: float, end: float, honest: bool, place: int) -> Seen:
        return Seen(percent, end, end + self._rng.uniform(-WOBBLE, WOBBLE), honest, place)

    def _stale(self, window: Window, t: float) -> Seen | None:
        """The former period's last figure, while the server lags behind a reset or rebounds to it."""
        former = window.ended_before(t)
        last = self._last.get(window.key)
        if former is None or last is None or t - former.over_at > 5 * MINUTE:
            return None
        kind, until = self._lag(window.key, former)
        rebounds = kind == "stale rebound" and (t - former.over_at) // REBOUND_PHASE % 2 == 1
        if t >= until or not (kind == "server lags behind a reset" or rebounds):
            return None
        used = self._rounded(former.values[-1])
        if former.early:
            if not last.honest or last.place != former.id:
                return (
                    None  # an unseen figure of a period whose end nobody could know would be news
                )
            used = min(used, last.percent)
        self._counts[kind] += 1
        return self._named(used, former.ends[-1][1], False, window.place_at(t))

    def _lag(self, key: str, former: Period) -> tuple[str, float]:
        known = self._lags.get((key, former.id))
        if known is None:
            known = self._drawn_lag(former.over_at)
            self._lags[key, former.id] = known
        return known

    def _drawn_lag(self, reset_at: float) -> tuple[str, float]:
        rng = self._rng
        chance = rng.random()
        if chance < 0.3:
            return "stale rebound", reset_at + REBOUND_FOR
        if chance < 0.5:
            longest = rng.choice((MINUTE, MINUTE, 4 * MINUTE))
            return "server lags behind a reset", reset_at + rng.uniform(1, longest)
        return "", reset_at

    def _reads_as_closed(self, window: Window, period: Period, t: float) -> bool:
        """A fresh window may read as closed for one answer after the first message."""
        last = self._last.get(window.key)
        was_closed = last is not None and last.honest and last.end is None
        fresh = was_closed and t - period.opened_at < 2 * MINUTE
        return fresh and self._rng.random() < 0.5

    def _revised(self, key: str, period: Period, percent: float) -> float:
        """The figure less a revision of a few points, which lasts for some answers."""
        place, points, left = self._revisions.get(key, (-1, 0.0, 0))
        if place != period.id or left <= 0:
            if self._rng.random() >= 0.001:
                return percent
            place, left = period.id, self._rng.choice((1, 5, 50, 1000))
            points = float(self._rng.choice((1, 1, 2, 3, 7)))
            self._counts["figure revised downward"] += 1
        self._revisions[key] = (place, points, left - 1)
        return max(percent - points, 0.0)

    def _disturb(self, t: float, seen: dict[str, Seen]) -> None:
        """Empty answers and wrong ends, for windows of which the present was seen last."""
        known = [key for key, window in seen.items() if self._is_known(key, window, t)]
        if not known:
            return
        if t - self._flap_from < FLAP_FOR:
            self._flap(t, seen, known)
            return
        chance = self._rng.random()
        if chance < 0.003:
            self._empty(seen, known, "single placeholder zero")
        elif chance < 0.006:
            self._flap_from = t
            self._flap(t, seen, known)
        elif chance < 0.007:
            self._wrong_end(seen, self._rng.choice(known))
        elif chance < 0.008:
            self._counts["window absent from one answer"] += 1
            del seen[self._rng.choice(known)]

    def _is_known(self, key: str, window: Seen, t: float) -> bool:
        last = self._last.get(key)
        if last is None or window.end is None or not window.honest or window.end - t < NEAR_END:
            return False
        if t - self._flap_from < FLAP_FOR and last.place == window.place:
            return True
        return last.honest and (last.place, last.end) == (window.place, window.end)

    def _flap(self, t: float, seen: dict[str, Seen], known: list[str]) -> None:
        if (t - self._flap_from) // REBOUND_PHASE % 2 == 0:
            self._empty(seen, known, "flapping 73→0→73→0")

    def _empty(self, seen: dict[str, Seen], known: list[str], kind: str) -> None:
        closed = self._rng.random() < 0.5
        for key in self._rng.choice((known, known[:1])):
            window = seen[key]
            end = None if closed else window.end
            named = None if closed else window.named_end
            seen[key] = Seen(0.0, end, named, False, window.place)
        self._counts[kind] += 1

    def _wrong_end(self, seen: dict[str, Seen], key: str) -> None:
        """An end hours too late, for one answer; the figure is right."""
        self._counts["end off by hours, once"] += 1
        window = seen[key]
        assert window.end is not None
        end = window.end + self._rng.choice((4, 8)) * HOUR
        seen[key] = self._named(window.percent, end, True, window.place)


def _refusals(rng: Random, days: int) -> list[Span]:
    """Some seven spans a month in which nothing is answered, of every kind."""
    return [
        Span(start, start + rng.uniform(*LASTING[kind]), kind)
        for kind in REFUSALS
        for start in (rng.uniform(0, days * DAY) for _ in range(rng.choice((0, 1, 2))))
    ]

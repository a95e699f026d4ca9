"""One window while its truth is being made: it opens, fills, ends, is reset early, and has its end moved."""

from dataclasses import dataclass
from math import inf

from tools.simulate.record import HOUR, MINUTE
from tools.simulate.truth import Period, Window

TEN_MINUTES = 10 * MINUTE


@dataclass(slots=True)
class _Draft:
    opened_at: float
    ends: list[tuple[float, float]]
    times: list[float]
    values: list[float]

    @property
    def end(self) -> float:
        return self.ends[-1][1]


class Meter:
    """A week has an `anchor`, some instant at which it ends; the 5 h window has none and ends on a 10-minute mark.

    `always_open` says that the next period begins where the last one ended, used or not.
    """

    def __init__(self, key: str, duration: float, anchor: float | None, always_open: bool) -> None:
        self.key = key
        self.duration = duration
        self.always_open = always_open
        self._anchor = anchor
        self._periods: list[Period] = []
        self._draft: _Draft | None = None
        if always_open:
            self._open(0.0, self._next_end(0.0), 0.0)

    @property
    def used(self) -> float:
        return self._draft.values[-1] if self._draft else 0.0

    def advance(self, t: float) -> None:
        """Let everything end that is due by `t`."""
        while self._draft is not None and self._draft.end <= t:
            end = self._draft.end
            self._close(end, early=False)
            if self.always_open:
                self._open(end, end + self.duration, 0.0)

    def use(self, t: float, points: float) -> None:
        if points <= 0:
            return
        if self._draft is None:
            self._open(t, self._next_end(t), 0.0)
        assert self._draft is not None
        self._draft.times.append(t)
        self._draft.values.append(self._draft.values[-1] + points)

    def reset(self, t: float, form: str, left: float) -> None:
        """An early reset: the end stays (`unchanged`), a full new period begins (`moved`), or none (`closed`)."""
        if self._draft is None:
            return
        end = self._draft.end
        self._close(t, early=True)
        if form == "closed" and not self.always_open:
            return
        self._open(t, end if form == "unchanged" else self._fresh_end(t), left)

    def move_end(self, t: float, by: float) -> None:
        """The schedule changes; nothing is reset."""
        if self._draft is not None and self._draft.end + by > t + TEN_MINUTES:
            self._draft.ends.append((t, self._draft.end + by))

    def window(self) -> Window:
        if self._draft is not None:
            self._close(inf, early=False)
        return Window(self.key, self.duration, self._periods)

    def _open(self, t: float, end: float, used: float) -> None:
        self._draft = _Draft(t, [(t, end)], [t], [used])

    def _close(self, t: float, early: bool) -> None:
        draft = self._draft
        assert draft is not None
        self._draft = None
        if self._anchor is not None:
            self._anchor = draft.end
        self._periods.append(
            Period(
                id=len(self._periods),
                opened_at=draft.opened_at,
                over_at=t,
                early=early,
                ends=tuple(draft.ends),
                times=tuple(draft.times),
                values=tuple(draft.values),
            )
        )

    def _next_end(self, t: float) -> float:
        """The end of a period that is opened by use: fixed for a week, 5 h from now else."""
        if self._anchor is None:
            return t // TEN_MINUTES * TEN_MINUTES + self.duration
        return t + self.duration - (t - self._anchor) % self.duration

    def _fresh_end(self, t: float) -> float:
        grain = TEN_MINUTES if self._anchor is None else HOUR
        return t // grain * grain + self.duration

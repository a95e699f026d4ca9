"""The rule that simple tools have: compare percent and reset text of two consecutive answers, and remember no more."""

from collections.abc import Sequence

from tools.simulate.record import MINUTE, Seen, Told

NEAR_ZERO = 5.0


class Naive:
    """Tells the highest threshold between two answers; a reset where the text differs or the percent fell to near 0.

    It is spared what would be too easy: the text is cut to the minute, as a user reads it (`rounds`: to the nearest
    minute, which is proof against the server's wobble), and a window that opens after none was open is no reset.
    """

    def __init__(self, thresholds: Sequence[float], rounds: bool = False) -> None:
        self._thresholds = thresholds
        self._offset = MINUTE / 2 if rounds else 0.0
        self._last: dict[str, Seen] = {}

    def restart(self) -> None:
        self._last = {}

    def tell(self, answer: dict[str, Seen]) -> list[Told]:
        told = [
            alert
            for key, seen in answer.items()
            if key in self._last
            for alert in self._compared(key, self._last[key], seen)
        ]
        self._last.update(answer)
        return told

    def _compared(self, key: str, last: Seen, seen: Seen) -> list[Told]:
        crossed = [t for t in self._thresholds if last.percent < t <= seen.percent]
        told = [Told(key, max(crossed))] if crossed else []
        fell = last.percent > NEAR_ZERO >= seen.percent
        moved = last.named_end is not None and self._text(last) != self._text(seen)
        return [*told, Told(key)] if fell or moved else told

    def _text(self, seen: Seen) -> int | None:
        """The reset as shown, in minutes."""
        end = seen.named_end
        return None if end is None else int((end + self._offset) // MINUTE)

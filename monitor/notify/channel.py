"""The seam to whatever can tell an alert, and what became of a try."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from monitor.core.alerts.rules import Urgency
from monitor.core.effects import Alert


class Channel(Protocol):
    """One way to be told."""

    @property
    def name(self) -> str: ...

    async def tell(self, alerts: Sequence[Alert], urgency: Urgency) -> None:
        """Tell one alert, or several in one message. Returns once they were told. Raises ChannelError."""

    def close(self) -> None:
        """Let go of whatever it holds; it may be used again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a delivery on one channel. `failure` is the metrics' word, `words` are for people."""

    channel: str
    failure: str | None
    words: str

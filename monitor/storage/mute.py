"""Until when the user wants no alerts: one small document that every process of the user reads and writes."""

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final, Protocol

from monitor.core.format import clock

KEY_MUTES_FOR: Final = timedelta(hours=1)


class Document(Protocol):
    """One small JSON document that outlives the process."""

    def load(self) -> Mapping[str, Any]:
        """Empty where there is none, or none that can be read."""

    def save(self, document: Mapping[str, Any]) -> None:
        """Raises TrackerError where it cannot be written."""


class MuteFile:
    """The mute, over `JsonFile` or the demo's memory. It is over once its instant has passed."""

    def __init__(self, document: Document) -> None:
        self._document = document

    def until(self) -> datetime | None:
        """What was set last, be it past or to come; None where nothing is muted, or it cannot be read."""
        text = self._document.load().get("until")
        try:
            until = datetime.fromisoformat(text) if isinstance(text, str) else None
        except ValueError:
            return None
        return until if until is None or until.tzinfo is not None else None

    def muted_until(self, now: datetime) -> datetime | None:
        """When the mute ends that holds now; None where none does."""
        until = self.until()
        return until if until is not None and now < until else None

    def set(self, until: datetime | None) -> None:
        """Mute until then; None ends it. Raises TrackerError."""
        self._document.save({"until": None if until is None else until.isoformat()})

    def toggle(self, now: datetime) -> datetime | None:
        """Mute for an hour, or end the mute that holds; returns until when it holds now. Raises TrackerError."""
        until = None if self.muted_until(now) is not None else now + KEY_MUTES_FOR
        self.set(until)
        return until


def mute_words(until: datetime | None, now: datetime, zone: tzinfo | None = None) -> str:
    """What holds now, with a clock time in `zone`; None is the machine's own."""
    if until is None:
        return "alerts are not muted"
    return f"alerts are muted until {clock(until, now, zone)}"

"""Tells an alert through AppleScript, which every macOS has; it ends well even where the user forbids it."""

from collections.abc import Sequence
from typing import Final

from monitor.core.alerts.rules import Urgency
from monitor.core.effects import Alert
from monitor.notify.channels.program import LIMIT_SECS, run
from monitor.notify.text import Words

_SCRIPT: Final = (
    "on run a",
    "display notification (item 3 of a) with title (item 1 of a) subtitle (item 2 of a)",
    "end run",
)


class Osascript:
    """The text travels as arguments and is never a part of the script."""

    name = "osascript"

    def __init__(
        self, words: Words, *, executable: str = "osascript", limit: float = LIMIT_SECS
    ) -> None:
        self._words = words
        self._executable = executable
        self._limit = limit

    async def tell(self, alerts: Sequence[Alert], urgency: Urgency = Urgency.NORMAL) -> None:
        """Raises ChannelError."""
        message = self._words(alerts, urgency)
        script = [part for line in _SCRIPT for part in ("-e", line)]
        # The first argument is ours, so that a title which begins with a dash is not read as an option.
        arguments = ("Claude Tracker", message.title, message.body)
        await run(self._executable, *script, *arguments, limit=self._limit)

    def close(self) -> None:
        """It holds nothing."""

"""Tells an alert through the program terminal-notifier, which many have on macOS."""

from collections.abc import Sequence

from monitor.core.alerts.rules import Urgency
from monitor.core.effects import Alert
from monitor.notify.channels.program import LIMIT_SECS, run
from monitor.notify.text import Words


class TerminalNotifier:
    """`executable` is looked up on PATH for each alert: it may be installed while we run."""

    name = "terminal-notifier"

    def __init__(
        self, words: Words, *, executable: str = "terminal-notifier", limit: float = LIMIT_SECS
    ) -> None:
        self._words = words
        self._executable = executable
        self._limit = limit

    async def tell(self, alerts: Sequence[Alert], urgency: Urgency = Urgency.NORMAL) -> None:
        """Raises ChannelError."""
        message = self._words(alerts, urgency)
        options = ("-title", _value(message.title), "-message", _value(message.body))
        await run(self._executable, *options, limit=self._limit)

    def close(self) -> None:
        """It holds nothing."""


def _value(text: str) -> str:
    """It reads values as property lists, so that `(x` or `-x` would be lost, unless a backslash is in front."""
    return f"\\{text}"

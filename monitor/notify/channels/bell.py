"""Rings the terminal's bell: the last resort, which tells only that there is something to look at."""

from collections.abc import Sequence

from monitor.core.alerts.rules import Urgency
from monitor.core.effects import Alert
from monitor.notify.channels.terminal import Write, written


class Bell:
    """`write` belongs to whoever owns the terminal; None where there is none."""

    name = "bell"

    def __init__(self, write: Write | None) -> None:
        self._write = write

    async def tell(
        self,
        alerts: Sequence[Alert],  # noqa: ARG002 - a bell has one thing to say
        urgency: Urgency = Urgency.NORMAL,  # noqa: ARG002 - and one way to say it
    ) -> None:
        """Raises ChannelError."""
        written(self._write, b"\a")

    def close(self) -> None:
        """It holds nothing."""

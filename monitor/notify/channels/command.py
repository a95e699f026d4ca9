"""Tells alerts to a program of the user's choice: as JSON on its standard input, and in its environment.

The document is that of `monitor.notify.channels.document`. The environment is ours, and in addition has
`CLAUDE_TRACKER_` and: `KIND` (`summary` for several alerts), `RULE`, `ACCOUNT`, `WINDOW`, `UTILIZATION`,
`THRESHOLD`, `RESETS_AT`, `AT`, `DETAIL`, `TITLE`, `BODY`, `URGENCY` and `COUNT`. What the program prints is
discarded; an exit code other than 0 says that it did not tell.
"""

import os
from collections.abc import Sequence
from typing import Final

from monitor.core.alerts.rules import Urgency
from monitor.core.effects import Alert
from monitor.core.errors import SettingsError
from monitor.notify.channels.document import environment, render_document
from monitor.notify.channels.program import Input, run
from monitor.notify.text import Words

LIMIT_SECS: Final = 10.0


class Command:
    """`argv` is looked up on PATH for each alert, and never given to a shell; no argument is replaced."""

    def __init__(
        self,
        argv: Sequence[str],
        words: Words,
        *,
        limit: float = LIMIT_SECS,
        name: str = "command",
    ) -> None:
        if not argv or not argv[0]:
            raise SettingsError("the command of a channel is empty: name a program")
        self.name = name
        self._argv = tuple(argv)
        self._words = words
        self._limit = limit

    async def tell(self, alerts: Sequence[Alert], urgency: Urgency = Urgency.NORMAL) -> None:
        """Raises ChannelError."""
        environ = {**os.environ, **environment(alerts, urgency, self._words)}
        given = Input(render_document(alerts, urgency, self._words), environ)
        await run(*self._argv, limit=self._limit, given=given)

    def close(self) -> None:
        """It holds nothing."""

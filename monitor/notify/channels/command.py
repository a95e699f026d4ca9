"""Gives alerts to a program of the user's choice: as JSON on its standard input, and in its environment.

The document is that of `monitor.notify.alert_json`. The environment is ours, and in addition has `CLAUDE_TRACKER_` and:
`KIND` (`summary` for several alerts), `RULE`, `ACCOUNT`, `WINDOW`, `UTILIZATION`, `THRESHOLD`, `RESETS_AT`, `AT`,
`DETAIL`, `TITLE`, `BODY`, `URGENCY` and `COUNT`. What the program prints is discarded; an exit code other than 0 says
that it did not send them.
"""

import os
import shutil
from collections.abc import Sequence
from typing import Any

from monitor.core.alerts.rules import Alert
from monitor.core.alerts.text import Message
from monitor.core.errors import ChannelError, ChannelReason
from monitor.notify.alert_json import environment, render_document
from monitor.notify.channel import Channel
from monitor.system.subprocesses import complaint_of, ending


class Command(Channel):
    """`argv` is looked up on PATH for each alert, and never given to a shell; no argument is replaced."""

    name = "command"

    def __init__(self, argv: Sequence[str], limit: float) -> None:
        self._argv = tuple(argv)
        self.limit_secs = limit

    async def send(self, message: Message, alerts: Sequence[Alert]) -> None:
        """Raises ChannelError. The words of the program are not passed on: it may quote its input."""
        code, _ = await _run(
            self._argv,
            self.limit_secs,
            stdin=render_document(message, alerts),
            environ={**os.environ, **environment(message, alerts)},
        )
        if code:
            raise ChannelError(ChannelReason.ERROR, f"{self._argv[0]} {ending(code)}")


async def run(name: str, *arguments: str, limit: float) -> None:
    """Run a program to its end. Raises ChannelError where it is missing, fails, or takes longer than `limit`."""
    code, stderr = await _run((name, *arguments), limit)
    if code:
        words = " ".join(stderr.decode(errors="replace").split())[:200]
        detail = f"{name} {ending(code)}{f': {words}' if words else ''}"
        raise ChannelError(ChannelReason.ERROR, detail)


def find_program(name: str) -> str:
    """Return the program's path. Raises ChannelError."""
    program = shutil.which(name)
    if program is None:
        where = "missing, or no program" if os.sep in name else "not on PATH"
        raise ChannelError(ChannelReason.UNAVAILABLE, f"{name} is {where}")
    return program


async def _run(argv: Sequence[str], limit: float, **given: Any) -> tuple[int, bytes]:
    name, *arguments = argv
    program = find_program(name)
    try:
        return await complaint_of(program, *arguments, limit_secs=limit, **given)
    except TimeoutError:
        late = f"{name} took longer than {limit:g} s"
        raise ChannelError(ChannelReason.TIMEOUT, late) from None
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "cannot be started"
        raise ChannelError(ChannelReason.UNAVAILABLE, f"{name}: {why}") from None

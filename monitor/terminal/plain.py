"""The table as plain text, for a pipe, a dumb terminal and `monitor status`; and which terminals are none of those."""

import sys
from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Final

from monitor.core.state import State
from monitor.terminal.column_widths import columns
from monitor.terminal.style import plain
from monitor.terminal.table import header, line, rows, wishes

NO_ACCOUNTS: Final = (
    "No account yet: log in with `claude`, then run `monitor accounts import --all`.\n"
)
"""Plain text has no keys."""


def interactive(env: Mapping[str, str], stdin_tty: bool, stdout_tty: bool) -> bool:
    """Whether the live table can be shown: on a terminal that moves its cursor, of a POSIX system."""
    moves = env.get("TERM", "") not in ("", "dumb")
    return stdin_tty and stdout_tty and moves and sys.platform != "win32"


def render_plain(state: State, now: datetime, width: int, tz: tzinfo | None = None) -> str:
    """The table in lines of at most `width` cells; clock times are told in `tz` (None: the machine's)."""
    if not state.accounts:
        return NO_ACCOUNTS
    shown = rows(state, now, tz=tz)
    shape = columns(width, wishes(shown))
    lines = [header(shape), *(line(row, shape) for row in shown)]
    return "".join(f"{plain(text).rstrip()}\n" for text in lines)

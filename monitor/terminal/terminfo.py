"""What the terminal can do: as the machine's terminfo database says, and blessed of a terminal that is not in it.

The database is asked first because it costs nothing. blessed brings descriptions of its own, of the newer terminals
that many a machine has not heard of (kitty, foot, ghostty behind ssh), and takes the rest for an xterm.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

from monitor.terminal.diff import Capabilities
from monitor.terminal.style import COLOURS_8, COLOURS_256, Style

_DELAY: Final = re.compile(rb"\$<[^>]*>")
"""How long the terminals of old had to be waited for."""

_CHARACTER_SET: Final = re.compile(r"\x1b\(B|\x0f")
"""Back to the usual characters, which we never leave: at each end of a style it would be much to write."""


class Say(Protocol):
    def __call__(self, name: str, *parameters: int) -> str:
        """The sequence of this terminfo name; empty where the terminal has none."""


class Description(NamedTuple):
    """One terminal's sequences, and how many colours they choose from by number."""

    say: Say
    colours: int


def capabilities(fd: int) -> Capabilities:
    """Of the terminal that `$TERM` names; `$NO_COLOR` takes its colours away, and nothing else."""
    description = by_terminfo(fd) or by_blessed(fd)
    return used(description, coloured=not os.environ.get("NO_COLOR"))


def used(description: Description, *, coloured: bool = True) -> Capabilities:
    """What the table makes use of."""
    say, colours = description.say, description.colours if coloured else 0
    normal = _CHARACTER_SET.sub("", say("sgr0"))
    return Capabilities(
        enter=say("smcup") + say("civis") + say("rmam"),
        leave=normal + say("smam") + say("cnorm") + say("rmcup"),
        styles={style: _colour(say, colours, style) for style in Style},
        bold=say("bold"),
        normal=normal,
        clear=say("clear"),
        clear_to_end_of_line=say("el"),
        show_cursor=say("cnorm"),
        hide_cursor=say("civis"),
        move=lambda column, row: say("cup", row, column),
    )


def _colour(say: Say, colours: int, style: Style) -> str:
    """More than 256 are not chosen by number; but the first eight of them are."""
    number = (COLOURS_256 if colours == 256 else COLOURS_8 if colours >= 8 else {}).get(style)
    return "" if number is None else say("setaf", number)


def by_terminfo(fd: int) -> Description | None:
    """What the database says; None where it does not know the terminal, or not how its cursor is moved."""
    try:
        import curses  # not every Python has it
    except ImportError:
        return None
    try:
        curses.setupterm(fd=fd)
    except curses.error:
        return None

    def say(name: str, *parameters: int) -> str:
        sequence = curses.tigetstr(name) or b""
        if parameters and sequence:
            sequence = curses.tparm(sequence, *parameters)
        return _DELAY.sub(b"", sequence).decode("latin-1")

    return Description(say, curses.tigetnum("colors")) if say("cup", 0, 0) else None


def by_blessed(fd: int) -> Description:
    """What blessed says, who knows every terminal in some way; it gets no keyboard, and so sends no queries."""
    import blessed  # seldom needed, and most of what a table in a terminal would weigh

    # With NO_COLOR it would not even move the cursor, and by COLORTERM it overrates what a sequence can choose.
    with open(fd, "w", closefd=False) as stream, _without("NO_COLOR", "COLORTERM"):
        term = blessed.Terminal(stream=stream)
        colours = min(term.number_of_colors, 256)

    def say(name: str, *parameters: int) -> str:
        sequence = getattr(term, name)
        return str(sequence(*parameters) if parameters else sequence)

    return Description(say, colours)


@contextlib.contextmanager
def _without(*names: str) -> Iterator[None]:
    """The environment, for the time of the block, without these variables."""
    taken = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(taken)

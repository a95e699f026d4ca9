"""Pictures as the bytes that show them, in the sequences that blessed knows of the terminal.

Of a picture that follows another one only the lines that differ are written.
"""

import base64
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import blessed

from monitor.terminal.canvas import Picture, Size
from monitor.terminal.text import Line, Style, line_width

COLOURS: Final = {
    Style.DIM: (138, 138, 138),
    Style.TITLE: (0, 175, 175),
    Style.BORDER: (0, 175, 175),
    Style.GOOD: (0, 175, 0),
    Style.NOTICE: (215, 175, 0),
    Style.PROBLEM: (255, 95, 95),
    Style.COOL: (0, 175, 0),
    Style.MILD: (135, 175, 0),
    Style.WARM: (215, 175, 0),
    Style.HOT: (255, 135, 0),
    Style.FULL: (255, 0, 0),
}
"""Red, green and blue, from the palette of 256 colours; blessed finds the nearest one of a smaller palette."""

_BEGIN: Final = "\x1b[?2026h"
_END: Final = "\x1b[?2026l"
"""Synchronized output: terminals that do not know it ignore it, so nobody is asked."""

_KEEP_TITLE: Final = "\x1b[22;2t"
_GIVE_TITLE_BACK: Final = "\x1b[23;2t"
_WITH_TITLE: Final = (
    "xterm", "tmux", "screen", "rxvt", "alacritty", "kitty", "ghostty", "foot", "wezterm", "konsole", "vte",
    "st-", "contour",
)  # fmt: skip

_PASTE_ON: Final = "\x1b[?2004h"
_PASTE_OFF: Final = "\x1b[?2004l"


def open_terminal(fd: int) -> blessed.Terminal:
    """The terminal that `$TERM` names, of at most 256 colours. It has no keyboard, and so sends no queries.

    A query may stay unanswered for seconds. The environment is without NO_COLOR meanwhile, which would take the
    motion of the cursor away too, and without COLORTERM, which makes colours of 24 bits: longer to write, and no
    different in what they show here.
    """
    with open(fd, "w", closefd=False) as stream, _without("NO_COLOR", "COLORTERM"):
        term = blessed.Terminal(stream=stream)
    term.number_of_colors = min(term.number_of_colors, 256)
    return term


@contextmanager
def _without(*names: str) -> Iterator[None]:
    """The environment, for the time of the block, without these variables."""
    taken = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(taken)


class Painter:
    """The sequences of one terminal. `enter` and `leave` are those of the full-screen mode.

    In that mode no cursor is shown, no line is wrapped, and a paste comes in brackets.
    """

    def __init__(self, term: blessed.Terminal, *, coloured: bool = True) -> None:
        self.term = term
        # The console of the kernel and old terminals would show a title's text in their midst.
        self._has_title = str(term.kind).startswith(_WITH_TITLE)
        keeps_it = _KEEP_TITLE[:4] in term.enter_fullscreen or not self._has_title
        keep, give_back = ("", "") if keeps_it else (_KEEP_TITLE, _GIVE_TITLE_BACK)
        self.enter = (
            f"{term.enter_fullscreen}{keep}{term.hide_cursor}{term.disable_line_wrap}{_PASTE_ON}"
        )
        # Without a screen of its own the table stays: the prompt then has the last line to itself.
        below = "" if term.exit_fullscreen else f"{term.move_xy(0, 998)}{term.clear_eol}\r\n"
        self.leave = (
            f"{_PASTE_OFF}{term.normal}{term.enable_line_wrap}"
            f"{term.normal_cursor}{term.exit_fullscreen}{below}{give_back}"
        )
        self._styles = {
            style: str(term.color_rgb(*colour))
            for style, colour in (COLOURS.items() if coloured and term.number_of_colors else ())
            if style is not Style.DIM or term.number_of_colors > 8  # of eight, none is grey
        }

    def title(self, text: str) -> bytes:
        """The bytes that name the terminal's window, which `leave` undoes; none where it may have no title."""
        return f"\x1b]2;{text}\x1b\\".encode("utf-8", "replace") if self._has_title else b""

    def copy(self, text: str) -> bytes:
        """The bytes that put the text into the clipboard at the user's end (OSC 52); few terminals refuse them."""
        if not self._has_title:
            return b""
        return b"\x1b]52;c;" + base64.b64encode(text.encode("utf-8", "replace")) + b"\x1b\\"

    def repaint(self, old: Picture | None, new: Picture, size: Size) -> bytes:
        """The bytes that turn `old`, which is shown, into `new`; without `old`, the screen is cleared first."""
        term = self.term
        known = old.lines if old else ((),) * len(new.lines)
        lines = "".join(
            term.move_xy(0, row) + self._line(line, size)
            for row, (before, line) in enumerate(zip(known, new.lines, strict=True))
            if before != line
        )
        if old is not None and not lines and old.cursor == new.cursor:
            return b""
        clear = f"{term.normal}{term.clear}" if old is None else ""
        cursor = f"{term.move_xy(*new.cursor)}{term.normal_cursor}" if new.cursor else ""
        text = f"{_BEGIN}{term.hide_cursor}{clear}{lines}{cursor}{_END}"
        return text.encode("utf-8", "replace")

    def _line(self, line: Line, size: Size) -> str:
        """A full line has nothing left to clear, and clearing there would eat its last character."""
        written = []
        for span in line:
            style = self._styles.get(span.style, "") + (str(self.term.bold) if span.bold else "")
            written.append(f"{style}{span.text}{self.term.normal}" if style else span.text)
        full = line_width(line) >= size.width
        return "".join(written) + ("" if full else str(self.term.clear_eol))

"""Turns frames into the bytes that show them, in the sequences that blessed knows of the terminal.

Of a frame that follows another one only what differs is written: in each span the cells from the first to the last.
"""

import base64
import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import blessed

from monitor.core.state import Display, Theme
from monitor.terminal.text import ASCII, Back, Frame, Line, Size, Span, Style, width

Colour = tuple[int, int, int]

_COLOURS: Final[Mapping[Style, tuple[Colour, Colour]]] = {
    Style.DIM: ((158, 158, 158), (88, 88, 88)),
    Style.TITLE: ((95, 175, 215), (0, 95, 135)),
    Style.KEY: ((95, 175, 215), (0, 95, 135)),
    Style.BORDER: ((135, 175, 215), (0, 95, 135)),
    Style.GOOD: ((95, 215, 135), (0, 95, 0)),
    Style.NOTICE: ((215, 175, 95), (135, 95, 0)),
    Style.PROBLEM: ((255, 135, 135), (175, 0, 0)),
    Style.COOL: ((95, 175, 135), (0, 95, 95)),
    Style.MILD: ((175, 175, 95), (95, 95, 0)),
    Style.WARM: ((215, 175, 95), (135, 95, 0)),
    Style.HOT: ((255, 135, 95), (175, 0, 0)),
    Style.FULL: ((255, 95, 95), (175, 0, 0)),
    Style.TRACK: ((108, 108, 108), (188, 188, 188)),
}
"""Red, green and blue of the dark theme and of the light one, from the palette of 256 colours.

What is no text (TRACK) may be fainter.
"""

BACKS: Final[Mapping[Back, tuple[Colour, Colour]]] = {
    Back.SELECTED: ((38, 38, 38), (228, 228, 228)),
    Back.TRACK: ((58, 58, 58), (218, 218, 218)),
    Back.STRIPE: ((48, 48, 48), (238, 238, 238)),
}
_STRIPES: Final[Mapping[Style, tuple[Colour, Colour]]] = {
    Style.COOL: ((0, 135, 95), (0, 135, 135)),
    Style.MILD: ((135, 135, 95), (135, 135, 0)),
    Style.WARM: ((175, 135, 95), (175, 135, 0)),
    Style.HOT: ((215, 135, 95), (215, 95, 95)),
    Style.FULL: ((215, 95, 95), (215, 95, 95)),
}
"""Every second bar is drawn in another shade, so that full ones do not melt into one block."""

_OF_FEW: Final[Mapping[Style, tuple[Colour, Colour | None]]] = {
    **dict.fromkeys((Style.TITLE, Style.KEY), ((0, 255, 255), (0, 0, 238))),
    **dict.fromkeys((Style.GOOD, Style.COOL, Style.MILD), ((0, 255, 0), None)),
    **dict.fromkeys((Style.NOTICE, Style.WARM), ((255, 255, 0), None)),
    **dict.fromkeys((Style.PROBLEM, Style.HOT, Style.FULL), ((255, 0, 0), (205, 0, 0))),
}
"""For terminals of 8 or 16 colours, of which none is a readable grey; bold makes those of 8 bright."""

_BEGIN: Final = "\x1b[?2026h"
_END: Final = "\x1b[?2026l"
"""Synchronized output; terminals that do not know it ignore it, so the terminal is not asked."""

_KEEP_TITLE: Final = "\x1b[22;2t"
_GIVE_TITLE_BACK: Final = "\x1b[23;2t"
_WITH_TITLE: Final = (
    "xterm", "tmux", "screen", "rxvt", "alacritty", "kitty", "ghostty", "foot", "wezterm", "konsole", "vte",
    "st-", "contour",
)  # fmt: skip

_PASTE_ON: Final = "\x1b[?2004h"
_PASTE_OFF: Final = "\x1b[?2004l"

_MOUSE_ON: Final = "\x1b[?1000h\x1b[?1006h"
_MOUSE_OFF: Final = "\x1b[?1006l\x1b[?1000l"
_ASK_GROUND: Final = "\x1b]11;?\x1b\\"
"""The answer comes among the keys, and is not waited for; blessed would wait, and ask more than this."""

_WORTH_SYNCHRONIZING: Final = 512
"""Bytes; fewer are written in one piece anyway."""


def open_terminal(fd: int) -> blessed.Terminal:
    """The terminal that `$TERM` names, of at most 256 colours. It has no keyboard, and so sends no queries.

    A query may stay unanswered for seconds. The environment is without NO_COLOR meanwhile, which would take the
    motion of the cursor away too, and without COLORTERM, which makes colours of 24 bits: longer to write, and no
    different in what they show here.
    """
    taken = {name: os.environ.pop(name, None) for name in ("NO_COLOR", "COLORTERM")}
    try:
        with open(fd, "w", closefd=False) as stream:
            term = blessed.Terminal(stream=stream)
    finally:
        os.environ.update({name: value for name, value in taken.items() if value is not None})
    term.number_of_colors = min(term.number_of_colors, 256)
    return term


class Painter:
    """The sequences of one terminal. `enter` and `leave` are those of the full-screen mode.

    In that mode no cursor is shown, no line is wrapped, and a paste comes in brackets.
    """

    def __init__(
        self,
        term: blessed.Terminal,
        *,
        coloured: bool = True,
        ground: Theme = Theme.DARK,
    ) -> None:
        self.term = term
        # The console of the kernel and old terminals would print the title's text on the screen.
        self._has_title = str(term.kind).startswith(_WITH_TITLE)
        keeps_it = _KEEP_TITLE[:4] in term.enter_fullscreen or not self._has_title
        keep, give_back = ("", "") if keeps_it else (_KEEP_TITLE, _GIVE_TITLE_BACK)
        ask = _ASK_GROUND if self._has_title and coloured else ""
        mouse_on, mouse_off = (_MOUSE_ON, _MOUSE_OFF) if self._has_title else ("", "")
        self.enter = (
            f"{term.enter_fullscreen}{keep}{term.hide_cursor}{term.disable_line_wrap}{mouse_on}"
            f"{ask}{_PASTE_ON}"
        )
        # Without an alternate screen the table stays visible: the prompt gets the last line.
        below = "" if term.exit_fullscreen else f"{term.move_xy(0, 998)}{term.clear_eol}\r\n"
        self.leave = (
            f"{_PASTE_OFF}{mouse_off}{term.normal}{term.enable_line_wrap}"
            f"{term.normal_cursor}{term.exit_fullscreen}{below}{give_back}"
        )
        # Terminals that follow ECMA-48 know shorter moves than to an absolute place.
        self.moves_by_ecma = term.move_xy(0, 0) == "\x1b[1;1H"
        self._is_coloured = coloured and term.number_of_colors > 0
        self._has_backs = self._is_coloured and term.number_of_colors > 16
        self._ground = self._theme = ground
        self._is_ascii = False
        self._looks: dict[tuple[Style, bool, Back | None], str] = {}

    def use(self, display: Display, ground: Theme | None = None) -> bool:
        """Draw with these settings on this ground (None: the same); return whether all has to be drawn again."""
        self._ground = ground or self._ground
        theme = self._ground if display.theme is Theme.AUTO else display.theme
        if (theme, display.ascii) == (self._theme, self._is_ascii):
            return False
        self._theme, self._is_ascii = theme, display.ascii
        self._looks.clear()
        return True

    def title(self, text: str) -> bytes:
        """Return the bytes that set the window's title, which `leave` undoes; none where it may have no title."""
        return f"\x1b]2;{text}\x1b\\".encode("utf-8", "replace") if self._has_title else b""

    def copy(self, text: str) -> bytes:
        """Return the bytes that put the text into the user's clipboard (OSC 52); few terminals refuse them."""
        if not self._has_title:
            return b""
        return b"\x1b]52;c;" + base64.b64encode(text.encode("utf-8", "replace")) + b"\x1b\\"

    def repaint(self, old: Frame | None, new: Frame, size: Size) -> bytes:
        """Return the bytes that turn `old`, which is shown, into `new`; without `old`, the screen is cleared first."""
        term = self.term
        known = old.lines if old else ((),) * len(new.lines)
        pen = _Pen(self, size.width)
        for row, (before, line) in enumerate(zip(known, new.lines, strict=True)):
            if before is not line and before != line:
                pen.change(row, before, line)
        written = pen.finish()
        if old is not None and not written and old.cursor == new.cursor:
            return b""
        clear = f"{term.normal}{term.clear}" if old is None else ""
        cursor = f"{term.move_xy(*new.cursor)}{term.normal_cursor}" if new.cursor else ""
        hide = term.hide_cursor if old is None or old.cursor else ""
        text = f"{hide}{clear}{written}{cursor}"
        if len(text) > _WORTH_SYNCHRONIZING:
            text = f"{_BEGIN}{text}{_END}"
        return text.encode("utf-8", "replace")

    def look(self, span: Span) -> str:
        """Return the sequence that switches from plain text to the span's look; empty for plain text."""
        style, bold, back = key = span.style, span.bold, span.back
        if key in self._looks:
            return self._looks[key]
        term, is_light, found = self.term, self._theme is Theme.LIGHT, ""
        colours = _STRIPES if back is Back.STRIPE and style in _STRIPES else _COLOURS
        if self._has_backs and style in colours:
            found = str(term.color_rgb(*colours[style][is_light]))
        elif self._is_coloured and style in _OF_FEW and (few := _OF_FEW[style][is_light]):
            found, bold = str(term.color_rgb(*few)), bold or not is_light
        if self._has_backs and back is not None:
            found += str(term.on_color_rgb(*BACKS[back][is_light]))
        self._looks[key] = found + (str(term.bold) if bold else "")
        return self._looks[key]

    def letters(self, span: Span) -> str:
        """Return the span's text in the characters of this terminal."""
        text = span.text
        if span.style is Style.TRACK and span.back in (Back.TRACK, Back.STRIPE) and self._has_backs:
            return " " * len(text)  # the background is the track
        return text.translate(ASCII) if self._is_ascii else text


class _Pen:
    """Writes one frame; knows where the cursor is (None: not known) and the look that is set."""

    def __init__(self, painter: Painter, cells: int) -> None:
        self._painter = painter
        self._cells = cells
        self._parts: list[str] = []
        self._at: tuple[int, int] | None = None
        self._look = ""

    def finish(self) -> str:
        self._set_look("")
        return "".join(self._parts)

    def change(self, row: int, before: Line, line: Line) -> None:
        """Turn one line into another, cell by cell as long as their spans are in the same places."""
        column = 0
        for place, span in enumerate(line):
            old = before[place] if place < len(before) else None
            is_in_place = _is_certain(span.text) and (
                old is span or (old and _is_certain(old.text))
            )
            if old is None or not is_in_place or len(old.text) != len(span.text):
                self._rewrite(row, column, line[place:])
                return
            if old is not span and old != span:
                self._change_span(row, column, old, span)
            column += len(span.text)
        if len(before) > len(line):
            self._rewrite(row, column, ())

    def _change_span(self, row: int, column: int, old: Span, span: Span) -> None:
        text = self._painter.letters(span)
        if (old.style, old.bold, old.back) != (span.style, span.bold, span.back):
            self._write(row, column, text, self._painter.look(span))
            return
        pairs = enumerate(zip(self._painter.letters(old), text, strict=True))
        differing = [place for place, (a, b) in pairs if a != b]
        if differing:
            start, end = differing[0], differing[-1] + 1
            self._write(row, column + start, text[start:end], self._painter.look(span))

    def _rewrite(self, row: int, column: int, spans: Line) -> None:
        """Write the rest of a line. A full line needs no clearing, which would eat its last character."""
        for span in spans:
            self._write(row, column, self._painter.letters(span), self._painter.look(span))
            column += width(span.text)
        if column < self._cells:
            self._write(row, column, str(self._painter.term.clear_eol), "")
            self._at = (row, column)

    def _write(self, row: int, column: int, text: str, look: str) -> None:
        if self._at != (row, column):
            self._parts.append(self._move(row, column))
        self._set_look(look)
        self._parts.append(text)
        end = column + width(text)
        # There is no column behind the last one: the cursor stays on it.
        self._at = (row, end) if end < self._cells else None

    def _move(self, row: int, column: int) -> str:
        """Return the shortest move, which mostly is to the next line, one cell back."""
        if self._at is not None and self._painter.moves_by_ecma:
            down, right = row - self._at[0], column - self._at[1]
            if down == 1 and -3 <= right <= 0:
                return "\b" * -right + "\x1bD"
            if down == 0 and right > 0:
                return f"\x1b[{right}C"
        if self._painter.moves_by_ecma:  # what blessed returns, in a hundredth of the time
            return f"\x1b[{row + 1};{column + 1}H"
        return str(self._painter.term.move_xy(column, row))

    def _set_look(self, look: str) -> None:
        if look != self._look:
            if self._look:
                self._parts.append(str(self._painter.term.normal))
            self._parts.append(look)
            self._look = look


@lru_cache(maxsize=1024)
def _is_certain(text: str) -> bool:
    """Say whether all terminals agree that each character takes one cell."""
    return text.isascii() or all(width(character) == 1 for character in text)

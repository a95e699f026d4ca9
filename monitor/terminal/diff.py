"""The bytes that turn one frame on a terminal into the next: only the lines that differ. Pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from monitor.terminal.canvas import Picture, Size
from monitor.terminal.style import Line, Style, line_width

_BEGIN: Final = "\x1b[?2026h"
_END: Final = "\x1b[?2026l"
"""Synchronized output: terminals that do not know it ignore it."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """A terminal's own sequences. `styles` has an empty text where a style cannot be shown.

    `enter` and `leave` are those of the full-screen mode, in which no cursor is shown and no line is wrapped.
    """

    enter: str
    leave: str
    styles: Mapping[Style, str]
    bold: str
    normal: str
    clear: str
    clear_to_end_of_line: str
    show_cursor: str
    hide_cursor: str
    move: Callable[[int, int], str]


def repaint(old: Picture | None, new: Picture, size: Size, can: Capabilities) -> bytes:
    """What to write where `old` is shown, for `new`; without `old`, the screen is cleared first."""
    lines = "".join(_changed_lines(old, new, size, can))
    if old is not None and not lines and old.cursor == new.cursor:
        return b""
    clear = can.normal + can.clear if old is None else ""
    cursor = can.move(*new.cursor) + can.show_cursor if new.cursor else ""
    text = f"{_BEGIN}{can.hide_cursor}{clear}{lines}{cursor}{_END}"
    return text.encode("utf-8", "replace")


def _changed_lines(
    old: Picture | None, new: Picture, size: Size, can: Capabilities
) -> Iterator[str]:
    known = old.lines if old else ((),) * len(new.lines)
    for row, (before, line) in enumerate(zip(known, new.lines, strict=True)):
        if before != line:
            yield can.move(0, row) + _line(line, size, can)


def _line(line: Line, size: Size, can: Capabilities) -> str:
    """A full line has nothing left to clear, and clearing there would eat its last character."""
    text = "".join(
        f"{can.styles.get(span.style, '')}{can.bold if span.bold else ''}{span.text}{can.normal}"
        for span in line
    )
    full = line_width(line) >= size.width
    return text if full else text + can.clear_to_end_of_line

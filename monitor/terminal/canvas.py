"""A picture: lines and a cursor, and how one is laid over another. Pure."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from monitor.terminal import widths
from monitor.terminal.style import Line, Span, Style, fitted, line_width, over


class Size(NamedTuple):
    """Of a screen or a part of it, in cells."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Picture:
    """Lines, and the cursor's (column, line) where it is to be seen."""

    lines: tuple[Line, ...]
    cursor: tuple[int, int] | None = None

    def fitted(self, size: Size) -> "Picture":
        """The picture in exactly this size."""
        missing = ((),) * (size.height - len(self.lines))
        lines = tuple(fitted(line, size.width) for line in (*self.lines, *missing)[: size.height])
        return Picture(lines, self.cursor if self._shows_cursor(size) else None)

    def _shows_cursor(self, size: Size) -> bool:
        return self.cursor is not None and (
            self.cursor[0] < size.width and self.cursor[1] < size.height
        )

    def moved(self, right: int, down: int) -> "Picture":
        """The same picture, whose cursor is meant for a place further right and down."""
        if self.cursor is None:
            return self
        return replace(self, cursor=(self.cursor[0] + right, self.cursor[1] + down))


def boxed(title: str, inner: Picture, width: int) -> Picture:
    """The picture in a frame of `width` cells with a title."""
    room = width - 2
    head = widths.clip(f" {title} ", room - 1)
    top = f"┌─{head}{'─' * (room - 1 - widths.width(head))}┐"
    sides = tuple(_between_sides(line, room) for line in inner.lines)
    bottom = f"└{'─' * room}┘"
    lines = ((_border(top),), *sides, (_border(bottom),))
    return Picture(lines, inner.cursor).moved(1, 1)


def _between_sides(line: Line, room: int) -> Line:
    line = fitted(line, room)
    rest = Span(" " * (room - line_width(line)))
    return _border("│"), *line, rest, _border("│")


def _border(text: str) -> Span:
    return Span(text, Style.BORDER)


def centered_over(base: Picture, top: Picture, width: int) -> Picture:
    """`top` in the middle of `base`, which is `width` cells wide and not lower than `top`."""
    left = max((width - max(map(line_width, top.lines))) // 2, 0)
    down = max((len(base.lines) - len(top.lines)) // 2, 0)
    lines = list(base.lines)
    for place, line in enumerate(top.lines):
        lines[down + place] = over(lines[down + place], line, left)
    return Picture(tuple(lines), top.moved(left, down).cursor)


def around(lines: list[Line], height: int, place: int) -> tuple[Line, ...]:
    """`height` of the lines, with that at `place` in their middle where they do not all fit."""
    first = max(min(place - height // 2, len(lines) - height), 0)
    return tuple(lines[first : first + height])


def paged(lines: list[Line], height: int, page: int) -> tuple[tuple[Line, ...], int]:
    """One screenful of the lines, and which it is after all: the last one where `page` is past it."""
    height = max(height, 1)
    page = min(page, max(len(lines) - 1, 0) // height)
    return tuple(lines[page * height : (page + 1) * height]), page

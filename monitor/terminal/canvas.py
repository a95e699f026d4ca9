"""A picture: lines and a cursor, and how one is laid over another. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final, NamedTuple, TypeVar

from monitor.terminal.text import Line, Span, Style, char_width, clip, fit, line_width, width

T = TypeVar("T")


class Size(NamedTuple):
    """Of a screen or a part of it, in cells."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Picture:
    """Lines, and the cursor's (column, line) where it is to be seen."""

    lines: tuple[Line, ...]
    cursor: tuple[int, int] | None = None

    def fit(self, size: Size) -> "Picture":
        """The picture in exactly this size; a cursor outside of it is not shown."""
        missing = ((),) * (size.height - len(self.lines))
        lines = tuple(fit(line, size.width) for line in (*self.lines, *missing)[: size.height])
        column, row = self.cursor or size
        return Picture(lines, self.cursor if column < size.width and row < size.height else None)

    def shift_cursor(self, right: int, down: int) -> "Picture":
        """The same lines, with the cursor further right and down."""
        if self.cursor is None:
            return self
        return Picture(self.lines, (self.cursor[0] + right, self.cursor[1] + down))


def box(title: str, inner: Picture, cells: int) -> Picture:
    """The picture in a border of `cells` cells with a title."""
    room = cells - 2
    head = clip(f" {title} ", room - 1)
    lines: list[Line] = [_border(f"┌─{head}{'─' * (room - 1 - width(head))}┐")]
    for line in inner.lines:
        content = fit(line, room)
        rest = Span(" " * (room - line_width(content)))
        lines.append((*_border("│"), *content, rest, *_border("│")))
    lines.append(_border(f"└{'─' * room}┘"))
    return Picture(tuple(lines), inner.cursor).shift_cursor(1, 1)


def _border(text: str) -> Line:
    return (Span(text, Style.BORDER),)


def center_over(base: Picture, top: Picture, cells: int) -> Picture:
    """`top` in the middle of `base`, which is `cells` cells wide and not lower than `top`."""
    left = max((cells - max(map(line_width, top.lines))) // 2, 0)
    down = max((len(base.lines) - len(top.lines)) // 2, 0)
    lines = list(base.lines)
    for row, line in enumerate(top.lines, down):
        lines[row] = overlay(lines[row], line, left)
    return Picture(tuple(lines), top.shift_cursor(left, down).cursor)


_BLANK: Final = Span(" ")


def overlay(base: Line, top: Line, left: int) -> Line:
    """`base` with `top` laid on it, from the cell `left` on."""
    cells = _split_into_cells(base)
    right = left + line_width(top)
    cells += [_BLANK] * (right - len(cells))
    before, after = cells[:left], cells[right:]
    if before and width(before[-1].text) > 1:
        before[-1] = _BLANK  # a wide character would reach under the top
    if after and not after[0].text:
        after[0] = _BLANK  # only the second half of a wide character is left
    runs = groupby([*before, *top, *after], key=lambda span: (span.style, span.bold, span.back))
    return tuple(Span("".join(span.text for span in run), *look) for look, run in runs)


def _split_into_cells(line: Line) -> list[Span]:
    """One span for each cell, marks with their letter; the second cell of a wide character is empty."""
    cells: list[Span] = []
    for span in line:
        clusters: list[str] = []
        for char in span.text:
            if char_width(char):
                clusters.append(char)
            elif clusters:
                clusters[-1] += char
        for cluster in clusters:
            cells.append(replace(span, text=cluster))
            cells += [replace(span, text="")] * (width(cluster) - 1)
    return cells


def scroll_to(lines: Sequence[T], height: int, place: int) -> tuple[T, ...]:
    """`height` of the lines, with that at `place` in their middle where they do not all fit."""
    first = max(min(place - height // 2, len(lines) - height), 0)
    return tuple(lines[first : first + height])


def paginate(lines: list[Line], height: int, page: int) -> tuple[tuple[Line, ...], int]:
    """One screenful of the lines, and its number: the last one's where `page` is past it."""
    height = max(height, 1)
    page = min(page, max(len(lines) - 1, 0) // height)
    return tuple(lines[page * height : (page + 1) * height]), page

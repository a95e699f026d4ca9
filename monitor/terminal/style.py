"""Styled text: spans with a style's name, which the terminal's own capabilities colour later. Pure."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Final

from monitor.terminal import widths


class Style(StrEnum):
    """What a piece of text means. No meaning is carried by its colour alone."""

    PLAIN = "plain"
    DIM = "dim"
    TITLE = "title"
    KEY = "key"
    BORDER = "border"
    GOOD = "good"
    NOTICE = "notice"
    PROBLEM = "problem"
    COOL = "cool"
    MILD = "mild"
    WARM = "warm"
    HOT = "hot"
    FULL = "full"


COLOURS_256: Final = {
    Style.DIM: 245,
    Style.TITLE: 37,
    Style.BORDER: 37,
    Style.GOOD: 34,
    Style.NOTICE: 178,
    Style.PROBLEM: 203,
    Style.COOL: 34,
    Style.MILD: 106,
    Style.WARM: 178,
    Style.HOT: 208,
    Style.FULL: 196,
}

COLOURS_8: Final = {
    Style.TITLE: 6,
    Style.BORDER: 6,
    Style.GOOD: 2,
    Style.NOTICE: 3,
    Style.PROBLEM: 1,
    Style.COOL: 2,
    Style.MILD: 2,
    Style.WARM: 3,
    Style.HOT: 1,
    Style.FULL: 1,
}

_STEPS: Final = ((0.95, Style.FULL), (0.8, Style.HOT), (0.65, Style.WARM), (0.4, Style.MILD))


def utilization_style(utilization: float) -> Style:
    """Green to red, by utilization."""
    if math.isnan(utilization):
        return Style.DIM
    return next((style for least, style in _STEPS if utilization >= least), Style.COOL)


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of clean text in one style."""

    text: str
    style: Style = Style.PLAIN
    bold: bool = False


Line = tuple[Span, ...]


def text_line(text: str, style: Style = Style.PLAIN) -> Line:
    return (Span(text, style),) if text else ()


def plain(line: Line) -> str:
    """The line's text alone."""
    return "".join(span.text for span in line)


def line_width(line: Line) -> int:
    return sum(widths.width(span.text) for span in line)


def fitted(line: Line, room: int) -> Line:
    """The line in at most these cells, with an ellipsis where it is cut."""
    if line_width(line) <= room:
        return line
    kept: list[Span] = []
    for span in line:
        rest = room - line_width(tuple(kept))
        if widths.width(span.text) >= rest:
            text = widths.clip(span.text + widths.ELLIPSIS, rest)
            return (*kept, Span(text, span.style, span.bold))
        kept.append(span)
    return tuple(kept)


def over(base: Line, top: Line, left: int) -> Line:
    """`base` with `top` laid on it, from the cell `left` on."""
    grid = list(_grid(base))
    right = left + line_width(top)
    grid += [_BLANK] * (right - len(grid))
    before, after = grid[:left], grid[right:]
    if before and before[-1].text and widths.width(before[-1].text) > 1:
        before[-1] = _BLANK  # a wide character would reach under the top
    if after and not after[0].text:
        after[0] = _BLANK  # only the second half of a wide character is left
    return _joined([*before, *top, *after])


_BLANK: Final = Span(" ")


def _grid(line: Line) -> Iterator[Span]:
    """One span for each cell; the second cell of a wide character is empty."""
    for span in line:
        for cluster in _clusters(span.text):
            yield Span(cluster, span.style, span.bold)
            yield from [Span("", span.style, span.bold)] * (widths.width(cluster) - 1)


def _clusters(text: str) -> list[str]:
    """The text's characters, those without a width together with the one before."""
    found: list[str] = []
    for char in text:
        if found and widths.char_width(char) == 0:
            found[-1] += char
        elif widths.char_width(char):
            found.append(char)
    return found


def _joined(spans: Iterable[Span]) -> Line:
    return tuple(
        Span("".join(span.text for span in run), style, bold)
        for (style, bold), run in groupby(spans, key=lambda span: (span.style, span.bold))
    )

"""Texts, lines and frames, measured in cells; spans have styles, which become colours when painted. Pure.

A text is measured character by character, so that the cells of its pieces add up. Names and details from outside
are cleaned (`monitor.core.sanitize`) before they come here.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from itertools import groupby
from typing import Final, NamedTuple, TypeVar

import wcwidth

T = TypeVar("T")

ELLIPSIS: Final = "…"
ASCII: Final = str.maketrans(
    {
        "…": "~", "─": "-", "│": "|", "┌": "+", "┐": "+", "└": "+", "┘": "+", "█": "#", "░": ".",
        "▏": "-", "▎": "-", "▍": "-", "▌": "=", "▋": "=", "▊": "=", "▉": "=", "↑": "^", "↓": "v",
        "←": "<", "→": ">", "⚠": "!", "•": "*", "·": "-", "≈": "~", "✓": "+", "—": "-", "–": "-",
        "▁": "_", "▂": ".", "▃": "-", "▄": "=", "▅": "+", "▆": "*", "▇": "%", "╎": "|", "┤": "+",
        "▲": "^", "●": "@", "▓": "o",
    }
)  # fmt: skip
"""A character that every terminal has for each that is drawn here; names stay as they are."""


@lru_cache(maxsize=4096)
def width(text: str) -> int:
    """Return the cells that a clean text takes."""
    return len(text) if text.isascii() else sum(map(char_width, text))


@lru_cache(maxsize=4096)
def char_width(char: str) -> int:
    """Return the most cells that a character takes: some marks take none alone, and one behind a letter."""
    return max(wcwidth.wcwidth(char), wcwidth.wcswidth(f"a{char}") - 1, 0)


def head(text: str, cells: int) -> str:
    """Return as much of the text's beginning as these cells hold."""
    used = 0
    for place, char in enumerate(text):
        used += char_width(char)
        if used > cells:
            return text[:place]
    return text


def clip(text: str, cells: int) -> str:
    """Cut the text to at most these cells, with an ellipsis at its end."""
    if width(text) <= cells:
        return text
    return head(text, cells - 1).rstrip() + ELLIPSIS if cells > 0 else ""


def pad(text: str, cells: int, *, right: bool = False) -> str:
    """Fill up or cut the text to exactly these cells, at their left or right."""
    text = clip(text, cells)
    gap = " " * (cells - width(text))
    return gap + text if right else text + gap


def wrap(text: str, cells: int) -> list[str]:
    """Break the text into lines of at most these cells, between words where they fit; no text is one empty line."""
    lines = wcwidth.wrap(" ".join(text.split()), max(cells, 1), break_on_hyphens=False)
    return [clip(line, cells) for line in lines] or [""]


class Style(StrEnum):
    """The meaning of a piece of text, which is never carried by its colour alone."""

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
    TRACK = "track"


class Back(StrEnum):
    """The background of a piece of text, where it is not the terminal's own."""

    SELECTED = "selected"
    TRACK = "track"
    STRIPE = "stripe"


_STEPS: Final = ((0.95, Style.FULL), (0.8, Style.HOT), (0.65, Style.WARM), (0.4, Style.MILD))


def utilization_style(utilization: float) -> Style:
    """Return a style from green to red, by utilization."""
    if math.isnan(utilization):
        return Style.DIM
    return next((style for least, style in _STEPS if utilization >= least), Style.COOL)


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of clean text in one style."""

    text: str
    style: Style = Style.PLAIN
    bold: bool = False
    back: Back | None = None


Line = tuple[Span, ...]


def text_line(text: str, style: Style = Style.PLAIN) -> Line:
    """Make a line of one style; an empty text makes an empty line."""
    return (Span(text, style),) if text else ()


def plain(line: Line) -> str:
    """Return the line's text without styles."""
    return "".join(span.text for span in line)


def line_width(line: Line) -> int:
    """Return the cells that the line takes."""
    return sum([width(span.text) for span in line])


def fit(line: Line, room: int) -> Line:
    """Cut the line to at most these cells, with an ellipsis at its end."""
    if line_width(line) <= room:
        return line
    kept: list[Span] = []
    for span in line:
        rest = room - line_width(tuple(kept))
        if width(span.text) >= rest:
            return (*kept, replace(span, text=clip(span.text + ELLIPSIS, rest)))
        kept.append(span)
    return tuple(kept)


_LEAST_END: Final = 12


def hang(lead: Span, value: Line, room: int) -> list[Line]:
    """Put a value behind its lead; the end of a long one goes on in indented lines below."""
    start, end = value[:-1], value[-1] if value else Span("")
    if room - line_width((lead, *start)) < _LEAST_END < line_width(value):
        start, end = (), Span(plain(value), end.style)
    indent = line_width((lead, *start))
    parts = [end.text] if width(end.text) <= room - indent else wrap(end.text, room - indent)
    leads = [(lead, *start), *[(Span(" " * indent),)] * (len(parts) - 1)]
    return [(*first, replace(end, text=part)) for first, part in zip(leads, parts, strict=True)]


@lru_cache(maxsize=16)
def key_bar(keys: tuple[tuple[str, str, int], ...], room: int) -> Line:
    """Draw keys and what they do, as many as these cells hold; those of the lowest rank are left out first."""
    kept = list(keys)
    while True:
        spans: list[Span] = []
        for key, meaning, _ in kept:
            spans.append(Span(f"  {key}" if spans else f" {key}", Style.KEY, bold=True))
            spans.append(Span(f" {meaning}", Style.DIM))
        if not kept or line_width(tuple(spans)) <= room:
            return tuple(spans)
        kept.remove(min(kept, key=lambda entry: entry[2]))


def join(spans: Iterable[Span]) -> Line:
    """Make a line of the spans, and one span of neighbours that look the same."""
    runs = groupby(spans, key=lambda span: (span.style, span.bold, span.back))
    return tuple(Span("".join(span.text for span in run), *look) for look, run in runs)


class Size(NamedTuple):
    """The size of a screen or a part of it, in cells."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Frame:
    """One screenful or its middle, the cursor's (column, line) where it is to be seen, and the window's `title`.

    `page` is the page that is really shown, `has_detail` says that details are. `rows` has the account that each line
    belongs to, as far as one does.
    """

    lines: tuple[Line, ...]
    page: int = 0
    rows: tuple[str | None, ...] = ()
    has_detail: bool = False
    title: str = ""
    cursor: tuple[int, int] | None = None

    @property
    def text(self) -> str:
        """The lines without their styles."""
        return "\n".join(plain(line).rstrip() for line in self.lines) + "\n"


CURSOR: Final = Span("")
"""The cursor is shown where this very object stands in a line."""


def fit_all(lines: Sequence[Line], size: Size) -> tuple[Line, ...]:
    """Fill up or cut the lines to exactly this size."""
    missing = ((),) * (size.height - len(lines))
    return tuple(fit(line, size.width) for line in (*lines, *missing)[: size.height])


def box(title: str, inner: Iterable[Line], cells: int) -> list[Line]:
    """Draw a border with a title, `cells` cells wide, around the lines."""
    room = cells - 2
    head = clip(f" {title} ", room - 1)
    edge = Span("│", Style.BORDER)
    lines = [text_line(f"┌─{head}{'─' * (room - 1 - width(head))}┐", Style.BORDER)]
    for line in inner:
        content = fit(line, room)
        rest = Span(" " * (room - line_width(content)))
        lines.append((edge, *content, rest, edge))
    return [*lines, text_line(f"└{'─' * room}┘", Style.BORDER)]


def center_over(base: Sequence[Line], top: Sequence[Line], cells: int) -> list[Line]:
    """Lay `top` on the middle of `base`, which is `cells` cells wide and at least as high."""
    left = max((cells - max(map(line_width, top))) // 2, 0)
    down = max((len(base) - len(top)) // 2, 0)
    lines = list(base)
    for row, line in enumerate(top, down):
        lines[row] = overlay(lines[row], line, left)
    return lines


def overlay(base: Line, top: Line, left: int) -> Line:
    """Lay `top` on `base`, from the cell `left` on; a space replaces half a wide character."""
    right, at = left + line_width(top), 0
    before, after = [], []
    for span in base:
        cells = width(span.text)
        if (room := min(left - at, cells)) > 0:
            before.append(replace(span, text=pad(head(span.text, room), room)))
        if (room := min(at + cells - right, cells)) > 0:
            rest = span.text[len(head(span.text, cells - room)) :]
            rest = rest[width(rest) > room :]
            after.append(replace(span, text=pad(rest, room, right=True)))
        at += cells
    gap = (Span(" " * (left - at)),) if at < left else ()
    return (*before, *gap, *top, *after)


def scroll_to(lines: Sequence[T], height: int, place: int) -> tuple[T, ...]:
    """Return `height` of the lines, with that at `place` in the middle where they do not all fit."""
    first = max(min(place - height // 2, len(lines) - height), 0)
    return tuple(lines[first : first + height])


def paginate(lines: list[Line], height: int, page: int) -> tuple[tuple[Line, ...], int]:
    """Return one page of the lines, and its number; the last page where `page` is past it."""
    height = max(height, 1)
    page = min(page, max(len(lines) - 1, 0) // height)
    return tuple(lines[page * height : (page + 1) * height]), page

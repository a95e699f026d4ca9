"""Text on a screen: measured in cells, and styled in spans whose colours the terminal gives them later. Pure.

A text is measured character by character, so that the cells of its pieces add up. Names and details from outside
are cleaned (`monitor.core.sanitize`) before they come here.
"""

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Final

import wcwidth

ELLIPSIS: Final = "…"
ASCII: Final = str.maketrans(
    {
        "…": "~", "─": "-", "│": "|", "┌": "+", "┐": "+", "└": "+", "┘": "+", "█": "#", "░": ".",
        "▏": "-", "▎": "-", "▍": "-", "▌": "=", "▋": "=", "▊": "=", "▉": "=", "↑": "^", "↓": "v",
        "←": "<", "→": ">", "⚠": "!", "•": "*", "·": "-", "≈": "~", "✓": "+", "—": "-", "–": "-",
        "▁": "_", "▂": "_", "▃": ".", "▄": "-", "▅": "-", "▆": "=", "▇": "=",
    }
)  # fmt: skip
"""Each character that we draw, by one that every terminal has; names stay as they are."""


@lru_cache(maxsize=4096)
def width(text: str) -> int:
    """The cells that a clean text takes."""
    return len(text) if text.isascii() else sum(map(char_width, text))


@lru_cache(maxsize=4096)
def char_width(char: str) -> int:
    """The most cells that the character takes: some marks take none alone, and one behind a letter."""
    return max(wcwidth.wcwidth(char), wcwidth.wcswidth(f"a{char}") - 1, 0)


def head(text: str, cells: int) -> str:
    """As much of the text's beginning as these cells hold."""
    used = 0
    for place, char in enumerate(text):
        used += char_width(char)
        if used > cells:
            return text[:place]
    return text


def clip(text: str, cells: int) -> str:
    """The text in at most these cells, ending in an ellipsis where it is cut."""
    if width(text) <= cells:
        return text
    return head(text, cells - 1).rstrip() + ELLIPSIS if cells > 0 else ""


def pad(text: str, cells: int, *, right: bool = False) -> str:
    """The text in exactly these cells, at their left or right."""
    text = clip(text, cells)
    gap = " " * (cells - width(text))
    return gap + text if right else text + gap


def wrap(text: str, cells: int) -> list[str]:
    """The text in lines of at most these cells, broken between words where words fit; one empty line for no text."""
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
    """The ground that a piece of text stands on, where it is not the terminal's own."""

    SELECTED = "selected"
    TRACK = "track"
    STRIPE = "stripe"


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
    back: Back | None = None


Line = tuple[Span, ...]


def text_line(text: str, style: Style = Style.PLAIN) -> Line:
    """A line of one style; an empty text makes an empty line."""
    return (Span(text, style),) if text else ()


def plain(line: Line) -> str:
    """The line's text alone."""
    return "".join(span.text for span in line)


def line_width(line: Line) -> int:
    """The cells that the line takes."""
    return sum([width(span.text) for span in line])


def fit(line: Line, room: int) -> Line:
    """The line in at most these cells, with an ellipsis where it is cut."""
    if line_width(line) <= room:
        return line
    kept: list[Span] = []
    for span in line:
        rest = room - line_width(tuple(kept))
        if width(span.text) >= rest:
            return (*kept, replace(span, text=clip(span.text + ELLIPSIS, rest)))
        kept.append(span)
    return tuple(kept)


@lru_cache(maxsize=16)
def key_bar(keys: tuple[tuple[str, str, int], ...], room: int) -> Line:
    """Keys and what they do, as many as these cells hold; those of the lowest third number are left out first."""
    kept = list(keys)
    while True:
        spans: list[Span] = []
        for key, meaning, _ in kept:
            spans.append(Span(f"  {key}" if spans else f" {key}", Style.KEY, bold=True))
            spans.append(Span(f" {meaning}", Style.DIM))
        if not kept or line_width(tuple(spans)) <= room:
            return tuple(spans)
        kept.remove(min(kept, key=lambda entry: entry[2]))

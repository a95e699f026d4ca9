"""Text measured in terminal cells: cleaned of what a terminal would obey, clipped, padded and wrapped.

Account names and failure details come from outside; nothing of theirs reaches the screen uncleaned.
"""

from functools import lru_cache
from typing import Final

from monitor.core.sanitize import LONGEST, clean, cleaned, shown

__all__ = [
    "ELLIPSIS", "LONGEST", "char_width", "clean", "cleaned", "clip", "head", "pad", "shown", "width", "wrap",
]  # fmt: skip

ELLIPSIS: Final = "…"

ONE_CELL: Final = (
    (" ", "~"),
    ("\xa0", "\u02ff"),  # Latin
    ("\u0370", "\u0482"),  # Greek and Cyrillic
    ("\u2010", "\u2027"),  # dashes, quotation marks, dots
    ("\u2190", "\u21ff"),  # arrows
    ("\u2500", "\u259f"),  # lines and blocks
)
"""First and last of the characters that take one cell without a look into large tables; all that we draw are here."""


def width(text: str) -> int:
    """The cells that a clean text takes."""
    return len(text) if text.isascii() else sum(char_width(char) for char in text)


@lru_cache(maxsize=4096)
def char_width(char: str) -> int:
    """The most cells that the character takes: some marks take none alone, and one behind a letter."""
    if any(first <= char <= last for first, last in ONE_CELL):
        return 1
    from wcwidth import wcswidth, wcwidth  # large tables, which few names need

    return max(wcwidth(char), wcswidth(f"a{char}") - 1, 0)


def head(text: str, cells: int) -> str:
    """As much of the text's beginning as these cells hold."""
    used = 0
    for place, char in enumerate(text):
        used += char_width(char)
        if used > cells:
            return text[:place]
    return text


def clip(text: str, cells: int) -> str:
    """The text in at most these cells; what is cut is told by an ellipsis."""
    if width(text) <= cells:
        return text
    return head(text, cells - 1).rstrip() + ELLIPSIS if cells > 0 else ""


def pad(text: str, cells: int, *, right: bool = False) -> str:
    """The text in exactly these cells, at their left or right."""
    text = clip(text, cells)
    gap = " " * (cells - width(text))
    return gap + text if right else text + gap


def wrap(text: str, cells: int) -> list[str]:
    """The text in lines of at most these cells, broken between words where words fit."""
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if width(joined) <= cells:
            lines[-1] = joined
        else:
            lines.extend(_pieces(word, cells))
    return [line for line in lines if line] or [""]


def _pieces(word: str, cells: int) -> list[str]:
    pieces = []
    while word:
        piece = head(word, cells) or word[:1]
        pieces.append(piece if width(piece) <= cells else "")
        word = word[len(piece) :]
    return pieces

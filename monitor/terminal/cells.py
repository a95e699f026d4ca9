"""Text measured in terminal cells: cleaned of what a terminal would obey, clipped, padded and wrapped.

Account names and failure details come from outside; nothing of theirs reaches the screen uncleaned.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final

from wcwidth import wcswidth, wcwidth

LONGEST: Final = 500
"""Characters kept of one text; no screen shows more on a line."""

ELLIPSIS: Final = "…"

_ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[PX\]^_]|[\x90\x98\x9d\x9e\x9f]).*?(?:\x1b\\|\x9c|\x07|\Z)"
    r"|\x1b[ -/]*[0-~]?",
    re.DOTALL,
)
_SPACES = {"Zl", "Zp", "Zs"}
_UNSEEN = {"Cc", "Cf"}
_REPLACEMENT: Final = "\ufffd"


def cleaned(text: str) -> str:
    """The text as one line of visible characters: no escape sequence, control, bidi mark or lone surrogate."""
    text = _ESCAPE_SEQUENCE.sub("", text[: 4 * LONGEST])
    text = unicodedata.normalize("NFC", re.sub(r"\s", " ", text))
    return "".join(map(_visible, text))[:LONGEST]


clean = lru_cache(maxsize=1024)(cleaned)
"""`cleaned`, remembered: for what is drawn each second. Never for a secret."""


def shown(char: str) -> str:
    """One character as an input shows it: what cannot be seen, or is not to be obeyed, is a dot."""
    return _visible(char) or "·"


def _visible(char: str) -> str:
    category = unicodedata.category(char)
    if category in _SPACES:
        return " "
    if category in _UNSEEN or "\ufe00" <= char <= "\ufe0f":  # variation selectors change widths
        return ""
    return _REPLACEMENT if category == "Cs" else char


def width(text: str) -> int:
    """The cells that a clean text takes."""
    return len(text) if text.isascii() else sum(char_width(char) for char in text)


@lru_cache(maxsize=4096)
def char_width(char: str) -> int:
    """The most cells that the character takes: some marks take none alone, and one behind a letter."""
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

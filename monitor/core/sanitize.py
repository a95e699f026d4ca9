"""Makes foreign text fit to be shown: names and details come from outside, and a terminal would obey them. Pure."""

import re
import unicodedata
from functools import lru_cache
from typing import Final

LONGEST: Final = 500
"""Characters kept of one text; no screen shows more on a line."""

LONGEST_NAME: Final = 254
"""The most of an e-mail address, by RFC 5321; no name or id is longer."""

SHOWN_OF_A_NAME: Final = 100

_ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, motion; whole or broken off
    r"|(?:\x1b[PX\]^_]|[\x90\x98\x9d\x9e\x9f]).*?(?:\x1b\\|\x9c|\x07|\Z)"  # strings: titles, links
    r"|\x1b[ -/]*[0-~]?",
    re.DOTALL,
)
_SECRET: Final = re.compile(r"sk-?ant-|eyJ[\w-]{20}", re.IGNORECASE)
_SPACES = {"Zl", "Zp", "Zs"}
_UNSEEN = {"Cc", "Cf"}
_REPLACEMENT: Final = "\ufffd"


def clean_uncached(text: str, length: int = LONGEST) -> str:
    """Reduce a text to one line of visible characters: no escape sequence, control, bidi mark or lone surrogate."""
    text = _ESCAPE_SEQUENCE.sub("", text[: 4 * length])
    text = unicodedata.normalize("NFC", re.sub(r"\s", " ", text))
    return "".join(map(_visible, text))[:length]


clean = lru_cache(maxsize=1024)(clean_uncached)
"""`clean_uncached` with a cache, for texts that are drawn each second. Never for a secret."""


def visible_char(char: str) -> str:
    """Show one character of an input: a dot for one that cannot be seen, or that a terminal would obey."""
    return _visible(char) or "·"


def one_line(text: str, length: int = SHOWN_OF_A_NAME) -> str:
    """Clean a text, leave single spaces between its words, and end one that is too long with an ellipsis."""
    line = " ".join(clean_uncached(text, 4 * length).split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def holds_secret(text: str) -> bool:
    """Return whether there is a token or session key in the text, even one broken up by invisible characters."""
    return _SECRET.search(clean_uncached(text)) is not None


def printable(text: str) -> str:
    """Replace each character that a terminal would obey or not show by a `?`, so that columns stay."""
    return "".join(character if character.isprintable() else "?" for character in text)


def ordinary(value: object) -> str:
    """Return a harmless name as it is, and an empty text for anything else."""
    if isinstance(value, str) and value.isprintable() and len(value) <= LONGEST_NAME:
        return value
    return ""


def _visible(char: str) -> str:
    category = unicodedata.category(char)
    if category in _SPACES:
        return " "
    if category in _UNSEEN or "\ufe00" <= char <= "\ufe0f":  # variation selectors change widths
        return ""
    return _REPLACEMENT if category == "Cs" else char

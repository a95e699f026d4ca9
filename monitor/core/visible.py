"""Foreign text made fit to be shown: names and details come from outside, and a terminal would obey them. Pure."""

import re
import unicodedata
from functools import lru_cache
from typing import Final

LONGEST: Final = 500
"""Characters kept of one text; no screen shows more on a line."""

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

"""Foreign text made fit to be shown: names and details come from files and answers that others wrote. Pure."""

import html
import re
import unicodedata
from typing import Final

NAME_LENGTH: Final = 100
DETAIL_LENGTH: Final = 300
_JOINERS: Final = "\u200c\u200d"  # parts of words in some scripts, and of emoji
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_ESCAPES: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, motion
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f]).*?(?:\x07|\x1b\\|\x9c|$)"  # strings: titles, links
    r"|\x1b[ -/]*[0-~]?",
    re.DOTALL,
)


def cleaned(text: str, length: int = NAME_LENGTH) -> str:
    """One line of visible text: no escape sequences, control characters or changes of direction."""
    spaced = re.sub(r"\s", " ", _ESCAPES.sub("", text))
    visible = "".join(c for c in spaced if c in _JOINERS or unicodedata.category(c) not in _UNSEEN)
    line = " ".join(visible.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def escape_markup(text: str) -> str:
    """The text as typed, for notification daemons that read the body as markup."""
    return html.escape(text, quote=False)

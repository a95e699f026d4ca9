"""A folder of the settings as Claude Code is given it: on macOS the spelling names the Keychain's item.

So a slash at the end stays, which a Path would drop, and the default folder has no spelling: it is "".
"""

import os.path
from typing import Final

DEFAULT: Final = "~/.claude"


def for_claude_code(folder: str, default: str = DEFAULT) -> str:
    """What `CLAUDE_CONFIG_DIR` is for this folder; "" where it is not to be set at all."""
    spelled = _expanded(folder)
    return "" if spelled.rstrip("/") == _expanded(default) else spelled


def remembered(folder: str | None) -> tuple[str, ...]:
    """What a folder of the settings may be called where logins are found: the default one may be named, or not."""
    if folder is None:
        return ()
    return tuple(dict.fromkeys((_expanded(folder), for_claude_code(folder))))


def _expanded(folder: str) -> str:
    return os.path.expanduser(folder)  # noqa: PTH111 - a Path would drop a slash at the end

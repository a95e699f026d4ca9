"""Claude Code's configuration folders: how one is spelled, and which spellings mean the same.

On macOS the spelling names the Keychain's item. So a slash at the end stays, which a Path would drop, and the default
folder has no spelling: it is "". Nothing in a folder is read.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from monitor.core.model import AccountState

DEFAULT: Final = "~/.claude"


def for_claude_code(folder: str) -> str:
    """Return the `CLAUDE_CONFIG_DIR` of this folder; "" where it is not to be set at all."""
    spelled = _expand(folder)
    return "" if spelled.rstrip("/") == _expand(DEFAULT) else spelled


def aliases(folder: str | None) -> tuple[str, ...]:
    """Return how a folder of the settings may be spelled where its login was found: the default folder also as ""."""
    if folder is None:
        return ()
    return tuple(dict.fromkeys((_expand(folder), for_claude_code(folder))))


def config_dir(account: AccountState) -> str | None:
    """Return the `CLAUDE_CONFIG_DIR` that makes Claude Code use this account; None where that is not known.

    The settings' word goes before what was learnt of its login, which only knows better how it is spelled: on macOS
    that names the Keychain's item, and the default place spelled out would name another one than the default.
    """
    named = account.account.config_dir
    if named is None or account.config_dir in aliases(named):
        return account.config_dir
    return for_claude_code(named)


def natural_key(text: str) -> list[tuple[str, int]]:
    """Return a key that sorts `.claude-2` before `.claude-10`."""
    return [(words, int(number or 0)) for words, number in re.findall(r"(\D*)(\d*)", text)]


def _expand(folder: str) -> str:
    return os.path.expanduser(folder)  # noqa: PTH111 - a Path would drop a slash at the end


def home(environ: Mapping[str, str]) -> Path:
    """The user's home folder, as Claude Code finds it."""
    return Path(environ.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111 - never raises


def absolute(folder: str) -> str:
    """Return the folder as an absolute path, else spelled as it was: the spelling names the Keychain's item."""
    expanded = _expand(folder)
    return expanded if os.path.isabs(expanded) else os.path.abspath(expanded)  # noqa: PTH100, PTH117 - as above


def resolve_in_cwd(spelling: str) -> str:
    """Return the absolute path of a folder of the environment, where Claude Code expands no ~."""
    return spelling if os.path.isabs(spelling) else os.path.join(os.getcwd(), spelling)  # noqa: PTH109, PTH117, PTH118 - as above

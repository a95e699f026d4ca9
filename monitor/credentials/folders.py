"""Claude Code's configuration folders: how one is spelled, which spellings mean the same, and which look like one.

On macOS the spelling names the Keychain's item. So a slash at the end stays, which a Path would drop, and the default
folder has no spelling: it is "". Nothing in a folder is read.
"""

import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Final

from monitor.core.model import AccountState

DEFAULT: Final = "~/.claude"

MAX_NAMES: Final = 10_000
MAX_LOOKS: Final = 1000
"""So many names of a folder are read, and so many folders in it looked into."""

MAX_NESTS: Final = 30
"""So many folders are looked through besides the home folder."""

_NESTED: Final = ("", "accounts", "instances", "profiles")
"""Where programs that keep several logins put them: `~/.ccs/instances/work`, `~/.claude-accounts/work`."""

_SIGNS: Final = (".credentials.json", ".claude.json")


def for_claude_code(folder: str, default: str = DEFAULT) -> str:
    """What `CLAUDE_CONFIG_DIR` is for this folder; "" where it is not to be set at all."""
    spelled = _expanded(folder)
    return "" if spelled.rstrip("/") == _expanded(default) else spelled


def remembered(folder: str | None) -> tuple[str, ...]:
    """What a folder of the settings may be called where logins are found: the default one may be named, or not."""
    if folder is None:
        return ()
    return tuple(dict.fromkeys((_expanded(folder), for_claude_code(folder))))


def config_dir(account: AccountState) -> str | None:
    """Return the `CLAUDE_CONFIG_DIR` that makes Claude Code use this account; None where that is not known.

    The settings' word goes before what was learnt of its login, which only knows better how it is spelled: on macOS
    that names the Keychain's item, and the default place spelled out would name another one than the default.
    """
    named = account.account.config_dir
    if named is None or account.config_dir in remembered(named):
        return account.config_dir
    return for_claude_code(named)


def natural(text: str) -> list[tuple[str, int]]:
    """A key that sorts `.claude-2` before `.claude-10`."""
    return [(words, int(number or 0)) for words, number in re.findall(r"(\D*)(\d*)", text)]


def _expanded(folder: str) -> str:
    return os.path.expanduser(folder)  # noqa: PTH111 - a Path would drop a slash at the end


def home(environ: Mapping[str, str]) -> Path:
    """The user's home folder, as Claude Code finds it."""
    return Path(environ.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111 - never raises


def absolute(folder: str) -> str:
    """A folder as it was spelled, but for what depends on where we are: the spelling names the Keychain's item."""
    expanded = os.path.expanduser(folder)  # noqa: PTH111 - a Path would drop a slash at the end
    return expanded if os.path.isabs(expanded) else os.path.abspath(expanded)  # noqa: PTH100, PTH117 - as above


def rooted(spelling: str) -> str:
    """A folder of the environment, where Claude Code finds it: no shell has expanded a ~ in it, and nobody does."""
    return spelling if os.path.isabs(spelling) else os.path.join(os.getcwd(), spelling)  # noqa: PTH109, PTH117, PTH118 - as above


Place = tuple[int, int] | str
"""What two spellings of one folder have in common, whatever the letter case or the symlinks on the way."""


def place_of(folder: str) -> Place:
    """Of a folder that does not exist, the path behind its symlinks."""
    try:
        found = os.stat(folder)  # noqa: PTH116 - a spelling is kept as it is
    except (OSError, ValueError):
        return os.path.realpath(folder)
    return found.st_dev, found.st_ino


def siblings(parents: Iterable[Path], is_login: Callable[[str], bool]) -> list[str]:
    """The folders right in these that are somebody's login and ours, sorted within each parent."""
    folders = (str(parent / name) for parent in parents for name in _names(parent)[:MAX_LOOKS])
    return [folder for folder in folders if _is_our_folder(folder) and is_login(folder)]


def nests(home: Path) -> list[Path]:
    """Folders of the home folder and of `~/.config` that speak of Claude, and what is mostly below them."""
    config = home / ".config"
    folders = [parent / name for parent in (home, config) for name in _names(parent)]
    named = [folder for folder in folders if "claude" in folder.name.lower()]
    nests = [folder / name for folder in [*named, home / ".ccs"] for name in _NESTED]
    return [config, *islice((nest for nest in nests if _is_our_folder(str(nest))), MAX_NESTS)]


def has_signs(folder: str) -> bool:
    """Whether Claude Code has been used with this configuration folder."""
    return any(os.path.lexists(os.path.join(folder, sign)) for sign in _SIGNS)  # noqa: PTH118 - as above


def _names(parent: Path) -> list[str]:
    """Names that speak of Claude come first, should there be too many; those that cannot be shown are left out."""
    try:
        with os.scandir(parent) as entries:
            names = [entry.name for entry in islice(entries, MAX_NAMES)]
    except OSError:
        return []
    names = [name for name in names if name.isprintable()]
    return sorted(names, key=lambda name: ("claude" not in name.lower(), natural(name)))


def _is_our_folder(folder: str) -> bool:
    """Others may put what they like into a folder that all may write to, as `/tmp` is."""
    try:
        found = os.stat(folder)  # noqa: PTH116 - as above
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()

"""Which folders beside the known ones look like Claude Code's. Looks at names and dates, reads nothing."""

import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

MAX_NAMES: Final = 10_000
MAX_LOOKS: Final = 300

_SIGNS: Final = (".credentials.json", ".claude.json")

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
    return [folder for parent in parents for folder in _logins_in(parent, is_login)]


def has_signs(folder: str) -> bool:
    """Whether Claude Code has been used with this configuration folder."""
    return any(os.path.lexists(os.path.join(folder, sign)) for sign in _SIGNS)  # noqa: PTH118 - as above


def _logins_in(parent: Path, is_login: Callable[[str], bool]) -> Iterator[str]:
    for name in islice(_names(parent), MAX_LOOKS):
        folder = str(parent / name)
        if _is_our_folder(folder) and is_login(folder):
            yield folder


def _names(parent: Path) -> list[str]:
    """Names that speak of Claude come first, should there be too many; those that cannot be shown are left out."""
    try:
        with os.scandir(parent) as entries:
            names = [entry.name for entry in islice(entries, MAX_NAMES)]
    except OSError:
        return []
    names = [name for name in names if name.isprintable()]
    return sorted(names, key=lambda name: ("claude" not in name.lower(), name))


def _is_our_folder(folder: str) -> bool:
    """Others may put what they like into a folder that all may write to, as `/tmp` is."""
    try:
        found = os.stat(folder)  # noqa: PTH116 - as above
    except OSError:
        return False
    is_ours = sys.platform == "win32" or found.st_uid == os.getuid()
    return stat.S_ISDIR(found.st_mode) and is_ours

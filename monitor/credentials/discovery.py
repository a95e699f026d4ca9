"""Every login of Claude Code on this machine: where one is, not what it holds. Reads no secret."""

import os
import stat
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from monitor.credentials.claude_code import ClaudeCode
from monitor.credentials.folders import absolute, home, natural
from monitor.credentials.keychain import SERVICE, Security, services, spelling_of
from monitor.system.aio import DaemonThreads

SCAN_SECS: Final = 5.0

MAX_NAMES: Final = 10_000
MAX_LOOKS: Final = 1000
"""So many names of a folder are read, and so many folders in it looked into."""

MAX_NESTS: Final = 30
"""So many folders are looked through besides the home folder."""

_NESTED: Final = ("", "accounts", "instances", "profiles")
"""Where programs that keep several logins put them: `~/.ccs/instances/work`, `~/.claude-accounts/work`."""

_SIGNS: Final = (".credentials.json", ".claude.json")


class Discovery:
    """Finds the same objects each time: what one of them has learnt of its place is not forgotten.

    It costs some hundred looks at folders, and on macOS a listing of the Keychain every ten minutes.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str] = os.environ,
        platform: str = sys.platform,
        security: Security | None = None,
    ) -> None:
        self._environ = environ
        self._platform = platform
        self._security = security or Security()
        self._threads = DaemonThreads(SCAN_SECS)
        self._home = home(environ)
        self._kept: dict[tuple[str, str | None], ClaudeCode] = {}
        self._found: Sequence[ClaudeCode] = ()

    async def discovered(self, folders: Iterable[str] = ()) -> list[ClaudeCode]:
        """Each login once: the one in use, `~/.claude`, these folders, those beside them, those of programs that keep
        several, lone Keychain items.

        The first is there whether or not anybody is logged in, as are the given ones. A folder of several
        spellings keeps the first of them, which names its Keychain item.
        """
        listed = await self._security.services() if self._platform == "darwin" else ()
        given = [absolute(folder) for folder in folders if "\0" not in folder]
        try:
            self._found = await self._threads.run(lambda: self._scan(given, frozenset(listed)))
        except TimeoutError:  # a disk is silent: it is as it was
            self._found = self._found or [self.source(None)]
        asked = {service for source in self._found for service in source.services}
        named = ["", str(self._home / ".claude"), *given]
        lone = [one for one in listed if one not in asked]
        return [*self._found, *(self.source(spelling_of(one, named), one) for one in lone)]

    def _scan(self, given: Sequence[str], listed: frozenset[str]) -> Sequence[ClaudeCode]:
        ours, current = place_of(str(self._home)), self.source(None)

        def looks_used(folder: str) -> bool:
            """The home folder itself holds the default one's `.claude.json`, but is none."""
            is_listed = bool(listed) and not listed.isdisjoint(services(folder))
            return (is_listed or has_signs(folder)) and place_of(folder) != ours

        known = [*given, *([current.folder] if current.folder else [])]
        named = (Path(folder).parent for folder in known)
        parents = dict.fromkeys([self._home, *named, *nests(self._home)])
        is_default_there = SERVICE in listed or os.path.isdir(self._home / ".claude")  # noqa: PTH112 - never raises
        folders = [*([""] if is_default_there else []), *given, *siblings(parents, looks_used)]
        found: dict[Place, ClaudeCode] = {}
        for source in (current, *map(self.source, folders)):
            found.setdefault(place_of(source.key), source)
        return list(found.values())

    def source(self, folder: str | None, item: str = "") -> ClaudeCode:
        """The login of this folder, or of the Keychain's item alone; the same object each time."""
        if (item, folder) not in self._kept:
            self._kept[item, folder] = ClaudeCode(
                folder,
                item=item,
                environ=self._environ,
                platform=self._platform,
                security=self._security,
            )
        return self._kept[item, folder]


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
    """Return whether Claude Code has been used with this configuration folder."""
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

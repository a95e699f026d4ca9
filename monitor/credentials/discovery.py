"""Every login of Claude Code on this machine: where one is, not what it holds. Reads no secret."""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from monitor.credentials.claude_code import ClaudeCode
from monitor.credentials.folders import (
    Place,
    absolute,
    has_signs,
    home,
    nests,
    place_of,
    siblings,
)
from monitor.credentials.keychain import (
    LIMIT_SECS,
    SECURITY,
    SERVICE,
    KeychainList,
    Security,
    services,
    spelling_of,
)
from monitor.system.aio import DaemonThreads
from monitor.system.clock import Clock, SystemClock

SCAN_SECS: Final = 5.0


class Discovery:
    """Finds the same objects each time: what one of them has learnt of its place is not forgotten.

    It costs some hundred looks at folders, and on macOS a listing of the Keychain every ten minutes.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str] = os.environ,
        platform: str = sys.platform,
        security: str = SECURITY,
        clock: Clock | None = None,
        limit_secs: float = LIMIT_SECS,
    ) -> None:
        self._environ = environ
        self._platform = platform
        self._security = Security(security, limit_secs)
        self._clock = clock or SystemClock()
        self._list = KeychainList(self._security, self._clock)
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
        listed = await self._list.services() if self._platform == "darwin" else ()
        given = [absolute(folder) for folder in folders if "\0" not in folder]
        try:
            self._found = await self._threads.run(lambda: self._scan(given, frozenset(listed)))
        except TimeoutError:  # a disk is silent: it is as it was
            self._found = self._found or [self._login(None)]
        asked = {service for source in self._found for service in source.services}
        named = ["", str(self._home / ".claude"), *given]
        lone = [one for one in listed if one not in asked]
        return [*self._found, *(self._item(one, spelling_of(one, named)) for one in lone)]

    def _scan(self, given: Sequence[str], listed: frozenset[str]) -> Sequence[ClaudeCode]:
        ours, current = place_of(str(self._home)), self._login(None)

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
        for source in (current, *map(self._login, folders)):
            found.setdefault(place_of(source.key), source)
        return list(found.values())

    def _login(self, folder: str | None) -> ClaudeCode:
        """The login of a folder; "" is the default one, None that which Claude Code would use now."""
        if ("", folder) not in self._kept:
            self._kept["", folder] = ClaudeCode(
                folder,
                environ=self._environ,
                platform=self._platform,
                security=self._security,
                clock=self._clock,
            )
        return self._kept["", folder]

    def _item(self, service: str, folder: str | None) -> ClaudeCode:
        if (service, folder) not in self._kept:
            self._kept[service, folder] = ClaudeCode.of_service(
                service, folder, environ=self._environ, security=self._security, clock=self._clock
            )
        return self._kept[service, folder]

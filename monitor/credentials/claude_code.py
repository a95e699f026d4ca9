"""Claude Code on this machine: whose login it uses, and which version it is. Nothing of it is run or written."""

import os
import os.path
import re
import shutil
import sys
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Final

from monitor.core.errors import CredentialError, NotLoggedInError
from monitor.core.model import Login
from monitor.credentials.claude_files import ClaudeJson, CredentialsFile, json_places
from monitor.credentials.folders import absolute, home, rooted
from monitor.credentials.keychain import (
    SECURITY,
    SERVICE,
    Keychain,
    Security,
    account_name,
    services,
)
from monitor.credentials.tokens import expiry, parse_object
from monitor.system.clock import Clock, SystemClock
from monitor.system.files import read_regular

PACKAGE: Final = "@anthropic-ai/claude-code"

_STORE: Final = "CLAUDE_SECURESTORAGE_CONFIG_DIR"
_CONFIG: Final = "CLAUDE_CONFIG_DIR"
_VERSION: Final = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")


class ClaudeCode:
    """The login of one configuration folder ("" is the default one); without one, that which Claude Code would use now.

    `folder` is where that is, None for `~/.claude`; `key` names the place however it is spelled, and `services`
    are the Keychain items that are asked for. `facts` is what Claude Code says there beside the login.
    Read it after its stamp: a login that is renewed in between then shows as one more change.
    """

    def __init__(
        self,
        folder: str | None = None,
        *,
        environ: Mapping[str, str] = os.environ,
        platform: str = sys.platform,
        security: str | Security = SECURITY,
        clock: Clock | None = None,
    ) -> None:
        spelling = _spelling(environ) if folder is None else folder and absolute(folder)
        default = home(environ) / ".claude"
        self.folder = rooted(spelling) if spelling else None
        place = Path(self.folder) if self.folder else default
        self.key = os.path.realpath(place)
        self.services: tuple[str, ...] = ()
        self.facts: ClaudeJson | None = ClaudeJson(
            *json_places(environ.get(_CONFIG, "") if folder is None else spelling, environ)
        )
        self._file: CredentialsFile | None = CredentialsFile(place)
        self._keychain: Keychain | None = None
        if platform == "darwin":
            is_default = folder is not None and Path(spelling) == default
            self.services = (*services(spelling), *((SERVICE,) if is_default else ()))
            self._keychain = _keychain(self.services, environ, security, clock)

    @classmethod
    def of_service(
        cls,
        service: str,
        folder: str | None = None,
        *,
        environ: Mapping[str, str] = os.environ,
        security: str | Security = SECURITY,
        clock: Clock | None = None,
    ) -> "ClaudeCode":
        """The login of one Keychain item alone; `folder` is what its name is made of, None where nobody knows that."""
        source = cls(folder, environ=environ, platform="")
        source._file = None
        if folder is None:
            source.folder, source.facts = None, None
        source.key, source.services = f"keychain:{service}", (service,)
        source._keychain = _keychain(source.services, environ, security, clock)
        return source

    def peek(self) -> Hashable:
        """The stamp where a file alone can hold the login; None on macOS. Blocks for as long as its disk does."""
        return None if self._file is None or self._keychain else (self._file.peek(), None)

    async def stamp(self) -> Hashable:
        """A cheap value that differs after each change of the login."""
        file = await self._file.stamp() if self._file else None
        return file, await self._keychain.stamp() if self._keychain else None

    async def read(self) -> Login:
        """The login, its refresh token left behind. Raises NotLoggedInError, or another CredentialError.

        It is the Keychain's, unless the file has a newer one, or the only one; either may be a stale copy.
        """
        logins: list[Login] = []
        failures: list[CredentialError] = []
        for place in (self._keychain, self._file):
            try:
                if isinstance(place, Keychain):
                    logins.append(await place.read())
                elif place is not None:
                    logins.append(await place.login())
            except CredentialError as error:
                failures.append(error)
        if not logins:
            # That a place could not be read says more than that another one is empty.
            raise next((f for f in failures if not isinstance(f, NotLoggedInError)), failures[0])
        return max(logins, key=expiry)


def _keychain(
    names: tuple[str, ...],
    environ: Mapping[str, str],
    security: str | Security,
    clock: Clock | None,
) -> Keychain:
    program = Security(security) if isinstance(security, str) else security
    return Keychain(names, account_name(environ), security=program, clock=clock or SystemClock())


def _spelling(environ: Mapping[str, str]) -> str:
    """The folder of the stored login as the environment spells it; "" for the default one.

    The first variable moves the login alone; defined but empty, it means the default place.
    """
    return environ.get(_STORE, environ.get(_CONFIG, ""))


def installed_version(environ: Mapping[str, str] = os.environ) -> str | None:
    """The version of the installed Claude Code, as its files tell it; None where there is none that tells.

    Of a native install, the path names the version; of an npm package, its `package.json` does.
    """
    found, folder = shutil.which("claude", path=environ.get("PATH", "")), home(environ)
    places = [Path(found)] if found else []
    # A service manager's PATH often lacks these.
    places += [
        folder / ".local/bin/claude",
        folder / f".claude/local/node_modules/{PACKAGE}/cli.js",
    ]
    for program in (Path(os.path.realpath(place)) for place in places if place.exists()):
        for part in reversed(program.parts):
            if _VERSION.fullmatch(part):
                return part
        for parent in list(program.parents)[:3]:
            version = _package_version(parent)
            if version:
                return version
    return None


def _package_version(folder: Path) -> str | None:
    try:
        package = parse_object(read_regular(folder / "package.json")) or {}
    except OSError:
        return None
    version = package.get("version") if package.get("name") == PACKAGE else None
    return version if isinstance(version, str) and _VERSION.fullmatch(version) else None

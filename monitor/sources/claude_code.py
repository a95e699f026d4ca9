"""Claude Code on this machine: whose login it uses, and which version it is. Nothing of it is run or written."""

import json
import os
import re
import shutil
import sys
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Final

from monitor.clock import Clock, SystemClock
from monitor.core.errors import CredentialError, NotLoggedInError
from monitor.core.model import Login
from monitor.sources.credentials_file import CredentialsFile
from monitor.sources.keychain import SERVICE, Keychain, account_name, services
from monitor.sources.login import expiry

SECURITY: Final = "/usr/bin/security"
PACKAGE: Final = "@anthropic-ai/claude-code"

_STORE: Final = "CLAUDE_SECURESTORAGE_CONFIG_DIR"
_CONFIG: Final = "CLAUDE_CONFIG_DIR"
_VERSION: Final = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")


class ClaudeCode:
    """The login of one configuration folder; without one, that which Claude Code would use now.

    `folder` is where that is, None for `~/.claude`.
    Read it after its stamp: a login that is renewed in between then shows as one more change.
    """

    def __init__(
        self,
        folder: str | None = None,
        *,
        environ: Mapping[str, str] = os.environ,
        platform: str = sys.platform,
        security: str = SECURITY,
        clock: Clock | None = None,
    ) -> None:
        spelling = _spelling(environ) if folder is None else _absolute(folder)
        self.folder = _absolute(spelling) if spelling else None
        default = _home(environ) / ".claude"
        self._file = CredentialsFile(Path(spelling) if spelling else default)
        self._keychain: Keychain | None = None
        if platform == "darwin":
            names = services(spelling)
            if folder is not None and Path(spelling) == default:
                names = (*names, SERVICE)
            self._keychain = Keychain(
                names, account_name(environ), security=security, clock=clock or SystemClock()
            )

    async def stamp(self) -> Hashable:
        """A cheap value that differs after each change of the login."""
        keychain = await self._keychain.stamp() if self._keychain else None
        return self._file.stamp(), keychain

    async def read(self) -> Login:
        """The login, its refresh token left behind. Raises NotLoggedInError, or another CredentialError."""
        if self._keychain is None:
            return await self._file.read()
        return await self._newest(self._keychain)

    async def _newest(self, keychain: Keychain) -> Login:
        """The Keychain's login, unless the file has a newer one, or the only one; either may be a stale copy."""
        logins: list[Login] = []
        failures: list[CredentialError] = []
        for place in (keychain, self._file):
            try:
                logins.append(await place.read())
            except CredentialError as error:
                failures.append(error)
        if not logins:
            raise _telling(failures)
        return max(logins, key=expiry)


def _telling(failures: list[CredentialError]) -> CredentialError:
    """The failure to show: that a place could not be read says more than that another one is empty."""
    return next((f for f in failures if not isinstance(f, NotLoggedInError)), failures[0])


def _absolute(folder: str) -> str:
    """A folder as it was spelled, but for what depends on where we are: the spelling names the Keychain's item."""
    expanded = os.path.expanduser(folder)  # noqa: PTH111 - a Path would drop a slash at the end
    return expanded if os.path.isabs(expanded) else os.path.abspath(expanded)  # noqa: PTH100, PTH117 - as above


def _spelling(environ: Mapping[str, str]) -> str:
    """The folder of the stored login as the environment spells it; "" for the default one.

    The first variable moves the login alone; defined but empty, it means the default place.
    """
    return environ.get(_STORE, environ.get(_CONFIG, ""))


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111 - never raises


def installed_version(environ: Mapping[str, str] = os.environ) -> str | None:
    """The version of the installed Claude Code, as its files tell it; None where there is none that tells."""
    versions = (_version_at(program) for program in _programs(environ))
    return next((version for version in versions if version), None)


def _programs(environ: Mapping[str, str]) -> Iterator[Path]:
    """Where `claude` may be; a service manager's PATH often lacks the last two."""
    found = shutil.which("claude", path=environ.get("PATH", ""))
    home = _home(environ)
    places = [Path(found)] if found else []
    places += [home / ".local/bin/claude", home / f".claude/local/node_modules/{PACKAGE}/cli.js"]
    return (Path(os.path.realpath(place)) for place in places if place.exists())


def _version_at(program: Path) -> str | None:
    """Of a native install, the path names the version; of an npm package, its `package.json` does."""
    for part in reversed(program.parts):
        if _VERSION.fullmatch(part):
            return part
    packages = (_package_version(folder) for folder in list(program.parents)[:3])
    return next((version for version in packages if version), None)


def _package_version(folder: Path) -> str | None:
    try:
        package = json.loads((folder / "package.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(package, dict) or package.get("name") != PACKAGE:
        return None
    version = package.get("version")
    return version if isinstance(version, str) and _VERSION.fullmatch(version) else None

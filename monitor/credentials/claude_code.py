"""The places where Claude Code keeps a login on this machine, and its version. Nothing of it is run or written."""

import os
import os.path
import re
import shutil
import sys
from collections.abc import Awaitable, Callable, Hashable, Mapping
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from monitor.core.errors import Cause, CredentialError, NotLoggedInError, Source
from monitor.core.model import Login
from monitor.credentials.claude_files import ClaudeJson, WholeFile, json_places
from monitor.credentials.folders import DEFAULT, absolute, home, rooted
from monitor.credentials.keychain import SERVICE, Keychain, Security, account_name, services
from monitor.credentials.tokens import expiry, parse_login, parse_object
from monitor.system.files import read_regular

PACKAGE: Final = "@anthropic-ai/claude-code"

_STORE: Final = "CLAUDE_SECURESTORAGE_CONFIG_DIR"
_CONFIG: Final = "CLAUDE_CONFIG_DIR"
_VERSION: Final = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")


class LoginSource(Protocol):
    """One place where Claude Code keeps a login.

    `key` names the place, and no other one. `folder` is its configuration folder: "" is the default one, None one
    that nobody knows. `facts` is that folder's `.claude.json`, None where there can be none.
    """

    @property
    def key(self) -> str: ...
    @property
    def folder(self) -> str | None: ...
    @property
    def facts(self) -> ClaudeJson | None: ...

    def peek(self) -> Hashable:
        """The stamp, where a look at a file gives it; else None. Blocks for as long as the file's disk does."""

    async def stamp(self) -> Hashable:
        """A cheap value that differs after each change of the login."""

    async def read(self) -> Login:
        """Raises CredentialError."""


def place_name(source: LoginSource) -> str:
    """Return what people call a place: its folder, or the Keychain item whose folder nobody knows."""
    return source.key if source.folder is None else source.folder or DEFAULT


class ClaudeCode:
    """The login of one configuration folder ("" is the default one); without one, that which Claude Code would use now.

    `key` names the place however it is spelled, and `services` are the Keychain items that are asked for. With an
    `item` that one alone is asked for; `folder` is then what its name is made of, None where nobody knows that.
    Read it after its stamp: a login that is renewed in between then shows as one more change.
    """

    def __init__(
        self,
        folder: str | None = None,
        *,
        item: str = "",
        environ: Mapping[str, str] = os.environ,
        platform: str = sys.platform,
        security: Security | None = None,
    ) -> None:
        spelling = _spelling(environ) if folder is None else folder and absolute(folder)
        default = home(environ) / ".claude"
        place = Path(rooted(spelling)) if spelling else default
        self.folder: str | None = rooted(spelling) if spelling else ""
        self.facts: ClaudeJson | None = ClaudeJson(
            *json_places(environ.get(_CONFIG, "") if folder is None else spelling, environ)
        )
        self.key = f"keychain:{item}" if item else os.path.realpath(place)
        self.services: tuple[str, ...] = (item,) if item else ()
        if item and folder is None:
            self.folder, self.facts = None, None
        elif not item and platform == "darwin":
            is_default = folder is not None and Path(spelling) == default
            self.services = (*services(spelling), *((SERVICE,) if is_default else ()))
        self._file = None if item else WholeFile(place / ".credentials.json")
        self._keychain: Keychain | None = None
        if self.services:
            self._keychain = Keychain(self.services, account_name(environ), security or Security())

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
        reads: list[Callable[[], Awaitable[Login]]] = []
        if self._keychain is not None:
            reads.append(self._keychain.login)
        if self._file is not None:
            reads.append(partial(_login_in, self._file))
        for read in reads:
            try:
                logins.append(await read())
            except CredentialError as error:
                failures.append(error)
        if not logins:
            # That a place could not be read says more than that another one is empty.
            raise next((f for f in failures if not isinstance(f, NotLoggedInError)), failures[0])
        return max(logins, key=lambda login: expiry(login.credential))


async def _login_in(file: WholeFile) -> Login:
    where = str(file.path)
    login = await file.read(lambda content: parse_login(content.decode(errors="replace"), where))
    if login is None:
        folder = str(file.path.parent)
        raise NotLoggedInError.of(Cause.ABSENT, Source.FILE, folder)
    return login


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

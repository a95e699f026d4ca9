"""Claude Code on this machine: its files, each login in a file or the Keychain, where logins are, and its version.

Files are read whole or not at all, and nothing is run or written. `.claude.json` also holds what people typed, and the
keys of MCP servers: it is parsed whole, two entries are picked out, and the rest is dropped, errors of the parser with
it. Seen in Claude Code 2.1.28x.
"""

import errno
import json
import os
import os.path
import re
import shutil
import stat
import sys
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, Protocol, TypeVar

from monitor.core.errors import Cause, CredentialError, NotLoggedInError, Source
from monitor.core.model import Identity, Login, Profile
from monitor.core.sanitize import ordinary
from monitor.credentials.folders import DEFAULT, absolute, home, natural_key, resolve_in_cwd
from monitor.credentials.keychain import (
    SERVICE,
    Keychain,
    Security,
    account_name,
    services,
    spelling_of,
)
from monitor.credentials.tokens import parse_instant, parse_login, parse_object
from monitor.system.aio import DaemonThreads
from monitor.system.files import read_regular

T = TypeVar("T")

SCAN_SECS: Final = 5.0

MAX_NAMES: Final = 10_000
MAX_LOOKS: Final = 1000
"""So many names of a folder are read, and so many folders in it looked into."""

MAX_NESTS: Final = 30
"""So many folders are looked through besides the home folder."""

_NESTED: Final = ("", "accounts", "instances", "profiles")
"""Programs that keep several logins put them there: `~/.ccs/instances/work`, `~/.claude-accounts/work`."""

_SIGNS: Final = (".credentials.json", ".claude.json")

PACKAGE: Final = "@anthropic-ai/claude-code"

_STORE: Final = "CLAUDE_SECURESTORAGE_CONFIG_DIR"
_CONFIG: Final = "CLAUDE_CONFIG_DIR"
_VERSION: Final = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")

LIMIT_SECS: Final = 5.0
MAX_BYTES: Final = 1024 * 1024

JSON_LIMIT_SECS: Final = 10.0
JSON_MAX_BYTES: Final = 32 * 1024 * 1024

WRITING_SECS: Final = 10.0
"""A file that has not changed for so long is not being written."""

_CAUSES: Final[dict[int | None, Cause]] = {
    errno.EACCES: Cause.DENIED,
    errno.EPERM: Cause.DENIED,
    errno.EFBIG: Cause.TOO_LARGE,
}
_UUID: Final = re.compile(r"[0-9A-Za-z-]{1,64}")


class WholeFile:
    """A file of another program, read off the loop within a size and a time.

    Symlinks are followed; pipes and devices are not read, since they may never end."""

    def __init__(
        self, path: Path, *, max_bytes: int = MAX_BYTES, limit_secs: float = LIMIT_SECS
    ) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._threads = DaemonThreads(limit_secs)
        self._stamp: Hashable = None

    def peek(self) -> Hashable:
        """Return a value that differs after the file was replaced, rewritten or made readable. None where it is absent.

        Blocks for as long as the disk does, which may be for ever where it is a server's.
        """
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size

    async def stamp(self) -> Hashable:
        """Return the same off the loop; while the disk is silent, the value of before."""
        with suppress(TimeoutError):
            self._stamp = await self._threads.run(self.peek)
        return self._stamp

    async def read(self, parse: Callable[[bytes], T]) -> T | None:
        """Read and `parse` the content, in a thread; None where there is no file. Raises CredentialError."""
        try:
            return await self._threads.run(lambda: self._parse(parse))
        except FileNotFoundError:
            return None
        except TimeoutError:
            cause, detail = Cause.SILENT, ""
        except OSError as error:
            cause, detail = _CAUSES.get(error.errno, Cause.FAILED), error.strerror or ""
        raise CredentialError.of(cause, Source.FILE, str(self.path), detail)

    def _parse(self, parse: Callable[[bytes], T]) -> T:
        """Read and parse. The error for a damaged file that was written just now says that it may be half-written."""
        try:
            return parse(read_regular(self.path, self._max_bytes))
        except CredentialError as error:
            is_new = time.time() - self.path.stat().st_mtime < WRITING_SECS
            if error.cause is not Cause.DAMAGED or not is_new:
                raise
            failure = replace(error.failure, detail="try again in a moment, or ")
        raise CredentialError(failure)


@dataclass(frozen=True, slots=True)
class CachedUsage:
    """The usage API's answer that Claude Code got at that instant, as JSON; it may be days old."""

    at: datetime
    account_uuid: str
    body: bytes


@dataclass(frozen=True, slots=True)
class ClaudeFacts:
    """The identity that is named beside the login, which the token alone can prove, and the usage seen last."""

    identity: Identity | None = None
    email: str = ""
    organization_name: str = ""
    cached: CachedUsage | None = None

    @property
    def profile(self) -> Profile | None:
        """The profile of the identity that is named; None where a part of it is missing."""
        identity = self.identity
        if identity is None or not (identity.account_uuid and identity.org_uuid and self.email):
            return None
        return Profile(identity, self.email, self.organization_name)


class ClaudeJson:
    """A `.claude.json`: the first of these files that exists."""

    def __init__(self, *paths: Path) -> None:
        self._files = [
            WholeFile(path, max_bytes=JSON_MAX_BYTES, limit_secs=JSON_LIMIT_SECS) for path in paths
        ]

    def peek(self) -> Hashable:
        """Return a value that differs after each change, and each prompt makes one: few are worth a read. Blocks."""
        return tuple(file.peek() for file in self._files)

    async def read(self) -> ClaudeFacts:
        """Read the file; takes 5 ms a megabyte. Raises NotLoggedInError where there is none, or a CredentialError."""
        for file in self._files:
            facts = await file.read(partial(parse_facts, where=str(file.path)))
            if facts is not None:
                return facts
        where = str(self._files[-1].path)
        raise NotLoggedInError.of(Cause.ABSENT, Source.CLAUDE_JSON, where)


def json_places(folder: str, environ: Mapping[str, str]) -> tuple[Path, Path]:
    """Return the two places of the file of a configuration folder ("" is the default one), the older name first."""
    config = Path(folder) if folder else home(environ) / ".claude"
    return config / ".config.json", (Path(folder) if folder else home(environ)) / ".claude.json"


def parse_facts(content: bytes, where: str) -> ClaudeFacts:
    """Parse the file's content; `where` is what errors call its place. Raises CredentialError."""
    document = parse_object(content)
    if document is None:
        raise CredentialError.of(Cause.DAMAGED, Source.CLAUDE_JSON, where)
    account, kept = (
        entry if isinstance(entry, dict) else {}
        for entry in map(document.get, ("oauthAccount", "cachedUsageUtilization"))
    )
    account_uuid = _uuid(account.get("accountUuid"))
    at, body = parse_instant(kept.get("fetchedAtMs")), kept.get("utilization")
    cached = None
    if at is not None and isinstance(body, dict):
        cached = CachedUsage(at, _uuid(kept.get("accountUuid")), json.dumps(body).encode())
    return ClaudeFacts(
        Identity(account_uuid, _uuid(account.get("organizationUuid"))) if account_uuid else None,
        ordinary(account.get("emailAddress")),
        ordinary(account.get("organizationName")),
        cached,
    )


def _uuid(value: object) -> str:
    return value if isinstance(value, str) and _UUID.fullmatch(value) else ""


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

    async def stamp(self) -> Hashable:
        """Return a cheap value that differs after each change of the login."""

    def peek(self) -> Hashable:
        """Return the stamp where a look at a file gives it, else None. Blocks for as long as the file's disk does."""

    async def read(self) -> Login:
        """Raises CredentialError."""


def place_name(source: LoginSource) -> str:
    """Return the name of a place for people: its folder, or the Keychain item whose folder nobody knows."""
    return source.key if source.folder is None else source.folder or DEFAULT


class ClaudeCode:
    """The login of one configuration folder ("" is the default one); of None the one that Claude Code would use now.

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
        place = Path(resolve_in_cwd(spelling)) if spelling else default
        self.folder: str | None = resolve_in_cwd(spelling) if spelling else ""
        self.facts: ClaudeJson | None = ClaudeJson(
            *json_places(environ.get(_CONFIG, "") if folder is None else spelling, environ)
        )
        self.item = item
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
        """Return the stamp where only a file can contain the login, else None. Blocks for as long as its disk does."""
        return None if self._file is None or self._keychain else (self._file.peek(), None)

    async def stamp(self) -> Hashable:
        """Return a cheap value that differs after each change of the login."""
        file = await self._file.stamp() if self._file else None
        return file, await self._keychain.stamp() if self._keychain else None

    async def read(self) -> Login:
        """Read the login without its refresh token. Raises NotLoggedInError, or another CredentialError.

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
        return max(logins, key=lambda login: login.credential.freshness)


async def _login_in(file: WholeFile) -> Login:
    where = str(file.path)
    login = await file.read(lambda content: parse_login(content.decode(errors="replace"), where))
    if login is None:
        folder = str(file.path.parent)
        raise NotLoggedInError.of(Cause.ABSENT, Source.FILE, folder)
    return login


def _spelling(environ: Mapping[str, str]) -> str:
    """Return the folder of the login in use as the environment spells it; "" for the default one.

    The first variable moves the login alone; defined but empty, it means the default place.
    """
    return environ.get(_STORE, environ.get(_CONFIG, ""))


class Discovery:
    """Finds Claude Code's logins on this machine. The object of a place is the same each time: it remembers its place.

    A search costs some hundred looks at folders, and on macOS a listing of the Keychain every ten minutes.
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
        self._sources: dict[tuple[str, str | None], ClaudeCode] = {}
        self._found: Sequence[ClaudeCode] = ()

    async def discover(self, folders: Iterable[str] = ()) -> list[ClaudeCode]:
        """Return each login once: the one in use, `~/.claude`, these folders, those beside them, those of programs that
        keep several, and Keychain items without a folder.

        The one in use and the given ones are there even if nobody is logged in. Of several spellings of a folder the
        first is kept, which names its Keychain item.
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
        ours, current = file_of(str(self._home)), self.source(None)

        def looks_used(folder: str) -> bool:
            """Say whether it is a configuration folder. The home folder, which has the default one's file, is none."""
            is_listed = bool(listed) and not listed.isdisjoint(services(folder))
            return (is_listed or has_signs(folder)) and file_of(folder) != ours

        known = [*given, *([current.folder] if current.folder else [])]
        named = (Path(folder).parent for folder in known)
        parents = dict.fromkeys([self._home, *named, *nests(self._home)])
        is_default_there = SERVICE in listed or os.path.isdir(self._home / ".claude")  # noqa: PTH112 - never raises
        others = siblings(parents, looks_used, frozenset(given))
        folders = [*([""] if is_default_there else []), *given, *others]
        found: dict[tuple[int, int] | str, ClaudeCode] = {}
        for source in (current, *map(self.source, folders)):
            found.setdefault(file_of(source.key), source)
        return list(found.values())

    def source(self, folder: str | None, item: str = "") -> ClaudeCode:
        """Return the login of this folder, or of this Keychain item; the same object each time. Blocks."""
        if (item, folder) not in self._sources:
            made = ClaudeCode(
                folder,
                item=item,
                environ=self._environ,
                platform=self._platform,
                security=self._security,
            )
            self._sources.setdefault((item, folder), made)  # another thread may have been faster
        return self._sources[item, folder]


def file_of(folder: str) -> tuple[int, int] | str:
    """Return a value that is the same for all spellings of one folder, whatever their letter case and symlinks.

    Of a folder that does not exist it is the path behind its symlinks.
    """
    try:
        found = os.stat(folder)  # noqa: PTH116 - a spelling is kept as it is
    except (OSError, ValueError):
        return os.path.realpath(folder)
    return found.st_dev, found.st_ino


def siblings(
    parents: Iterable[Path], is_login: Callable[[str], bool], known: Set[str] = frozenset()
) -> list[str]:
    """Return the folders right in these that are the user's and pass `is_login`, without the known ones, sorted within
    each parent.
    """
    folders = (path for parent in parents for path in _paths(parent, known)[:MAX_LOOKS])
    return [folder for folder in folders if _is_our_folder(folder) and is_login(folder)]


def nests(home: Path) -> list[Path]:
    """Return `~/.config`, and the folders in it and in the home folder that speak of Claude, with those below."""
    config = home / ".config"
    folders = [path for parent in (home, config) for path in _paths(parent, pattern="claude")]
    folders.append(str(home / ".ccs"))
    nests = (Path(folder, name) for folder in folders for name in _NESTED)
    return [config, *islice((nest for nest in nests if _is_our_folder(str(nest))), MAX_NESTS)]


def has_signs(folder: str) -> bool:
    """Return whether Claude Code has been used with this configuration folder."""
    return any(os.path.lexists(os.path.join(folder, sign)) for sign in _SIGNS)  # noqa: PTH118 - as above


def _paths(parent: Path, known: Set[str] = frozenset(), pattern: str = "") -> list[str]:
    """Return what is in this folder under a printable name; "claude" comes first, should there be too much."""
    try:
        with os.scandir(parent) as entries:
            found = [
                entry
                for entry in islice(entries, MAX_NAMES)
                if entry.name.isprintable()
                and entry.path not in known
                and pattern in entry.name.lower()
            ]
    except OSError:
        return []
    found.sort(key=lambda entry: ("claude" not in entry.name.lower(), natural_key(entry.name)))
    return [entry.path for entry in found]


def _is_our_folder(folder: str) -> bool:
    """Say whether it is a folder of the user's: in one like `/tmp` others may put what they like."""
    try:
        found = os.stat(folder)  # noqa: PTH116 - as above
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()


def installed_version(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the version of the installed Claude Code, as its files say; None where none is found.

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
        names: list[object] = [*reversed(program.parts)]
        for parent in list(program.parents)[:3]:
            with suppress(OSError):
                package = parse_object(read_regular(parent / "package.json")) or {}
                names += [package.get("version")] if package.get("name") == PACKAGE else []
        version = next((str(one) for one in names if _VERSION.fullmatch(str(one))), None)
        if version is not None:
            return version
    return None

"""Claude Code's files: `.credentials.json` with the login, and `.claude.json` beside it. Read whole or not at all.

`.claude.json` also holds what people typed, and the keys of MCP servers: it is parsed whole, two entries are picked
out, and the rest is dropped, errors of the parser with it. Neither is ever written. Seen in Claude Code 2.1.28x.
"""

import errno
import json
import re
import time
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from monitor.core.errors import Cause, CredentialError, NotLoggedInError, Source
from monitor.core.model import Identity, Profile
from monitor.core.sanitize import ordinary
from monitor.credentials.folders import home
from monitor.credentials.tokens import parse_instant, parse_object
from monitor.system.aio import DaemonThreads
from monitor.system.files import read_regular

T = TypeVar("T")

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
        """Differs after each change: the file is replaced, rewritten, or made readable. None where it is absent.

        Blocks for as long as the disk does, which may be for ever where it is a server's.
        """
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size

    async def stamp(self) -> Hashable:
        """The same off the loop; while the disk is silent, nothing is known to have changed."""
        with suppress(TimeoutError):
            self._stamp = await self._threads.run(self.peek)
        return self._stamp

    async def read(self, parse: Callable[[bytes], T]) -> T | None:
        """Read and `parse` the content, in a thread; None where there is no file. Raises CredentialError."""
        try:
            return await self._threads.run(lambda: self._parsed(parse))
        except FileNotFoundError:
            return None
        except TimeoutError:
            cause, detail = Cause.SILENT, ""
        except OSError as error:
            cause, detail = _CAUSES.get(error.errno, Cause.FAILED), error.strerror or ""
        raise CredentialError.of(cause, Source.FILE, str(self.path), detail)

    def _parsed(self, parse: Callable[[bytes], T]) -> T:
        """A file that is damaged and was written just now may only be half-written."""
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
    """The login that is named, which the token alone can prove, and the usage that was seen last."""

    identity: Identity | None = None
    email: str = ""
    organization_name: str = ""
    cached: CachedUsage | None = None

    @property
    def profile(self) -> Profile | None:
        """The login that is named, where that is done in full."""
        identity = self.identity
        if identity is None or not (identity.account_uuid and identity.org_uuid and self.email):
            return None
        return Profile(identity, self.email, self.organization_name)


class ClaudeJson:
    """The first of these files that there is."""

    def __init__(self, *paths: Path) -> None:
        self._files = [
            WholeFile(path, max_bytes=JSON_MAX_BYTES, limit_secs=JSON_LIMIT_SECS) for path in paths
        ]

    def peek(self) -> Hashable:
        """Differs after each change, of which there is one with each prompt: not every one is worth a read. Blocks."""
        return tuple(file.peek() for file in self._files)

    async def read(self) -> ClaudeFacts:
        """Raises NotLoggedInError where there is no such file, or a CredentialError. Takes 5 ms a megabyte."""
        for file in self._files:
            facts = await file.read(partial(parse_facts, where=str(file.path)))
            if facts is not None:
                return facts
        where = str(self._files[-1].path)
        raise NotLoggedInError.of(Cause.ABSENT, Source.CLAUDE_JSON, where)


def json_places(folder: str, environ: Mapping[str, str]) -> tuple[Path, Path]:
    """The two places of the file of a configuration folder, "" being the default one; the older name comes first."""
    config = Path(folder) if folder else home(environ) / ".claude"
    return config / ".config.json", (Path(folder) if folder else home(environ)) / ".claude.json"


def parse_facts(content: bytes, where: str) -> ClaudeFacts:
    """The facts in the file's content; `where` is what errors call its place. Raises CredentialError."""
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

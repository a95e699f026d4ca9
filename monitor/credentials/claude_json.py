"""What Claude Code notes of its account and usage in `.claude.json`. Nothing else of that file is kept.

It also holds what people typed, and the keys of MCP servers: it is parsed whole, two entries are picked out, and
the rest is dropped, errors of the parser with it. Never written. Seen in Claude Code 2.1.28x.
"""

import json
import os
import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from monitor.core.errors import Cause, CredentialError, Failure, NotLoggedInError, Reason, Source
from monitor.core.model import Identity
from monitor.core.sanitize import ordinary
from monitor.credentials.tokens import parse_instant
from monitor.credentials.whole_file import WholeFile

LIMIT_SECS: Final = 10.0
MAX_BYTES: Final = 32 * 1024 * 1024

_UUID: Final = re.compile(r"[0-9A-Za-z-]{1,64}")


@dataclass(frozen=True, slots=True)
class CachedUsage:
    """The usage API's answer that Claude Code got at that instant, as JSON; it may be days old."""

    at: datetime
    account_uuid: str
    body: bytes


@dataclass(frozen=True, slots=True)
class ClaudeFacts:
    """Whose login it seems to be, which the token alone can prove, and the usage that was seen last."""

    identity: Identity | None = None
    email: str = ""
    organization_name: str = ""
    cached: CachedUsage | None = None


class ClaudeJson:
    """The first of these files that there is."""

    def __init__(self, *paths: Path) -> None:
        self._files = [
            WholeFile(path, max_bytes=MAX_BYTES, limit_secs=LIMIT_SECS) for path in paths
        ]

    def stamp(self) -> Hashable:
        """Differs after each change, of which there is one with each prompt: not every one is worth a read."""
        stamps = (file.stamp() for file in self._files)
        return next((stamp for stamp in stamps if stamp is not None), None)

    async def read(self) -> ClaudeFacts:
        """Raises NotLoggedInError where there is no such file, or a CredentialError. Takes 5 ms a megabyte."""
        for file in self._files:
            facts = await file.read(partial(parse_facts, where=str(file.path)))
            if facts is not None:
                return facts
        where = str(self._files[-1].path)
        raise NotLoggedInError(_failure(Cause.ABSENT, where))


def home(environ: Mapping[str, str]) -> Path:
    """The user's home folder, as Claude Code finds it."""
    return Path(environ.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111 - never raises


def json_places(folder: str, environ: Mapping[str, str]) -> tuple[Path, Path]:
    """Where the file may be for a configuration folder, "" being the default one; the older name comes first."""
    config = Path(folder) if folder else home(environ) / ".claude"
    return config / ".config.json", (Path(folder) if folder else home(environ)) / ".claude.json"


def parse_facts(content: bytes, where: str) -> ClaudeFacts:
    """The facts in the file's content; `where` is what errors call its place. Raises CredentialError."""
    document = _object(content)
    if document is None:
        raise CredentialError(_failure(Cause.DAMAGED, where))
    account = _entry(document, "oauthAccount")
    account_uuid = _uuid(account.get("accountUuid"))
    return ClaudeFacts(
        Identity(account_uuid, _uuid(account.get("organizationUuid"))) if account_uuid else None,
        ordinary(account.get("emailAddress")),
        ordinary(account.get("organizationName")),
        _cached(_entry(document, "cachedUsageUtilization")),
    )


def _failure(cause: Cause, where: str) -> Failure:
    return Failure(Reason.CREDENTIALS, cause, Source.CLAUDE_JSON, name=where)


def _object(content: bytes) -> Mapping[str, Any] | None:
    """The parser's own error is let go, since it holds the whole text."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _cached(entry: Mapping[str, Any]) -> CachedUsage | None:
    at = parse_instant(entry.get("fetchedAtMs"))
    body = entry.get("utilization")
    if at is None or not isinstance(body, dict):
        return None
    return CachedUsage(at, _uuid(entry.get("accountUuid")), json.dumps(body).encode())


def _entry(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    entry = document.get(key)
    return entry if isinstance(entry, dict) else {}


def _uuid(value: object) -> str:
    return value if isinstance(value, str) and _UUID.fullmatch(value) else ""

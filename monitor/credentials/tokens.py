"""Tokens and logins out of JSON. Refresh tokens, and whatever else is not ours, are dropped while it is parsed."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from monitor.core.errors import Cause, CredentialError, NotLoggedInError
from monitor.core.model import Credential, Login, Secret, plan_word

_PICKED: Final = frozenset(
    {
        "claudeAiOauth",
        "accessToken",
        "access_token",
        "expiresAt",
        "expires_at",
        "refreshTokenExpiresAt",
        "scopes",
        "subscriptionType",
        "rateLimitTier",
    }
)
BOM: Final = "\ufeff"
"""Editors of Windows put it at the head of a file."""

_PRESENCE: Final = frozenset({"refreshToken"})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST: Final = 1e9
"""Seconds to September 2001: a hundred times as many are the year 5138, and told from milliseconds."""


Hook = Callable[[list[tuple[str, Any]]], dict[str, Any]]


def parse_object(content: bytes | str, hook: Hook | None = None) -> dict[str, Any] | None:
    """Parse the JSON object in another program's text; None where it is none.

    The parser's own error is let go, since it holds the whole text.
    """
    text = content if isinstance(content, str) else content.decode(errors="replace")
    try:
        document = json.loads(text.removeprefix(BOM), object_pairs_hook=hook)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def parse_without_refresh_tokens(text: str) -> dict[str, Any] | None:
    """Parse the same, with the values of the few keys that are used, and None for each other key.

    Of a refresh token remains whether there is one.
    """

    def pick(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        presence = {key: bool(value) for key, value in pairs if key in _PRESENCE}
        return {key: value if key in _PICKED else None for key, value in pairs} | presence

    return parse_object(text, pick)


def parse_token(text: str) -> Credential | None:
    """Parse a plain token or key, or JSON as Claude Code and older versions write it; None for anything else."""
    text = text.removeprefix(BOM)
    if not text.lstrip().startswith("{"):
        secret = parse_secret(text)
        return None if secret is None else Credential(secret)
    document = parse_without_refresh_tokens(text) or {}
    entry = document.get("claudeAiOauth")
    return credential_in(entry if isinstance(entry, dict) else document)


def credential_in(entry: Mapping[str, Any]) -> Credential | None:
    """Return the access token of an entry, with its end where that is given; None where it has no token."""
    secret = parse_secret(entry.get("accessToken") or entry.get("access_token"))
    if secret is None:
        return None
    expires_at = parse_instant(entry.get("expiresAt") or entry.get("expires_at"))
    return Credential(secret, expires_at=expires_at)


def parse_secret(text: object) -> Secret | None:
    """Parse a token or session key; None for what could not be sent in a header."""
    if not isinstance(text, str):
        return None
    stripped = text.strip()
    return Secret(stripped) if re.fullmatch(r"[!-~]+", stripped) else None


def parse_instant(value: object) -> datetime | None:
    """Parse milliseconds or seconds since 1970, or ISO 8601 text; None for anything else.

    0 means unknown, and an instant before this century is taken for none.
    """
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return _iso(str(value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if _FIRST <= value < _FIRST * 100:
        value *= 1000
    if not _FIRST * 1000 <= value < _FIRST * 100_000:
        return None
    return _EPOCH + timedelta(milliseconds=value)


def _iso(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return moment if moment.year >= 2001 else None


def parse_login(text: str, where: str) -> Login:
    """Parse the login in this JSON; `where` is what errors call its place. Raises CredentialError."""
    document = parse_without_refresh_tokens(text)
    if document is None:
        raise CredentialError.of(Cause.DAMAGED, name=where)
    entry = document.get("claudeAiOauth")
    credential = credential_in(entry) if isinstance(entry, dict) else None
    if credential is None or not isinstance(entry, dict):
        cause = Cause.MCP_ONLY if "mcpOAuth" in document else Cause.ABSENT
        raise NotLoggedInError.of(cause, name=where)
    scopes = entry.get("scopes")
    scopes = scopes if isinstance(scopes, list) else []
    return Login(
        credential,
        login_expires_at=parse_instant(entry.get("refreshTokenExpiresAt")),
        scopes=tuple(scope for scope in scopes if isinstance(scope, str)),
        plan=plan_word(entry.get("subscriptionType"), entry.get("rateLimitTier")),
        renewable=entry.get("refreshToken") is True,
    )

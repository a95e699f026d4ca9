"""What Claude Code writes of its login, wherever it keeps it. Takes the access token and its dates, nothing else."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from monitor.core.errors import Cause, CredentialError, Failure, NotLoggedInError, Reason
from monitor.core.model import Login
from monitor.credentials.tokens import credential_in, parse_instant, parse_without_refresh_tokens

_NEVER: Final = datetime.min.replace(tzinfo=UTC)


def parse_login(text: str, where: str) -> Login:
    """The login in this JSON; `where` is what errors call its place. Raises CredentialError."""
    document = parse_without_refresh_tokens(text)
    if document is None:
        raise CredentialError(Failure(Reason.CREDENTIALS, Cause.DAMAGED, name=where))
    entry = document.get("claudeAiOauth")
    credential = credential_in(entry) if isinstance(entry, dict) else None
    if credential is None or not isinstance(entry, dict):
        cause = Cause.MCP_ONLY if "mcpOAuth" in document else Cause.ABSENT
        raise NotLoggedInError(Failure(Reason.CREDENTIALS, cause, name=where))
    return Login(
        credential,
        login_expires_at=parse_instant(entry.get("refreshTokenExpiresAt")),
        scopes=_scopes(entry.get("scopes")),
        plan=_plan(entry),
        renewable=entry.get("refreshToken") is True,
    )


def expiry(login: Login) -> datetime:
    """When the access token ends; long ago, where that is not known."""
    return login.credential.expires_at or _NEVER


def _scopes(value: object) -> tuple[str, ...]:
    items = value if isinstance(value, list) else []
    return tuple(item for item in items if isinstance(item, str))


def _plan(entry: Mapping[str, Any]) -> str | None:
    """A short word: `max_20x` of the tier `default_claude_max_20x`, else the type of subscription."""
    kind, tier = (_word(entry.get(key)) for key in ("subscriptionType", "rateLimitTier"))
    sized = re.search(r"max_[0-9]+x$", tier or "")
    return sized[0] if sized and kind in (None, "max") else kind


def _word(value: object) -> str | None:
    return value if isinstance(value, str) and re.fullmatch(r"[a-z0-9_]{1,40}", value) else None

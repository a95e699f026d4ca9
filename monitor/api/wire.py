"""Anthropic's usage and profile answers: bytes in, values or an `ApiError` out. Pure.

The endpoints are undocumented; shapes are those of public captures from 2026-03 to 2026-10 (see `tests/samples`).
Utilization is always a percentage, 0 to 100: 1.0 means 1 %. It is never guessed from its size.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from monitor.api.http_times import parse_retry_after
from monitor.core.errors import ApiError, Cause, Failure, Reason, Source
from monitor.core.limits import is_flat_limit, read_limits
from monitor.core.model import AuthMethod, ExtraUsage, Identity, Profile, Usage

KNOWN_KEYS: Final = {"cinder_cove", "extra_usage", "limits", "spend"}
"""Claude Code itself takes a 200 without any of these, and without a flat limit, for an error."""

MOST_TEXT: Final = 254
"""Characters of an e-mail address, says RFC 5321; no name or id is longer."""

MOST_MONEY: Final = Decimal(10**12)

ERROR_TYPES: Final = {
    "rate_limit_error": Reason.RATE_LIMITED,
    "authentication_error": Reason.AUTH,
    "permission_error": Reason.SCOPE,
    "overloaded_error": Reason.SERVER,
    "api_error": Reason.SERVER,
    "timeout_error": Reason.SERVER,
}

Json = Mapping[str, Any]


def parse_usage(body: bytes, at: datetime) -> Usage:
    """The usage that an answer of status 200 holds.

    Raises ApiError: SCHEMA where it is no usage, or the reason of an error body that came with a 200.
    """
    answer = _object(body)
    if not (KNOWN_KEYS & answer.keys() or any(map(is_flat_limit, answer))):
        raise _error_in(answer)
    limits = read_limits(answer, "utilization")
    if limits.is_unreadable:
        raise _odd(f"no limit of the answer can be read ({'; '.join(limits.left_out)})")
    return Usage(at, limits.windows, _extra_usage(answer.get("extra_usage")), limits.left_out)


def _object(body: bytes) -> Json:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise _odd(f"the answer is not JSON but {_looks_like(body)}") from None
    if not isinstance(answer, dict):
        raise _odd("the answer is JSON, but not an object")
    return answer


def _looks_like(body: bytes) -> str:
    start = body.lstrip()[:20].lower()
    if not start:
        return "empty"
    if start.startswith(b"<"):
        return "a web page"
    return "cut off" if start.startswith(b"{") else "something else"


def _error_in(answer: Json) -> ApiError:
    error = answer.get("error")
    kind = error.get("type") if isinstance(error, dict) else None
    if kind is None:
        return _odd("the answer holds no usage that this version knows")
    reason = ERROR_TYPES.get(str(kind), Reason.SCHEMA)
    return ApiError(Failure(reason, detail=f"the API answered with an error: {_word(kind)}"))


def _odd(detail: str) -> ApiError:
    return ApiError(Failure(Reason.SCHEMA, detail=detail))


def _word(text: object) -> str:
    """A server's word, fit for a message: short, and of plain characters only."""
    return re.sub(r"[^a-zA-Z0-9_.-]+", " ", str(text))[:40].strip()


def _extra_usage(block: object) -> ExtraUsage | None:
    """Money on top of the plan; a malformed block is left out, since no limit depends on it."""
    if not isinstance(block, dict) or not isinstance(block.get("is_enabled"), bool):
        return None
    places = block.get("decimal_places")
    exponent = places if isinstance(places, int) and 0 <= places <= 6 else 2
    return ExtraUsage(
        enabled=block["is_enabled"],
        used=_money(block.get("used_credits"), exponent),
        limit=_money(block.get("monthly_limit"), exponent),
        currency=_word(block.get("currency") or "USD"),
    )


def _money(minor_units: object, exponent: int) -> Decimal | None:
    if isinstance(minor_units, bool) or not isinstance(minor_units, int | float | str):
        return None
    try:
        amount = Decimal(str(minor_units))
        return amount.scaleb(-exponent) if -MOST_MONEY <= amount <= MOST_MONEY else None
    except InvalidOperation:  # no number, or none that can be compared
        return None


def parse_profile(body: bytes) -> Profile:
    """Whose token it is. Raises ApiError where the answer does not say so."""
    answer = _object(body)
    account, organization = answer.get("account"), answer.get("organization")
    if not isinstance(account, dict) or not isinstance(organization, dict):
        raise _error_in(answer)
    return Profile(
        Identity(_text(account, "uuid", "account"), _text(organization, "uuid", "organization")),
        email=_text(account, "email", "account"),
        organization_name=str(organization.get("name") or "")[:MOST_TEXT],
        plan=plan_word(organization.get("organization_type"), organization.get("rate_limit_tier")),
    )


def _text(block: Json, key: str, where: str) -> str:
    value = block.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= MOST_TEXT:
        raise _odd(f"`{where}.{key}` is missing in the profile")
    return value


def plan_word(kind: object, tier: object) -> str | None:
    """A short word for a plan: `max_20x`, `pro`, `team`; None where nothing is said."""
    name = _word(kind).removeprefix("claude_") if kind else ""
    limit = _word(tier).removeprefix("default_claude_").removeprefix("default_") if tier else ""
    if name in ("", "max") and limit.startswith("max"):
        return limit
    if not name and limit == "ai":
        return "pro"
    return name or limit or None


def refusal(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
    auth_method: AuthMethod = AuthMethod.OAUTH,
) -> ApiError:
    """The error that an answer with any other status than 200 stands for."""
    retry_after = parse_retry_after(headers, now)
    kind = _error_type(body)
    if status == 429 or kind == "rate_limit_error":
        failure = Failure(Reason.RATE_LIMITED, retry_after=retry_after)
    elif status == 403 and _is_challenge(headers, body):
        failure = Failure(Reason.CHALLENGE)
    elif status in (401, 403) and auth_method is AuthMethod.SESSION_KEY:
        failure = Failure(Reason.AUTH, Cause.REFUSED, Source.SESSION_KEY)
    elif status == 401:
        failure = Failure(Reason.AUTH, Cause.REFUSED)
    elif status == 403 and kind == "permission_error":
        failure = Failure(Reason.SCOPE, Cause.NO_SCOPE)
    elif status == 403:
        failure = Failure(Reason.SCOPE, Cause.FORBIDDEN)
    elif 300 <= status < 400:
        failure = Failure(Reason.SERVER, detail=f"unexpected redirect (HTTP {status})")
    else:
        failure = Failure(Reason.SERVER, detail=f"HTTP {status}", retry_after=retry_after)
    return ApiError(failure)


def _error_type(body: bytes) -> str | None:
    try:
        return str(json.loads(body)["error"]["type"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _is_challenge(headers: Mapping[str, str], body: bytes) -> bool:
    if headers.get("cf-mitigated", "").lower() == "challenge":
        return True
    start = body[:4096].lower()
    return b"just a moment" in start or b"challenge-platform" in start

"""Anthropic's usage and profile answers: bytes in, values or an `ApiError` out. Pure.

The endpoints are undocumented; shapes are those of public captures from 2026-03 to 2026-10 (see `tests/samples`).
Utilization is always a percentage, 0 to 100: 1.0 means 1 %. It is never guessed from its size.
"""

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

from monitor.core.errors import ApiError, Cause, Failure, Reason, Source
from monitor.core.limits import SPEND_LIMIT, flat_key, parse_limits
from monitor.core.model import (
    EXTRA,
    AuthMethod,
    ExtraUsage,
    Identity,
    Profile,
    Usage,
    Window,
    plan_word,
)
from monitor.core.sanitize import clean_uncached, holds_secret, one_line

KNOWN_KEYS: Final = {"cinder_cove", "extra_usage", "limits", "spend"}
"""Claude Code itself takes a 200 without any of these, and without a flat limit, for an error."""

MOST_TEXT: Final = 254
"""Characters of an e-mail address, says RFC 5321; no name or id is longer."""

MOST_MONEY: Final = Decimal(10**12)

ERROR_TYPES: Final = {
    "rate_limit_error": Reason.RATE_LIMITED,
    "overloaded_error": Reason.SERVER,
    "api_error": Reason.SERVER,
    "timeout_error": Reason.SERVER,
}
"""The errors that are not about a login."""

LOGIN_ERRORS: Final = ("authentication_error", "permission_error")

_SCOPE: Final = re.compile(r"\bscopes?\b|\buser:\w+", re.IGNORECASE)
_NOT_ALLOWED: Final = re.compile(
    r"not (?:currently )?(?:allowed|permitted|enabled|supported|available)|unsupported"
    r"|\b(?:disabled|suspended|banned|deactivated|restricted)\b"
    r"|\bip\b|allow[ _-]?list|\bregion\b|\bcountry\b|\blocation\b",
    re.IGNORECASE,
)
"""These words are about an organization, an address or a region: another login would not help."""

_DISABLED: Final = re.compile(
    r"\b(?:organization|account|workspace)\b.*\b(?:disabled|suspended|banned|deactivated)\b"
    r"|\bunsupported_country|not available in your",
    re.IGNORECASE,
)
"""The same, in answers whose status says less."""

_TOKEN: Final = re.compile(r"\b(?:token|login|credentials?|session)\b", re.IGNORECASE)
_PROXY_STATUSES: Final = frozenset({407, 511})
_PROXY_LOGIN: Final = re.compile(r"\s*(?:basic|digest|ntlm|negotiate|kerberos)\b", re.IGNORECASE)
_TITLE: Final = re.compile(rb"<title[^>]*>([^<]{1,400})", re.IGNORECASE)
_PAGES: Final = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<body", b"<!--")

MOST_WORDS: Final = 120

LONGEST_WAIT: Final = timedelta(days=1)
_MOST_DIGITS: Final = 9
_YEARS: Final = range(2000, 3000)

Json = Mapping[str, Any]


def parse_usage(body: bytes, at: datetime) -> Usage:
    """Parse the usage in an answer of status 200.

    Raises ApiError: SCHEMA where it is no usage, or the reason of an error body that came with a 200.
    """
    answer = _parse_object(body)
    if not (KNOWN_KEYS & answer.keys() or any(map(flat_key, answer))):
        raise _error_in(answer)
    limits, extra = parse_limits(answer, "utilization"), _extra_usage(answer)
    money = _money_window(extra, answer.get("extra_usage"))
    if limits.is_unreadable and money is None:
        raise _schema_error(f"no limit of the answer can be read ({'; '.join(limits.left_out)})")
    named = [
        replace(window, key=f"{EXTRA}_2") if money and window.key == EXTRA else window
        for window in limits.windows
    ]
    windows = sorted([*named, *([money] if money else [])], key=lambda window: window.key)
    return Usage(at, tuple(windows), extra, limits.left_out)


def _parse_object(body: bytes) -> Json:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        if is_page({}, body):
            raise ApiError(_blocked(200, {}, body)) from None
        start = body.lstrip()[:20]
        looks = "cut off" if start.startswith(b"{") else "something else" if start else "empty"
        raise _schema_error(f"the answer is not JSON but {looks}") from None
    if not isinstance(answer, dict):
        raise _schema_error("the answer is JSON, but not an object")
    return answer


def _error_in(answer: Json) -> ApiError:
    """Return the error in an answer of status 200."""
    error = _Error.of(answer)
    if error is None:
        return _schema_error("the answer contains no usage that this version knows")
    if error.kind in LOGIN_ERRORS:
        return ApiError(_login_failure(403 if error.kind == "permission_error" else 401, error))
    reason = ERROR_TYPES.get(error.kind, Reason.SCHEMA)
    return ApiError(Failure(reason, detail=f"the API answered with an error: {error.words}"))


def _schema_error(detail: str) -> ApiError:
    return ApiError(Failure(Reason.SCHEMA, detail=detail))


def _clean_word(text: object) -> str:
    """Return a server's word, fit for a message: short, and of plain characters only."""
    return re.sub(r"[^a-zA-Z0-9_.-]+", " ", str(text))[:40].strip()


def _extra_usage(answer: Json) -> ExtraUsage | None:
    """Read the money on top of the plan, or in place of one: from `extra_usage`, or where that is missing, `spend`."""
    block, spend = answer.get("extra_usage"), answer.get("spend")
    if isinstance(block, dict) and isinstance(block.get("is_enabled"), bool):
        exponent = _exponent(block.get("decimal_places"))
        return ExtraUsage(
            enabled=block["is_enabled"],
            used=_money(block.get("used_credits"), exponent),
            limit=_money(block.get("monthly_limit"), exponent),
            currency=_currency(block),
        )
    if not isinstance(spend, dict):
        return None
    used, limit = spend.get("used"), spend.get("limit")
    known = next((amount for amount in (limit, used) if isinstance(amount, dict)), None)
    if known is None:
        return None
    return ExtraUsage(True, _amount(used), _amount(limit), _currency(known))


def _currency(block: Json) -> str:
    return _clean_word(block.get("currency") or "USD")[:8] or "USD"


def _amount(block: object) -> Decimal | None:
    if not isinstance(block, dict):
        return None
    return _money(block.get("amount_minor"), _exponent(block.get("exponent")))


def _exponent(places: object) -> int:
    return places if isinstance(places, int) and 0 <= places <= 6 else 2


def _money_window(extra: ExtraUsage | None, block: object) -> Window | None:
    """Return the window of the money limit; None where there is none, or it is not known what was used of it."""
    if extra is None or not extra.is_limited or extra.limit is None:
        return None
    told: object = block
    if extra.used is not None:
        try:
            told = {"utilization": max(float(100 * extra.used / extra.limit), 0.0)}
        except ArithmeticError:  # a limit of next to nothing
            return None
    windows = parse_limits({SPEND_LIMIT: told}, "utilization").windows
    return windows[0] if windows else None


def _money(minor_units: object, exponent: int) -> Decimal | None:
    if isinstance(minor_units, bool) or not isinstance(minor_units, int | float | str):
        return None
    try:
        amount = Decimal(str(minor_units))
        return amount.scaleb(-exponent) if -MOST_MONEY <= amount <= MOST_MONEY else None
    except InvalidOperation:  # no number, or none that can be compared
        return None


def parse_profile(body: bytes) -> Profile:
    """Read whose token it is. Raises ApiError where the answer does not say so."""
    answer = _parse_object(body)
    account, organization = answer.get("account"), answer.get("organization")
    if not isinstance(account, dict) or not isinstance(organization, dict):
        raise _error_in(answer)
    return Profile(
        Identity(
            _parse_text(account, "uuid", "account"),
            _parse_text(organization, "uuid", "organization"),
        ),
        email=_parse_text(account, "email", "account"),
        organization_name=clean_uncached(str(organization.get("name") or ""), MOST_TEXT).strip(),
        plan=plan_word(organization.get("organization_type"), organization.get("rate_limit_tier")),
    )


def _parse_text(block: Json, key: str, where: str) -> str:
    """Read a text of visible characters alone: it becomes a name, in files and tables."""
    value = block.get(key)
    text = clean_uncached(value, MOST_TEXT + 1).strip() if isinstance(value, str) else ""
    if not 0 < len(text) <= MOST_TEXT:
        raise _schema_error(f"`{where}.{key}` is missing in the profile")
    return text


@dataclass(frozen=True, slots=True)
class _Error:
    """The API's own error: its type, and what it says, fit to be shown."""

    kind: str
    message: str

    @staticmethod
    def of(answer: object) -> "_Error | None":
        error = answer.get("error") if isinstance(answer, dict) else None
        kind = error.get("type") if isinstance(error, dict) else None
        message = error.get("message") if isinstance(error, dict) else None
        if not isinstance(kind, str) and not isinstance(message, str):
            return None
        return _Error(str(kind or ""), _server_words(message) if isinstance(message, str) else "")

    @property
    def words(self) -> str:
        return self.message or _clean_word(self.kind)


def _server_words(text: str) -> str:
    """Clean and shorten what a server says; nothing of it where it may repeat a secret."""
    words = one_line(text, MOST_WORDS)
    return "" if holds_secret(words) or "sk-ant" in re.sub(r"[^a-z-]", "", words.lower()) else words


def refusal(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
    auth_method: AuthMethod = AuthMethod.OAUTH,
) -> ApiError:
    """Return the error for an answer with any other status than 200, by its status, headers and body."""
    retry_after = parse_retry_after(headers, now)
    try:
        error = _Error.of(json.loads(body))
    except (ValueError, RecursionError):
        error = None
    if status == 429 or (error and error.kind == "rate_limit_error"):
        failure = Failure(Reason.RATE_LIMITED, retry_after=retry_after)
    elif status in (403, 503) and _is_challenge(headers, body):
        failure = Failure(Reason.CHALLENGE)
    elif error is None and _is_alien(status, headers, body):
        failure = _blocked(status, headers, body)
    elif auth_method is AuthMethod.SESSION_KEY and _is_of_organization(status, error):
        failure = Failure(Reason.CREDENTIALS, Cause.WRONG_ORGANIZATION, Source.SESSION_KEY)
    elif status in (401, 403, 451) or (error and _DISABLED.search(error.message)):
        failure = _login_failure(status, error, auth_method)
    else:
        said = f": {error.words}" if error else ""
        failure = Failure(Reason.SERVER, detail=f"HTTP {status}{said}", retry_after=retry_after)
    return ApiError(failure)


def _login_failure(
    status: int, error: _Error | None, auth_method: AuthMethod = AuthMethod.OAUTH
) -> Failure:
    """Return why the API refuses this login."""
    said = error.message if error else ""
    is_oauth = auth_method is AuthMethod.OAUTH
    if is_oauth and error and error.kind == "permission_error" and _SCOPE.search(said):
        return Failure(Reason.SCOPE, Cause.NO_SCOPE)
    if _NOT_ALLOWED.search(said) or status not in (401, 403):
        return Failure(Reason.REFUSED, Cause.FORBIDDEN, detail=said or f"HTTP {status}")
    if not is_oauth:
        return Failure(Reason.AUTH, Cause.REFUSED, Source.SESSION_KEY)
    if status == 401 or (error and error.kind == "authentication_error") or _TOKEN.search(said):
        return Failure(Reason.AUTH, Cause.REFUSED)
    words = f": {error.words}" if error else ""
    return Failure(Reason.REFUSED, Cause.FORBIDDEN, detail=f"HTTP {status}{words}")


def _is_of_organization(status: int, error: _Error | None) -> bool:
    """Say whether a session key's request failed by the organization in its address, and not by the key."""
    if error is None or status not in (403, 404) or _NOT_ALLOWED.search(error.message):
        return False
    return status == 404 or "organization" in error.message.lower()


def _is_alien(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Say whether an answer without an error of the API's cannot be the API's at all.

    The API shows no pages, leads nowhere else and says why it forbids; its own front has pages for 5xx. A session key
    or token that has ended is told by a 401 of few words, or of none.
    """
    if status in _PROXY_STATUSES or 300 <= status < 400 or status in (403, 451):
        return True
    asks = status == 401 and _PROXY_LOGIN.match(headers.get("WWW-Authenticate", ""))
    return bool(asks) or (400 <= status < 500 and is_page(headers, body))


def is_json(body: bytes) -> bool:
    """Say whether it begins as the API's own answers and errors do."""
    return body.lstrip()[:1] == b"{"


def is_page(headers: Mapping[str, str], body: bytes) -> bool:
    """Say whether it is made for a browser."""
    start = body.lstrip(b"\xef\xbb\xbf \t\r\n")[:9].lower()
    is_html = headers.get("Content-Type", "").lower().startswith("text/html")
    return start.startswith(_PAGES) or (is_html and bool(start))


def _blocked(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """Return the failure with the status, and whose answer it seems: the title of a page, the host of a redirect."""
    title = _TITLE.search(body[:65536])
    host = _host_of(headers.get("Location", ""))
    if 300 <= status < 400:
        what = f"a redirect to {host}" if host else "a redirect"
    elif is_page(headers, body):
        name = _server_words(html.unescape(title[1].decode(errors="replace"))) if title else ""
        what = f"a web page, “{name}”" if name else "a web page"
    elif status == 407:
        what = "the proxy wants a login"
    else:
        what = "without a word of the API's"
    return Failure(Reason.BLOCKED, Cause.ALIEN, detail=f"HTTP {status}, {what}")


def _host_of(url: str) -> str:
    try:
        return one_line(urlsplit(url).hostname or "", 60)
    except ValueError:
        return ""


def _is_challenge(headers: Mapping[str, str], body: bytes) -> bool:
    if headers.get("cf-mitigated", "").lower() == "challenge":
        return True
    start = body[:4096].lower()
    return b"just a moment" in start or b"challenge-platform" in start


# The times in HTTP's headers, by RFC 9110: what is none, or absurd, is None and never an exception


def parse_http_date(text: str) -> datetime | None:
    """Parse an HTTP date, in UTC where it names no zone. None for anything else, and for another millennium."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.year not in _YEARS:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_retry_after(headers: Mapping[str, str], now: datetime | None = None) -> timedelta | None:
    """Parse the wait that `Retry-After` asks for, at most a day: seconds, or a date.

    A date is reckoned by the server's own `Date`, else by `now`; without either it says nothing.
    """
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():  # "²" is a digit too, and no number
        return min(timedelta(seconds=int(value[:_MOST_DIGITS])), LONGEST_WAIT)
    until, since = parse_http_date(value), parse_http_date(headers.get("Date", "")) or now
    if until is None or since is None:
        return None
    return min(max(until - since, timedelta(0)), LONGEST_WAIT)

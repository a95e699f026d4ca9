"""The times in HTTP's headers, by RFC 9110: what is none, or absurd, is None and never an exception. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_WAIT: Final = timedelta(days=1)
_MOST_DIGITS: Final = 9
_YEARS: Final = range(2000, 3000)


def parse_http_date(text: str) -> datetime | None:
    """The instant, in UTC where the text names no zone; None also for one of another millennium."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.year not in _YEARS:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_retry_after(headers: Mapping[str, str], now: datetime | None = None) -> timedelta | None:
    """The wait that `Retry-After` asks for, at most a day: seconds, or a date.

    A date is reckoned by the server's own `Date`, else by `now`; without either it says nothing.
    """
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():  # "²" is a digit too, and no number
        return min(timedelta(seconds=int(value[:_MOST_DIGITS])), LONGEST_WAIT)
    until, since = parse_http_date(value), parse_http_date(headers.get("Date", "")) or now
    if until is None or since is None:
        return None
    return min(max(until - since, timedelta(0)), LONGEST_WAIT)

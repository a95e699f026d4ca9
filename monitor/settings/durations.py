"""Durations, times of day and instants as people write them in settings and on the command line. Pure."""

import re
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Final

from monitor.core.errors import SettingsError
from monitor.settings.model import Quiet

LONGEST: Final = timedelta(days=365)

_DURATION: Final = re.compile(
    r"(?=\d)(?:(?P<days>\d{1,5})d)?(?:(?P<hours>\d{1,5})h)?"
    r"(?:(?P<minutes>\d{1,6})m)?(?:(?P<seconds>\d{1,8})s)?",
    re.ASCII,
)
_QUIET: Final = re.compile(r"(\d{1,2}:\d{2})\s*-\s*(\d{1,2}:\d{2})", re.ASCII)


def parse_duration(text: str) -> timedelta:
    """`30s`, `10m`, `2h`, `1d`, or several of these, the largest first: `1h30m`. Raises SettingsError."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise SettingsError('not a duration: write one such as "30s", "10m", "2h" or "1d"')
    amounts = {unit: int(amount) for unit, amount in match.groupdict().items() if amount}
    duration = timedelta(**amounts)
    if duration > LONGEST:
        raise SettingsError(f"too long: {LONGEST.days}d is the most")
    return duration


def render_duration(duration: timedelta) -> str:
    """As `parse_duration` reads it, to the second: `1h30m`."""
    rest, parts = int(duration.total_seconds()), []
    for unit, seconds in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        amount, rest = divmod(rest, seconds)
        parts.append(f"{amount}{unit}" if amount else "")
    return "".join(parts) or "0s"


def parse_quiet_hours(text: str) -> Quiet:
    """`22:00-07:00`. Raises SettingsError."""
    match = _QUIET.fullmatch(text.strip())
    start, end = (_time_of_day(match[1]), _time_of_day(match[2])) if match else (None, None)
    if start is None or end is None:
        raise SettingsError('not two times of day: write "22:00-07:00"; midnight is 00:00')
    if start == end:
        raise SettingsError("begin and end at the same time: write two different ones")
    return Quiet(start, end)


def _time_of_day(text: str) -> time | None:
    hour, minute = map(int, text.split(":"))
    return time(hour, minute) if hour <= 23 and minute <= 59 else None


def parse_since(text: str, now: datetime, zone: tzinfo | None = None) -> datetime:
    """A duration back from `now`, or an ISO 8601 instant; one without an offset is in `zone` (None: the machine's).

    Raises SettingsError.
    """
    if _DURATION.fullmatch(text):
        return now - parse_duration(text)
    instant = _instant(text, zone)
    if instant is None:
        raise SettingsError(
            f'"{text}" is neither a duration nor a date: write one such as 12h, 7d or 2026-11-22T08:00'
        )
    return instant


def _instant(text: str, zone: tzinfo | None) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is None and zone is not None:
            instant = instant.replace(tzinfo=zone)
        return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None

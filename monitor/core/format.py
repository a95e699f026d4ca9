"""Numbers, durations and instants in few words, and instants as programs read them. Pure."""

import math
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum
from typing import Final

from monitor.core.model import AccountState, Window

NOTHING: Final = "--"
"""Stands where there is no such limit, or nothing is known yet."""

WORTH_TELLING: Final = timedelta(minutes=2)
"""From this age on the age of figures is shown."""

BAR_CELLS: Final = 10
FULL_CELL: Final = "█"
_EIGHTHS: Final = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")
EMPTY_CELL: Final = "░"
NO_BAR_CELL: Final = "─"


def duration(span: timedelta, *, seconds: bool = True) -> str:
    """A time ahead in its two largest units: `6d 23h`, `2h 14m`, `38m 05s`, `12s`. Never negative.

    Without `seconds`, as what is read later has it: `38m`, `less than a minute`.
    """
    minutes, second = divmod(max(int(span.total_seconds()), 0), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days > 99:
        return ">99d"
    if days:
        return f"{days}d {hour:02}h"
    if hours:
        return f"{hours}h {minute:02}m"
    if not seconds:
        return f"{minutes}m" if minutes else "less than a minute"
    return f"{minutes}m {second:02}s" if minutes else f"{second}s"


_SYMBOLS: Final = {"USD": "$", "EUR": "€", "GBP": "£"}


def money(amount: Decimal, currency: str) -> str:
    """An amount with its currency: `$1,000`, `$21.50`, `995 CHF`; whole ones without a fraction."""
    text = f"{amount:,.2f}".removesuffix(".00")
    symbol = _SYMBOLS.get(currency)
    return f"{symbol}{text}" if symbol else f"{text} {currency}"


def reset(window: Window, now: datetime) -> str | None:
    """The time until the reset, or `expected` once it is over and no poll has said so; None while none is open."""
    resets_in = window.resets_in(now)
    if resets_in is not None:
        return duration(resets_in)
    return None if window.confirmed else "expected"


def age(span: timedelta) -> str:
    """A time past in its largest unit: `12s`, `5m`, `3h`, `2d`."""
    seconds = max(int(span.total_seconds()), 0)
    for unit, letter in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= unit:
            return f"{seconds // unit}{letter}"
    return f"{seconds}s"


def clock(at: datetime, now: datetime, tz: tzinfo | None = None, *, seconds: bool = False) -> str:
    """The wall time of `at` in `tz` (None: the machine's), with its day where that is not today.

    In another year the day is enough, unless `seconds` are wanted as well.
    """
    try:
        local, today = at.astimezone(tz), now.astimezone(tz)
    except (OverflowError, ValueError):  # an instant at the end of the calendar
        return "far away"
    time = f"{local:%H:%M:%S}" if seconds else f"{local:%H:%M}"
    if local.date() == today.date():
        return time
    if abs(local.date() - today.date()) < timedelta(days=7):
        return f"{local:%a} {time}"
    day = f"{local.day} {local:%b}"
    if local.year == today.year:
        return f"{day} {time}"
    return f"{day} {local.year:04} {time}" if seconds else f"{day} {local.year:04}"


def iso(at: datetime) -> str:
    """As programs read it: ISO 8601 in UTC, to the second, `2026-11-22T14:14:00Z`."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def percent(utilization: float, *, confirmed: bool = True, decimals: int = 0) -> str:
    """The utilization in percent, rounded down: 99.6 % is not full, and `<1%` is not nothing.

    An unconfirmed value has a `~` before it.
    """
    if math.isnan(utilization):
        return NOTHING
    full = 100 * 10.0**decimals
    scaled = round(min(max(utilization, 0.0), 9.99) * full, 6)  # 0.29 * 100 is a little below 29
    whole = math.floor(scaled) if utilization >= 1 else min(math.floor(scaled), full - 1)
    is_seen = whole or utilization <= 0
    text = f"{whole * 100 / full:g}%" if is_seen else f"<{10.0**-decimals:g}%"
    return text if confirmed else f"~{text}"


def exact_percent(ratio: float) -> str:
    """A ratio of the settings in percent, as it was written there: `97.5%`."""
    return f"{ratio * 100:g}%"


def bar(utilization: float, cells: int = BAR_CELLS) -> str:
    """The filled part of a bar, in eighths of a cell: not empty above 0, and as long as the bar only from 100 % on."""
    if math.isnan(utilization) or utilization <= 0:
        return ""
    if utilization >= 1:
        return FULL_CELL * cells
    full, eighths = divmod(min(max(round(utilization * cells * 8), 1), cells * 8 - 1), 8)
    return FULL_CELL * full + _EIGHTHS[eighths]


class Outlook(StrEnum):
    """The forecast of a window until its reset, in as few words as can be."""

    NOT_OPEN = NOTHING
    FULL = "full"
    FILLS = "fills"
    LASTS = "lasts"
    TOO_EARLY = "too early"


def expect(account: AccountState, key: str, now: datetime) -> tuple[Outlook, datetime | None]:
    """Sum up a window's forecast; the instant is when it most likely is full, of one that fills."""
    window = account.window(key, now)
    if window is not None and window.utilization >= 1:
        return Outlook.FULL, None
    if window is None or window.resets_at is None:
        return Outlook.NOT_OPEN, None
    forecast = account.forecast_of(key, now)
    if forecast is None:
        return Outlook.TOO_EARLY, None
    return (Outlook.FILLS, forecast.full_at.p50) if forecast.full_at else (Outlook.LASTS, None)


def outlook(account: AccountState, key: str, now: datetime, tz: tzinfo | None = None) -> str:
    """The forecast in a word or two: `full 15:10`, `lasts`, `too early`; a dash where no window is open."""
    expected, at = expect(account, key, now)
    return f"full {clock(at, now, tz)}" if at else expected


def outlook_words(account: AccountState, key: str, now: datetime, tz: tzinfo | None = None) -> str:
    """The same in a sentence: `full 15:10, between 13:05 and 19:40 (80%)`, `lasts to the reset (93%)`."""
    forecast = account.forecast_of(key, now)
    if forecast is None:
        expected, _ = expect(account, key, now)
        return "too early to say" if expected is Outlook.TOO_EARLY else expected
    full_at = forecast.full_at
    if full_at is None:
        return f"lasts to the reset ({100 - round(forecast.run_out_probability * 100)}%)"
    if full_at.p10 == full_at.p90:
        return f"full since {clock(full_at.p50, now, tz)}"
    likely, begin, end = (clock(at, now, tz) for at in (full_at.p50, full_at.p10, full_at.p90))
    first, second, today = (at.astimezone(tz).date() for at in (full_at.p10, full_at.p50, now))
    if first == today != second:  # a time alone would be read as one of the day just named
        begin = f"today {begin}"
    return f"full {likely}, between {begin} and {end} (80%)"

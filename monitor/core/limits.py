"""Parses limits: of the usage API's answer, of Claude Code's copy of it, and of the status line. Pure.

All of them write a limit in one of two shapes, and the API writes most limits in both at once:

    flat    {"seven_day_opus": {"utilization": 12.0, "resets_at": "2026-07-08T09:00:00.28+00:00"}}
    row     {"limits": [{"kind": "weekly_scoped", "group": "weekly", "percent": 12, "resets_at": …,
                         "scope": {"model": {"id": null, "display_name": "Opus"}, "surface": null}}]}

Each is parsed alone. Null, or a missing field, means "no such figure". A bad number leaves out that figure alone; a
bad time leaves its reset unknown. Every row with a number is a limit, whatever its name; of the flat ones those that
name a plan, a model or a surface: others are codenames and credits, which may be full without harm.

A flat limit and a row of one name are the same limit, written twice, where they agree to a point; the higher figure
counts. Others of one name are kept apart: by what else the rows name, else by numbers, the highest figure first. As
the figures of a period only grow, so do the first, the second and so on of them, whatever their order.
"""

import math
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from monitor.core.errors import TrackerError
from monitor.core.model import EXTRA, FIVE_HOURS, SEVEN_DAYS, Usage, Window, window_duration
from monitor.core.sanitize import one_line

MOST_PERCENT: Final = 10_000.0
"""A plan that shrinks may leave a week twentyfold full; so much more is no percentage but an epoch, or nothing."""

MOST_WINDOWS: Final = 32
"""The most limits of one account that are shown: each becomes a series of metrics, and no plan has as many."""

LONGEST_WORD: Final = 40
MOST_LEFT_OUT: Final = 8

WOBBLE: Final = timedelta(seconds=2.5)
"""`resets_at` is computed anew for each answer, up to 1.9 s off the round minute that is meant."""

SAME_FIGURE: Final = 1.0
"""Points that a flat limit and its row may differ by: one of them may be rounded."""

PERIODS: Final = {
    "five_hour": FIVE_HOURS,
    "session": FIVE_HOURS,
    "seven_day": SEVEN_DAYS,
    "weekly": SEVEN_DAYS,
}
FLAT: Final = ("five_hour", "seven_day")
SPEND_LIMIT: Final = "spend_limit"
"""In the status line, behind a gateway: money spent of a limit."""

FLAT_NAMES: Final = frozenset(
    {"opus", "sonnet", "haiku", "fable", "mythos", "claude"}  # models
    | {"cowork", "routines", "code", "chat", "oauth", "overage"}  # surfaces
)
"""First words of flat limits. `seven_day_omelette` is a codename, and `seven_day_breakdown` no limit at all."""

_YEARS: Final = range(2000, 3000)
"""A time beyond them is none, and the next sum would leave the calendar."""


@dataclass(frozen=True, slots=True)
class ParsedLimits:
    """The windows of an answer. `left_out` names in short words what was there and could not be read.

    `is_unreadable` is true if there was something, and no figure of it could be read.
    """

    windows: tuple[Window, ...] = ()
    left_out: tuple[str, ...] = ()
    is_unreadable: bool = False


@dataclass(slots=True)
class _Limit:
    """One limit as one place writes it; without a `percent` it has no figure. `others` are its further names."""

    key: str
    percent: float | None = None
    resets_at: datetime | None = None
    locked_reason: str | None = None
    others: tuple[str, ...] = ()
    bad_number: str = ""
    bad_time: str = ""


def parse_limits(answer: Mapping[str, Any], *fields: str) -> ParsedLimits:
    """Parse the flat limits of the answer, and the rows of its `limits`. The figure is the first of the `fields`."""
    flats = [
        _parse_limit(key, block, fields)
        for name, block in answer.items()
        if (key := flat_key(name)) is not None
    ]
    rows, strange = [], []
    limits = answer.get("limits")
    if not isinstance(limits, list):
        if limits is not None and limits != {}:  # an empty object is as good as none
            strange.append("limits: no list")
        limits = []
    for place, row in enumerate(limits):
        if isinstance(row, dict):
            key, others = _row_names(row)
            rows.append(_parse_limit(key, row, ("percent", "utilization"), others))
        elif row is not None:
            strange.append(f"limits[{place}]: no limit")
    _disambiguate(rows)
    found = _merge_flats(rows, flats)
    windows, cut = _windows(found)
    shown = {limit.key for limit in found if limit.percent is not None}
    ends = {window.key for window in windows if window.resets_at is not None}
    left_out = [
        *strange,
        *(f"{r.key}: {r.bad_number}" for r in found if r.bad_number and r.key not in shown),
        *(f"{r.key}: {r.bad_time}" for r in found if r.bad_time and r.key not in ends),
        *([f"{cut} more limits"] if cut else []),
    ]
    unread = bool(strange) or any(limit.bad_number for limit in found)
    return ParsedLimits(
        windows,
        tuple(dict.fromkeys(left_out))[:MOST_LEFT_OUT],
        is_unreadable=unread and not windows,
    )


def flat_key(name: str) -> str | None:
    """Return the window that a flat limit of this name is about; None where it is no limit."""
    if name == SPEND_LIMIT:
        return EXTRA
    for flat in FLAT:
        if name == flat:
            return PERIODS[flat]
        if name.startswith(f"{flat}_"):
            word = window_word(name.removeprefix(f"{flat}_"))
            return f"{PERIODS[flat]}_{word}" if word.split("_")[0] in FLAT_NAMES else None
    return None


def _row_names(row: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Return a key of the row's period and its first name, and the rest of its names."""
    scope = row.get("scope")
    block = scope if isinstance(scope, dict) else {"label": scope}
    model = block.get("model")
    ways = (
        _text_of(model, "display_name", "name"),
        _text_of(model, "id"),
        _text_of(block.get("surface"), "display_name", "name", "id"),
        _text_of(block.get("label"), "display_name", "name") or _text_of(row.get("label")),
    )
    names = [word for way in ways if (word := window_word(way))]
    kind, group = row.get("kind"), row.get("group")
    rest = window_word(kind) if isinstance(kind, str) else ""
    period = PERIODS.get(group) if isinstance(group, str) else None
    for name, length in PERIODS.items():
        if rest == name or rest.startswith(f"{name}_"):
            period, rest = length, rest.removeprefix(name).strip("_")
            break
    if period is not None:
        word = names[0] if names else rest.removeprefix("all")
        key = f"{period}_{word}" if word else period
    else:
        words = (rest.removesuffix("_scoped"), *names[:1])
        key = "_".join(dict.fromkeys(filter(None, words))) or "limit"
    # Of equal length for all, so that rows can be told apart by one after the other.
    return key, (*(window_word(way) for way in (*ways[2:], *ways[:2])), rest)


def _text_of(value: object, *fields: str) -> str:
    """Return the text, or the first text in these fields of an object; empty where there is none."""
    if isinstance(value, dict):
        texts = (value.get(field) for field in fields)
        return next((text for text in texts if isinstance(text, str) and window_word(text)), "")
    return value if isinstance(value, str) and "id" not in fields[:1] else ""


def is_window_key(text: str) -> bool:
    """Return whether a window can have this key: `5h`, `7d`, `extra`, `7d_opus`, or `monthly_new`, of any two words."""
    period, _, rest = text.partition("_")
    if not rest:
        return text in (FIVE_HOURS, SEVEN_DAYS, EXTRA)
    is_known = period in (FIVE_HOURS, SEVEN_DAYS) or period.isalpha()
    return is_known and window_word(text, 4 * LONGEST_WORD) == text


def window_word(text: str, longest: int = LONGEST_WORD) -> str:
    """Spell a name as part of a window's key: letters and digits of any script in lower case, with underscores."""
    text = unicodedata.normalize("NFKC", text[: 4 * longest]).lower()
    seen = (char for char in text if unicodedata.category(char) != "Cf")
    spaced = "".join(char if unicodedata.category(char)[0] in "LMN" else " " for char in seen)
    return "_".join(spaced.split())[:longest].strip("_")


def _parse_limit(
    key: str, block: object, fields: Iterable[str], others: tuple[str, ...] = ()
) -> _Limit:
    limit = _Limit(key, others=others)
    if block is None:
        return limit
    if not isinstance(block, Mapping):
        limit.bad_number = "no limit"
        return limit
    locked = block.get("locked_reason")
    limit.locked_reason = one_line(str(locked), LONGEST_WORD) if locked else None
    field = next((field for field in fields if block.get(field) is not None), None)
    if field is None:
        return limit
    try:
        percent = math.nan if isinstance(block[field], bool) else float(block[field])
    except (TypeError, ValueError, OverflowError):
        percent = math.nan
    if not 0 <= percent <= MOST_PERCENT:
        limit.bad_number = f"{field} is no number"
        return limit
    limit.percent = percent
    try:
        limit.resets_at = _instant(block.get("resets_at"))
    except (TypeError, ValueError, OverflowError, OSError):
        limit.bad_time = "resets_at is no time"
    return limit


def _instant(value: object) -> datetime | None:
    """Parse ISO 8601 text or epoch seconds, without the server's wobble; None is "no window open"."""
    if value is None:
        return None
    if isinstance(value, str):
        moment = datetime.fromisoformat(value)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        moment = datetime.fromtimestamp(value, UTC)
    else:
        raise TypeError
    if moment.year not in _YEARS:
        raise ValueError
    minute = (moment + timedelta(seconds=30)).replace(second=0, microsecond=0)
    if abs(moment - minute) <= WOBBLE:
        return minute
    return (moment + timedelta(seconds=0.5)).replace(microsecond=0)


def _disambiguate(rows: Sequence[_Limit]) -> None:
    """Give rows of equal keys longer ones, where some other name of theirs differs."""
    for place in range(len(rows[0].others) if rows else 0):
        words: defaultdict[str, set[str]] = defaultdict(set)
        for row in rows:
            words[row.key].add(row.others[place])
        for row in rows:
            word = row.others[place]
            if word and len(words[row.key]) > 1 and not row.key.endswith(f"_{word}"):
                row.key = f"{row.key}_{word}"


def _merge_flats(rows: Sequence[_Limit], flats: Iterable[_Limit]) -> list[_Limit]:
    """List each limit once, a flat one first. Where one of two has no figure, they may be the same limit."""
    named: defaultdict[str, list[_Limit]] = defaultdict(list)
    for row in rows:
        named[row.key].append(row)
    for flat in flats:
        for row in sorted(named[flat.key], key=lambda row: row.percent is None):
            if row.percent is None or flat.percent is None:
                row.percent = flat.percent if row.percent is None else row.percent
            elif abs(row.percent - flat.percent) <= SAME_FIGURE:
                row.percent = max(row.percent, flat.percent)
            else:
                continue
            row.resets_at = row.resets_at or flat.resets_at
            row.locked_reason = row.locked_reason or flat.locked_reason
            row.bad_number = row.bad_number or flat.bad_number
            row.bad_time = row.bad_time or flat.bad_time
            break
        else:
            named[flat.key].insert(0, flat)
    return [limit for limits in named.values() for limit in limits]


def _windows(limits: Iterable[_Limit]) -> tuple[tuple[Window, ...], int]:
    """Make the windows, and count those that are too many: the plan's own and the fullest are kept.

    The first of a name has it for its key; the others get numbers that no other key has.
    """
    found = [(limit.percent, limit) for limit in limits if limit.percent is not None]
    found.sort(key=lambda pair: (pair[1].key not in PERIODS.values(), -pair[0]))
    names = {limit.key for _, limit in found}
    windows: dict[str, Window] = {}
    for percent, limit in found[:MOST_WINDOWS]:
        key, number = limit.key, 1
        while key in windows or (number > 1 and key in names):
            number += 1
            key = f"{limit.key}_{number}"
        windows[key] = Window(key, percent / 100, limit.resets_at, limit.locked_reason)
    ordered = sorted(windows.values(), key=lambda window: window.key)
    return tuple(ordered), max(len(found) - MOST_WINDOWS, 0)


def parse_rate_limits(document: Mapping[str, Any], now: datetime) -> Usage | None:
    """Parse the figures that Claude Code gives its status line (code.claude.com/docs/en/statusline); None without any.

    A window that has ended is left out: an idle terminal shows its last answer for ever.

    Raises TrackerError where no figure can be read.
    """
    rate_limits = document.get("rate_limits")
    if rate_limits is None:
        return None
    limits = ParsedLimits(left_out=("rate_limits",), is_unreadable=True)
    if isinstance(rate_limits, Mapping):
        limits = parse_limits(rate_limits, "used_percentage")
    if limits.is_unreadable:
        what = "; ".join(limits.left_out)
        raise TrackerError(f"the status line's {what} is not understood: nothing was taken from it")
    far = {
        window.key
        for window in limits.windows
        if window.resets_at is not None and (length := window_duration(window.key)) is not None
        if window.resets_at > now + 2 * length
    }
    windows = tuple(
        replace(window, resets_at=None) if window.key in far else window
        for window in limits.windows
        if window.resets_at is None or window.resets_at > now
    )
    left_out = (*limits.left_out, *(f"{key}: resets_at is too far ahead" for key in sorted(far)))
    return Usage(now, windows, left_out=left_out) if windows else None

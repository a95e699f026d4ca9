"""The limits in what Claude Code gives to its status line: JSON values in, usage out. Pure; believes no number.

`rate_limits.{five_hour,seven_day}` with `used_percentage` (0 to 100) and `resets_at` (seconds since 1970), each of
them now and then missing, since Claude Code 2.1.80: code.claude.com/docs/en/statusline.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from monitor.core.errors import TrackerError
from monitor.core.model import FIVE_HOURS, SEVEN_DAYS, Usage, Window, window_duration

WINDOWS: Final = {"five_hour": FIVE_HOURS, "seven_day": SEVEN_DAYS}
MOST_PERCENT: Final = 1000.0
"""A little more than 100 has been seen; so much more is no percentage."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = 1e11


def parse_rate_limits(document: Mapping[str, Any], now: datetime) -> Usage | None:
    """The usage at `now`; None where nothing is said of it. Raises TrackerError for what cannot be true.

    A window that has ended is left out: an idle terminal shows its last answer for ever.
    """
    limits = document.get("rate_limits")
    if limits is None:
        return None
    if not isinstance(limits, Mapping):
        raise _odd("rate_limits")
    found = (_window(name, key, limits.get(name), now) for name, key in WINDOWS.items())
    windows = tuple(window for window in found if window is not None)
    return Usage(now, windows) if windows else None


def _window(name: str, key: str, row: object, now: datetime) -> Window | None:
    if row is None:
        return None
    if not isinstance(row, Mapping):
        raise _odd(name)
    if row.get("used_percentage") is None:
        return None
    used = _number(row["used_percentage"], f"{name}.used_percentage", MOST_PERCENT)
    if row.get("resets_at") is None:
        return Window(key, used / 100)
    where = f"{name}.resets_at"
    resets_at = _EPOCH + timedelta(seconds=round(_number(row["resets_at"], where, _LATEST)))
    if resets_at > now + 2 * window_duration(key):
        raise _odd(where)
    return Window(key, used / 100, resets_at) if resets_at > now else None


def _number(value: object, where: str, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _odd(where)
    if not (0 <= value <= most and math.isfinite(value)):
        raise _odd(where)
    return float(value)


def _odd(where: str) -> TrackerError:
    return TrackerError(f"the status line's {where} is not understood: nothing was taken from it")

"""The limits in what Claude Code gives to its status line: JSON values in, usage out. Pure; believes no number.

`rate_limits.{five_hour,seven_day}` with `used_percentage` (0 to 100) and `resets_at` (seconds since 1970), each of
them now and then missing, since Claude Code 2.1.80: code.claude.com/docs/en/statusline.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from monitor.core.errors import TrackerError
from monitor.core.limits import read_limits
from monitor.core.model import Usage, Window, window_duration


def parse_rate_limits(document: Mapping[str, Any], now: datetime) -> Usage | None:
    """The usage at `now`; None where nothing is said of it. Raises TrackerError where no figure can be read.

    A window that has ended is left out: an idle terminal shows its last answer for ever.
    """
    rate_limits = document.get("rate_limits")
    if rate_limits is None:
        return None
    if not isinstance(rate_limits, Mapping):
        raise _odd("rate_limits")
    limits = read_limits(rate_limits, "used_percentage")
    if limits.is_unreadable:
        raise _odd("; ".join(limits.left_out))
    far = {window.key for window in limits.windows if _ends_too_late(window, now)}
    windows = tuple(
        replace(window, resets_at=None) if window.key in far else window
        for window in limits.windows
        if window.resets_at is None or window.resets_at > now
    )
    left_out = (*limits.left_out, *(f"{key}: resets_at is too far ahead" for key in sorted(far)))
    return Usage(now, windows, left_out=left_out) if windows else None


def _ends_too_late(window: Window, now: datetime) -> bool:
    length = window_duration(window.key)
    if length is None or window.resets_at is None:
        return False
    return window.resets_at > now + 2 * length


def _odd(where: str) -> TrackerError:
    return TrackerError(f"the status line's {where} is not understood: nothing was taken from it")

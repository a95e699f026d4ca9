"""Words an alert for people. Pure: the time zone is an argument, and the alert's own instant is the present."""

import html
import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Final

from monitor.core.effects import Alert, AlertKind


@dataclass(frozen=True, slots=True)
class Message:
    """What a channel is to show: plain text without control characters. Urgent is a limit that is reached."""

    title: str
    body: str
    urgent: bool = False


Words = Callable[[Alert], Message]
"""How a channel has its alerts worded."""


def worded(alert: Alert, zone: tzinfo | None = None) -> Message:
    """The alert in words, with clock times in `zone`; None is the machine's own."""
    match alert.kind:
        case AlertKind.THRESHOLD:
            return _threshold(alert, zone)
        case AlertKind.RESET:
            return _reset(alert, zone)
        case AlertKind.TEST:
            return Message("Claude Tracker: test", "If you can read this, alerts reach you here.")


def _threshold(alert: Alert, zone: tzinfo | None) -> Message:
    full = alert.utilization >= 1
    news = "limit reached" if full else f"at {percent(alert.utilization)}%"
    fact = f"At {percent(alert.utilization)}%."
    if alert.threshold is not None and not full:
        fact = f"Passed {alert.threshold * 100:g}%."
    return Message(f"{_subject(alert)} {news}", _sentences(fact, _resets(alert, zone)), full)


def _reset(alert: Alert, zone: tzinfo | None) -> Message:
    peak = f"It had reached {percent(alert.utilization)}%"
    if alert.resets_at is not None:
        peak += f" before the reset {_moment(alert.resets_at, alert.at, zone)}"
    return Message(f"{_subject(alert)} is open again", f"{peak}.")


def _subject(alert: Alert) -> str:
    """Whose window it is, such as `user@work.com: 7d opus`."""
    return f"{cleaned(alert.account) or 'unnamed'}: {cleaned(alert.window.replace('_', ' '))}"


def _resets(alert: Alert, zone: tzinfo | None) -> str:
    if alert.resets_at is None:
        return ""
    left = _to_the_minute(alert.resets_at) - alert.at
    if left <= timedelta(0):
        return "Its reset is due."
    return f"Resets {_moment(alert.resets_at, alert.at, zone)} (in {duration(left)})."


def _sentences(*sentences: str) -> str:
    return " ".join(filter(None, sentences))


def percent(utilization: float) -> int:
    """A ratio in whole percent, rounded down: 99.6 % is not yet the limit."""
    whole = math.floor(round(utilization * 100, 6))  # 0.29 * 100 is a little less than 29
    return whole if utilization >= 1 else min(whole, 99)


def duration(left: timedelta) -> str:
    """A time to come in its two largest units, rounded down: `4d 11h`, `2h 14m`, `38m`."""
    minutes = int(left / timedelta(minutes=1))
    days, hours = divmod(minutes // 60, 24)
    if days:
        return f"{days}d {hours}h"
    if hours:
        return f"{hours}h {minutes % 60}m"
    return f"{minutes}m" if minutes else "less than a minute"


def _moment(at: datetime, now: datetime, zone: tzinfo | None) -> str:
    """`at 14:14` today, `on Fri 27 Nov at 14:14` on any other day."""
    local = _to_the_minute(at).astimezone(zone)
    clock = f"at {local:%H:%M}"
    if local.date() == now.astimezone(zone).date():
        return clock
    return f"on {local:%a} {local.day} {local:%b} {clock}"


def _to_the_minute(at: datetime) -> datetime:
    """The server's instants wobble by seconds around the true one, which is a full minute."""
    return (at + timedelta(seconds=30)).replace(second=0, microsecond=0)


NAME_LENGTH: Final = 100
_JOINERS: Final = "\u200c\u200d"  # parts of words in some scripts, and of emoji
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_ESCAPES: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, motion
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f]).*?(?:\x07|\x1b\\|\x9c|$)"  # strings: titles, links
    r"|\x1b[ -/]*[0-~]?",
    re.DOTALL,
)


def cleaned(name: str) -> str:
    """One line of visible text: no escape sequences, control characters or changes of direction."""
    spaced = re.sub(r"\s", " ", _ESCAPES.sub("", name))
    visible = "".join(c for c in spaced if c in _JOINERS or unicodedata.category(c) not in _UNSEEN)
    line = " ".join(visible.split())
    return line if len(line) <= NAME_LENGTH else f"{line[: NAME_LENGTH - 1]}…"


def escape_markup(text: str) -> str:
    """The text as typed, for notification daemons that read the body as markup."""
    return html.escape(text, quote=False)

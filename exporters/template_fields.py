"""What a line's format may speak of: the fields of an account and of one of its windows, and what each says."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from enum import Enum
from typing import Final

from monitor.core import format
from monitor.core.errors import describe
from monitor.core.model import FIVE_HOURS, SEVEN_DAYS, AccountState, Down, Window
from monitor.core.sanitize import clean
from monitor.core.state import State

WORST: Final = "worst"
"""Stands for the fuller one of 5h and 7d."""

_LEVELS: Final = (
    (0.95, "critical", "#e0443e"),
    (0.8, "warning", "#e5a50a"),
    (0.0, "ok", "#4caf50"),
)
_UNKNOWN: Final = ("unknown", "#808080")


class Kind(Enum):
    """How a field's value is written: see `exporters.template`."""

    TEXT = "text"
    NUMBER = "number"
    FLAG = "flag"
    BAR = "bar"


@dataclass(frozen=True, slots=True)
class Subject:
    """The account that a line is about, at one instant; clock times are told in `tz` (None: the machine's)."""

    state: State
    name: str
    now: datetime
    tz: tzinfo | None = None

    @property
    def account(self) -> AccountState:
        return self.state.accounts[self.name]

    def window(self, key: str) -> Window | None:
        if key != WORST:
            return self.account.window(key, self.now)
        found = [self.account.window(key, self.now) for key in (FIVE_HOURS, SEVEN_DAYS)]
        return max((w for w in found if w), key=lambda w: w.utilization, default=None)


Value = str | float | bool | None


@dataclass(frozen=True, slots=True)
class Property:
    """What a field of an account says; `decimals` are those of a number where the format asks for none."""

    read: Callable[[Subject], Value]
    kind: Kind = Kind.TEXT
    decimals: int = 0


@dataclass(frozen=True, slots=True)
class WindowProperty:
    """What a field of a window says, None where there is no such window."""

    read: Callable[[Window, Subject], Value]
    kind: Kind = Kind.TEXT
    decimals: int = 0
    missing: Value = None

    def of(self, key: str) -> Property:
        """The same of the window with this key."""

        def read(subject: Subject) -> Value:
            window = subject.window(key)
            return self.missing if window is None else self.read(window, subject)

        return Property(read, self.kind, self.decimals)


def _age(subject: Subject) -> timedelta | None:
    last = subject.account.last_success_at
    return None if last is None else max(subject.now - last, timedelta(0))


def _age_words(subject: Subject) -> str | None:
    age = _age(subject)
    return None if age is None else format.age(age)


def _age_seconds(subject: Subject) -> float | None:
    age = _age(subject)
    return None if age is None else age.total_seconds()


def _failure(subject: Subject) -> str | None:
    down = subject.account.health
    return str(down.failure.reason) if isinstance(down, Down) else None


def _detail(subject: Subject) -> str | None:
    down = subject.account.health
    return clean(describe(down.failure)) if isinstance(down, Down) else None


def _login_expires_in(subject: Subject) -> timedelta | None:
    ends = subject.account.login_expires_at
    return None if ends is None else max(ends - subject.now, timedelta(0))


def _login_words(subject: Subject) -> str | None:
    left = _login_expires_in(subject)
    return None if left is None else format.duration(left)


def _login_seconds(subject: Subject) -> float | None:
    left = _login_expires_in(subject)
    return None if left is None else left.total_seconds()


def _login_expires_at(subject: Subject) -> str | None:
    ends = subject.account.login_expires_at
    return None if ends is None else format.clock(ends, subject.now, subject.tz)


def _requests(subject: Subject) -> float:
    hour_ago = subject.now - timedelta(hours=1)
    return sum(at > hour_ago for at in subject.account.requests)


def _number(subject: Subject) -> float | None:
    """None for an account without a name: it is not known whose the figures are."""
    return list(subject.state.accounts).index(subject.name) + 1 if subject.name else None


ACCOUNT_FIELDS: Final[Mapping[str, Property]] = {
    "name": Property(lambda s: clean(s.name) or None),
    "label": Property(lambda s: clean(s.account.account.title) or None),
    "number": Property(_number, Kind.NUMBER),
    "org_id": Property(lambda s: clean(s.account.org_id) or None),
    "plan": Property(lambda s: clean(s.account.plan or "") or None),
    "status": Property(lambda s: str(s.account.status(s.now))),
    "failure": Property(_failure),
    "detail": Property(_detail),
    "active": Property(lambda s: s.name == s.state.active_account, Kind.FLAG),
    "logged_in": Property(lambda s: s.name == s.state.logged_in, Kind.FLAG),
    "login_expires_in": Property(_login_words),
    "login_expires_in_seconds": Property(_login_seconds, Kind.NUMBER),
    "login_expires_at": Property(_login_expires_at),
    "age": Property(_age_words),
    "age_seconds": Property(_age_seconds, Kind.NUMBER),
    "requests": Property(_requests, Kind.NUMBER),
}


def _percent(window: Window) -> float | None:
    """At most what a table shows, and exact where it was a whole number."""
    if math.isnan(window.utilization):
        return None
    return round(min(max(window.utilization, 0.0), 9.99) * 100, 6)


def _left(window: Window) -> float | None:
    percent = _percent(window)
    return None if percent is None else max(100 - percent, 0.0)


def _ratio(window: Window) -> float | None:
    percent = _percent(window)
    return None if percent is None else percent / 100


def _resets_in(window: Window, subject: Subject) -> str | None:
    return format.reset(window, subject.now)


def _resets_in_seconds(window: Window, subject: Subject) -> float | None:
    resets_in = window.resets_in(subject.now)
    return None if resets_in is None else resets_in.total_seconds()


def _resets_at(window: Window, subject: Subject) -> str | None:
    at = window.resets_at
    return None if at is None else format.clock(at, subject.now, subject.tz)


def _level(window: Window) -> tuple[str, str]:
    if window.locked_reason is not None:
        return _LEVELS[0][1:]
    reached = (rest for least, *rest in _LEVELS if window.utilization >= least)
    level, colour = next(reached, _UNKNOWN)
    return level, colour


WINDOW_FIELDS: Final[Mapping[str, WindowProperty]] = {
    "window": WindowProperty(lambda w, _: clean(w.key)),
    "used": WindowProperty(lambda w, _: format.percent(w.utilization, confirmed=w.confirmed)),
    "percent": WindowProperty(lambda w, _: _percent(w), Kind.NUMBER),
    "left": WindowProperty(lambda w, _: _left(w), Kind.NUMBER),
    "ratio": WindowProperty(lambda w, _: _ratio(w), Kind.NUMBER, decimals=2),
    "bar": WindowProperty(lambda w, _: w.utilization, Kind.BAR),
    "resets_in": WindowProperty(_resets_in),
    "resets_in_seconds": WindowProperty(_resets_in_seconds, Kind.NUMBER),
    "resets_at": WindowProperty(_resets_at),
    "locked": WindowProperty(lambda w, _: w.locked_reason is not None, Kind.FLAG, missing=False),
    "level": WindowProperty(lambda w, _: _level(w)[0], missing=_UNKNOWN[0]),
    "color": WindowProperty(lambda w, _: _level(w)[1], missing=_UNKNOWN[1]),
}

"""One line of text for each account, in the user's own format: for tmux, prompts, bars, Claude Code's status line.

A format is text with fields in braces, as of `str.format`: `{5h.percent:>3}`. The fields are in `ACCOUNT_FIELDS` and
`WINDOW_FIELDS`, the conversions (`!j`) in `ESCAPES`. A value that is not known is a dash, or null in JSON.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from difflib import get_close_matches
from enum import Enum
from html import escape
from string import Formatter
from typing import Any, Final, Generic, TypeVar

from monitor.core import format
from monitor.core.errors import Failure, SettingsError, describe
from monitor.core.limits import is_window_key
from monitor.core.model import FIVE_HOURS, SEVEN_DAYS, AccountState, Window
from monitor.core.sanitize import clean
from monitor.core.state import State

DEFAULT: Final = "{name} {5h.used} {5h.resets_in} {7d.used} {7d.resets_in}"
"""The format of `status --watch` without `--format`."""

HOUR: Final = timedelta(hours=1)
WORST: Final = "worst"
"""The name of the fuller one of 5h and 7d in a field."""

_LEVELS: Final = (
    (0.95, "critical", "#e0443e"),
    (0.8, "warning", "#e5a50a"),
    (0.0, "ok", "#4caf50"),
)
_UNKNOWN: Final = ("unknown", "#808080")


class Kind(Enum):
    """The ways to render a field's value."""

    TEXT = "text"
    NUMBER = "number"
    FLAG = "flag"
    BAR = "bar"


@dataclass(frozen=True, slots=True)
class Subject:
    """The account of a line at one instant; clock times are in `tz` (None: the machine's)."""

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
Known = TypeVar("Known")


@dataclass(frozen=True, slots=True)
class Definition(Generic[Known]):
    """A field of accounts or of windows that a format can name; `missing` is its value where there is no such window.

    `decimals` are those of a number whose format has no precision.
    """

    read: Callable[[Known, Subject], Value]
    kind: Kind = Kind.TEXT
    decimals: int = 0
    missing: Value = None


def _if_known(value: Known | None, render: Callable[[Known], Value]) -> Value:
    return None if value is None else render(value)


def _age(account: AccountState, subject: Subject) -> timedelta | None:
    last = account.last_success_at
    return None if last is None else max(subject.now - last, timedelta(0))


def _failure(account: AccountState) -> Failure | None:
    return account.down.failure if account.down else None


def _login_expires_in(account: AccountState, subject: Subject) -> timedelta | None:
    ends = account.login_expires_at
    return None if ends is None else max(ends - subject.now, timedelta(0))


def _number(_: AccountState, subject: Subject) -> float | None:
    """Return the account's number in the table; None where it is not known whose the figures are."""
    return list(subject.state.accounts).index(subject.name) + 1 if subject.name else None


ACCOUNT_FIELDS: Final[Mapping[str, Definition[AccountState]]] = {
    "name": Definition(lambda _, s: clean(s.name) or None),
    "label": Definition(lambda a, _: clean(a.account.title) or None),
    "number": Definition(_number, Kind.NUMBER),
    "org_id": Definition(lambda a, _: clean(a.org_id) or None),
    "plan": Definition(lambda a, _: clean(a.plan or "") or None),
    "status": Definition(lambda a, s: str(a.status(s.now))),
    "failure": Definition(lambda a, _: _if_known(_failure(a), lambda failure: str(failure.reason))),
    "detail": Definition(
        lambda a, _: _if_known(_failure(a), lambda failure: clean(describe(failure)))
    ),
    "active": Definition(lambda _, s: s.name == s.state.active_account, Kind.FLAG),
    "logged_in": Definition(lambda _, s: s.name == s.state.logged_in, Kind.FLAG),
    "login_expires_in": Definition(
        lambda a, s: _if_known(_login_expires_in(a, s), format.duration)
    ),
    "login_expires_in_seconds": Definition(
        lambda a, s: _if_known(_login_expires_in(a, s), timedelta.total_seconds), Kind.NUMBER
    ),
    "login_expires_at": Definition(
        lambda a, s: _if_known(a.login_expires_at, lambda at: format.clock(at, s.now, s.tz))
    ),
    "age": Definition(lambda a, s: _if_known(_age(a, s), format.age)),
    "age_seconds": Definition(
        lambda a, s: _if_known(_age(a, s), timedelta.total_seconds), Kind.NUMBER
    ),
    "requests": Definition(lambda a, s: sum(s.now - at < HOUR for at in a.requests), Kind.NUMBER),
}


def _percent(window: Window) -> float | None:
    """Return the percentage, 999 at most, without the rounding error of a ratio."""
    if math.isnan(window.utilization):
        return None
    return round(min(max(window.utilization, 0.0), 9.99) * 100, 6)


def _run_out_percent(window: Window, subject: Subject) -> float | None:
    forecast = subject.account.forecast_of(window.key, subject.now)
    return None if forecast is None else forecast.run_out_probability * 100


def _full_at(window: Window, subject: Subject) -> str | None:
    forecast = subject.account.forecast_of(window.key, subject.now)
    if forecast is None or forecast.full_at is None:
        return None
    return format.clock(forecast.full_at.p50, subject.now, subject.tz)


def _level(window: Window) -> tuple[str, str]:
    if window.locked_reason is not None:
        return _LEVELS[0][1:]
    reached = (rest for least, *rest in _LEVELS if window.utilization >= least)
    level, colour = next(reached, _UNKNOWN)
    return level, colour


WINDOW_FIELDS: Final[Mapping[str, Definition[Window]]] = {
    "window": Definition(lambda w, _: clean(w.key)),
    "used": Definition(lambda w, _: format.percent(w.utilization, confirmed=w.confirmed)),
    "percent": Definition(lambda w, _: _percent(w), Kind.NUMBER),
    "left": Definition(
        lambda w, _: _if_known(_percent(w), lambda percent: max(100 - percent, 0.0)), Kind.NUMBER
    ),
    "ratio": Definition(
        lambda w, _: _if_known(_percent(w), lambda percent: percent / 100), Kind.NUMBER, decimals=2
    ),
    "bar": Definition(lambda w, _: w.utilization, Kind.BAR),
    "resets_in": Definition(lambda w, s: format.reset(w, s.now)),
    "resets_in_seconds": Definition(
        lambda w, s: _if_known(w.resets_in(s.now), timedelta.total_seconds), Kind.NUMBER
    ),
    "resets_at": Definition(
        lambda w, s: _if_known(w.resets_at, lambda at: format.clock(at, s.now, s.tz))
    ),
    "full": Definition(
        lambda w, s: _if_known(w.resets_at, lambda _: format.outlook(s.account, w.key, s.now, s.tz))
    ),
    "run_out_percent": Definition(_run_out_percent, Kind.NUMBER),
    "full_at": Definition(_full_at),
    "locked": Definition(lambda w, _: w.locked_reason is not None, Kind.FLAG, missing=False),
    "level": Definition(lambda w, _: _level(w)[0], missing=_UNKNOWN[0]),
    "color": Definition(lambda w, _: _level(w)[1], missing=_UNKNOWN[1]),
}


MISSING: Final = "–"
_MARK: Final = "*"
_MOST: Final = 200
"""The most characters that a field can be wide."""

_SPEC: Final = re.compile(
    r"(?:(?P<fill>[^{}])?(?P<align>[<>^]))?(?P<width>\d{1,3})?(?:\.(?P<precision>\d{1,2}))?"
)
_UNSPEAKABLE: Final = re.compile("[\ud800-\udfff]")


def _is_window(name: str) -> bool:
    return name == WORST or is_window_key(name)


ESCAPES: Final[Mapping[str, Callable[[str], str]]] = {
    "": str,
    "j": lambda text: json.dumps(text)[1:-1],
    "x": escape,
    "t": lambda text: text.replace("#", "##"),
}
"""The conversions: `!j` between the quotes of JSON, `!x` for the markup of bars, `!t` for tmux."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field in a format, with its conversion and its alignment. A `window` of "" is a field of the account."""

    definition: Definition[Any]
    window: str = ""
    conversion: str = ""
    fill: str = " "
    align: str = ""
    width: int = 0
    precision: int | None = None

    def text(self, subject: Subject) -> str:
        """Render the value; with `!j`, numbers and flags are JSON values, and the rest is for between quotes."""
        kind, value = self.definition.kind, self.definition.missing
        shown = subject.window(self.window) if self.window else subject.account
        if shown is not None:
            value = self.definition.read(shown, subject)
        if kind is Kind.BAR:
            cells = self.width or format.BAR_CELLS
            if not isinstance(value, float | int):
                return format.NO_BAR_CELL * cells
            return format.bar(value, cells).ljust(cells, format.EMPTY_CELL)
        if self.conversion == "j" and kind in (Kind.NUMBER, Kind.FLAG):
            if kind is Kind.NUMBER and isinstance(value, float | int):
                return self._figure(value)
            return json.dumps(value)
        if value is None:
            text = MISSING
        elif kind is Kind.FLAG:
            text = _MARK if value else ""
        elif isinstance(value, str):
            text = value[: self.precision]
        else:
            text = self._figure(value)
        text = ESCAPES[self.conversion](text)
        align = self.align or (">" if kind is Kind.NUMBER else "<")
        return f"{text:{self.fill}{align}{self.width}}" if self.width else text

    def _figure(self, value: float) -> str:
        """Render a number, rounded down as in the table: 99.6 % is not 100 %."""
        decimals = self.definition.decimals if self.precision is None else self.precision
        scale = 10**decimals
        return f"{math.floor(round(value * scale, 6)) / scale:.{decimals}f}"


Format = tuple[str | Field, ...]
"""A parsed format: pieces of text, and fields."""


def parse_format(text: str) -> Format:
    """Parse a format, where `{{` and `}}` are braces. Raises SettingsError, which names the field and its place."""
    speakable = _UNSPEAKABLE.sub("\N{REPLACEMENT CHARACTER}", text)
    try:
        return tuple(_pieces(speakable))
    except ValueError as error:  # of the braces themselves
        raise _wrong(
            f"{clean(str(error))}: a brace that is meant as one is written twice"
        ) from None


def render_line(
    form: Format, state: State, account: str, now: datetime, tz: tzinfo | None = None
) -> str:
    """Render the line of this account, without a newline at its end; clock times are in `tz`."""
    subject = Subject(state, account, now, tz)
    return "".join(piece if isinstance(piece, str) else piece.text(subject) for piece in form)


def _pieces(text: str) -> Iterator[str | Field]:
    place = 0
    for literal, name, spec, conversion in Formatter().parse(text):
        yield literal
        if name is not None:
            place = text.find(f"{{{name}", place) + 1
            yield _field(name.strip(), conversion or "", spec or "", place)


def _field(name: str, conversion: str, spec: str, place: int) -> Field:
    window, _, rest = name.rpartition(".")
    definition: Definition[Any]
    if name in ACCOUNT_FIELDS:
        definition = ACCOUNT_FIELDS[name]
    elif rest in WINDOW_FIELDS and _is_window(window):
        definition = WINDOW_FIELDS[rest]
    else:
        raise _wrong(f"no field {{{clean(name)}}} at character {place}: {_advice(name)}")
    if conversion not in ESCAPES:
        known = ", ".join(f"!{letter}" for letter in ESCAPES if letter)
        raise _wrong(f"no conversion !{clean(conversion)} at character {place}: there are {known}")
    found = _SPEC.fullmatch(spec)
    if found is None:
        raise _wrong(f"not a width: {clean(spec)!r} at character {place}: say 8, >8, .2, 8.2")
    return Field(
        definition,
        window,
        conversion,
        fill=found["fill"] or " ",
        align=found["align"] or "",
        width=min(int(found["width"] or 0), _MOST),
        precision=None if found["precision"] is None else int(found["precision"]),
    )


def _advice(name: str) -> str:
    """Name the nearest field, and list all."""
    window = name.partition(".")[0]
    windows = (window,) if _is_window(window) else (FIVE_HOURS, SEVEN_DAYS, WORST)
    known = [*ACCOUNT_FIELDS, *(f"{one}.{field}" for one in windows for field in WINDOW_FIELDS)]
    near = get_close_matches(name, known, n=1)
    meant = f"did you mean {{{near[0]}}}? " if near else ""
    return (
        f"{meant}there are {', '.join(ACCOUNT_FIELDS)}; "
        f"and of a window (5h, 7d, 7d_opus, {WORST}), as in {{5h.percent}}: {', '.join(WINDOW_FIELDS)}"
    )


def _wrong(what: str) -> SettingsError:
    return SettingsError(f"--format: {what}")

"""One line of text for each account, in the user's own format: for tmux, prompts, bars, Claude Code's status line."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from difflib import get_close_matches
from html import escape
from typing import Final

from exporters.template_fields import (
    ACCOUNT_FIELDS,
    WINDOW_FIELDS,
    WORST,
    Kind,
    Property,
    Subject,
    Value,
)
from monitor.core import format
from monitor.core.errors import SettingsError
from monitor.core.sanitize import clean
from monitor.core.state import State

DEFAULT: Final = "{name} {5h.used} {5h.resets_in} {7d.used} {7d.resets_in}"
"""The format of a stream of lines whose user names none."""

MISSING: Final = "–"
_MARK: Final = "*"
_MOST: Final = 200
"""Characters that a field can be made wide, and decimals that a number can be asked for."""

_PIECE: Final = re.compile(
    r"(?P<brace>\{\{|\}\})"
    r"|\{(?P<field>[^{}!:]*)(?:!(?P<conversion>[^{}:]*))?(?::(?P<spec>[^{}]*))?\}"
    r"|(?P<text>[^{}]+)"
    r"|(?P<lone>[{}])"
)
_SPEC: Final = re.compile(
    r"(?:(?P<fill>[^{}])?(?P<align>[<>^]))?(?P<width>\d{1,3})?(?:\.(?P<precision>\d{1,2}))?"
)
_UNSPEAKABLE: Final = re.compile("[\ud800-\udfff]")
_WINDOW: Final = re.compile(rf"5h|7d(?:_\w+)?|{WORST}")


def _json_text(text: str) -> str:
    """Fit to stand between the quotes of a JSON string."""
    return json.dumps(text)[1:-1]


def _tmux_text(text: str) -> str:
    """With nothing that tmux takes for a style or a command."""
    return text.replace("#", "##")


ESCAPES: Final[Mapping[str, Callable[[str], str]]] = {
    "": str,
    "j": _json_text,
    "x": escape,
    "t": _tmux_text,
}
"""The conversions: `!j` for JSON, `!x` for the markup of bars, `!t` for tmux."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a format, with its conversion, and the room that it takes; `precision` is None where unsaid."""

    shows: Property
    conversion: str = ""
    fill: str = " "
    align: str = ""
    width: int = 0
    precision: int | None = None

    def text(self, subject: Subject) -> str:
        """The value as the format wants it; in JSON, numbers and flags are words of their own."""
        value = self.shows.read(subject)
        if self.conversion == "j" and self.shows.kind in (Kind.NUMBER, Kind.FLAG):
            return self._literal(value)
        if self.shows.kind is Kind.BAR:
            return _bar(value, self.width or format.BAR_CELLS)
        text = ESCAPES[self.conversion](self._plain(value))
        align = self.align or (">" if self.shows.kind is Kind.NUMBER else "<")
        return f"{text:{self.fill}{align}{self.width}}" if self.width else text

    def _plain(self, value: Value) -> str:
        if value is None:
            return MISSING
        if self.shows.kind is Kind.FLAG:
            return _MARK if value else ""
        return self._figure(value) if isinstance(value, float | int) else value[: self.precision]

    def _literal(self, value: Value) -> str:
        if value is None:
            return "null"
        if isinstance(value, bool):
            return "true" if value else "false"
        return self._figure(float(value))

    def _figure(self, value: float) -> str:
        """Rounded down, as in the table: 99.6 % is not 100 %."""
        decimals = self.shows.decimals if self.precision is None else self.precision
        scale = 10**decimals
        return f"{math.floor(round(value * scale, 6)) / scale:.{decimals}f}"


def _bar(value: Value, cells: int) -> str:
    if not isinstance(value, float | int):
        return format.NO_BAR_CELL * cells
    filled = format.filled_cells(value, cells)
    return format.FULL_CELL * filled + format.EMPTY_CELL * (cells - filled)


@dataclass(frozen=True, slots=True)
class Format:
    """A format that has been understood: pieces of text, and fields."""

    pieces: tuple[str | Field, ...]


def parse_format(text: str) -> Format:
    """Fields stand in braces, `{{` and `}}` are braces. Raises SettingsError that names the field and its place."""
    speakable = _UNSPEAKABLE.sub("\N{REPLACEMENT CHARACTER}", text)
    return Format(tuple(_piece(found) for found in _PIECE.finditer(speakable)))


def render_line(
    form: Format, state: State, account: str, now: datetime, tz: tzinfo | None = None
) -> str:
    """The line of the account with this name, without a newline at its end; clock times are told in `tz`."""
    subject = Subject(state, account, now, tz)
    return "".join(
        piece if isinstance(piece, str) else piece.text(subject) for piece in form.pieces
    )


def _piece(found: re.Match[str]) -> str | Field:
    if found["brace"]:
        return found["brace"][0]
    if found["text"]:
        return found["text"]
    place = found.start() + 1
    if found["lone"]:
        raise _wrong(f"a single {found['lone']} at character {place}: write it twice for a brace")
    return _field(found, place)


def _field(found: re.Match[str], place: int) -> Field:
    shows = _property(found["field"].strip(), place)
    conversion = found["conversion"] or ""
    if conversion not in ESCAPES:
        known = ", ".join(f"!{letter}" for letter in ESCAPES if letter)
        raise _wrong(f"no conversion !{clean(conversion)} at character {place}: there are {known}")
    spec = _SPEC.fullmatch(found["spec"] or "")
    if spec is None:
        raise _wrong(
            f"not a width: {clean(found['spec'])!r} at character {place}: say 8, >8, .2, 8.2"
        )
    return Field(
        shows,
        conversion,
        fill=spec["fill"] or " ",
        align=spec["align"] or "",
        width=min(int(spec["width"] or 0), _MOST),
        precision=None if spec["precision"] is None else int(spec["precision"]),
    )


def _property(name: str, place: int) -> Property:
    window, _, rest = name.rpartition(".")
    if name in ACCOUNT_FIELDS:
        return ACCOUNT_FIELDS[name]
    if rest in WINDOW_FIELDS and _WINDOW.fullmatch(window):
        return WINDOW_FIELDS[rest].of(window)
    raise _wrong(f"no field {{{clean(name)}}} at character {place}: {_advice(name)}")


def _advice(name: str) -> str:
    """The nearest field, and all that there are."""
    known = [*ACCOUNT_FIELDS, *(f"{w}.{field}" for w in _windows(name) for field in WINDOW_FIELDS)]
    near = get_close_matches(name, known, n=1)
    meant = f"did you mean {{{near[0]}}}? " if near else ""
    return (
        f"{meant}there are {', '.join(ACCOUNT_FIELDS)}; "
        f"and of a window (5h, 7d, 7d_opus, {WORST}), as in {{5h.percent}}: {', '.join(WINDOW_FIELDS)}"
    )


def _windows(name: str) -> Sequence[str]:
    window = name.partition(".")[0]
    return (window,) if _WINDOW.fullmatch(window) else ("5h", "7d", WORST)


def _wrong(what: str) -> SettingsError:
    return SettingsError(f"--format: {what}")

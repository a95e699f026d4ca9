"""Declares settings: tables of keys, and a parser for each kind of value. Pure.

A parser takes a value of `tomllib` and returns the typed one; its error has the key's path, so that the line in the
file is looked up only when there is an error to report.

Why no library: msgspec 0.22 and cattrs 26.2 were tried (import 28 ms and 43 ms, beside 15 ms for `dataclasses`).
msgspec gives the path as a part of its sentence, and not the names of a map's keys (`$.rules[...].on`); cattrs takes
"6", true and 60.5 for whole numbers unless each type is told not to. Either would leave suggestions, bounds, plain
words and what must not be shown to code of the size of this.
"""

import difflib
import ipaddress
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, time, timedelta, tzinfo
from pathlib import PurePosixPath
from typing import Any, Final, Generic, TypeVar

from monitor.core.errors import SettingsError
from monitor.core.limits import is_window_key
from monitor.core.sanitize import holds_secret
from monitor.system.urls import is_loopback, split_url

T = TypeVar("T")
N = TypeVar("N", int, float)

Parser = Callable[[Any], T]
KeyPath = tuple[str | int, ...]
"""Keys and, within arrays, indices: `("accounts", 0, "name")`."""

_TYPES: Final[dict[type, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text in quotes",
    list: "a list",
    dict: "a table",
}
_SECRETS: Final = ("token", "secret", "password", "session_key", "sessionkey", "cookie")

LONGEST_DURATION: Final = timedelta(days=365)

_CONTROL: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
"""Line ends, escapes, halves of characters, and marks that nobody sees or that make text run the other way."""

_PORT_MAX: Final = 65535
_DURATION: Final = re.compile(
    r"(?=\d)(?:(?P<days>\d{1,5})d)?(?:(?P<hours>\d{1,5})h)?"
    r"(?:(?P<minutes>\d{1,6})m)?(?:(?P<seconds>\d{1,8})s)?",
    re.ASCII,
)
_TIME: Final = r"([01]?\d|2[0-3]):([0-5]\d)"
_QUIET: Final = re.compile(rf"{_TIME}\s*-\s*{_TIME}", re.ASCII)


class InvalidValueError(SettingsError):
    """A key or value that is not accepted, at `path` below what was parsed; a `hidden` value must not be shown.

    The text names neither file nor key, so that dialogs and the command line can show it too.
    """

    def __init__(self, words: str, *path: str | int, hidden: bool = False) -> None:
        super().__init__(words)
        self.path: KeyPath = path
        self.hidden = hidden


def parse_at(part: str | int, parse: Parser[T], value: Any) -> T:
    """Parse a value, and put this key or index in front of the path of an error."""
    try:
        return parse(value)
    except InvalidValueError as error:
        error.path = (part, *error.path)
        raise


def key(parse: Parser[T], default: T, *, table: str = "") -> T:
    """Declare a field of a dataclass that is a key of the same name; `table` is the table that it stands in, if any."""
    made: T = field(default_factory=lambda: default, metadata={"parse": parse, "table": table})
    return made


def required_key(parse: Parser[T], missing: str) -> T:
    """Declare a field whose key must be there; `missing` is the error that says what to add."""
    made: T = field(metadata={"parse": parse, "table": "", "missing": missing})
    return made


def keys_of(schema: type, table: str = "") -> dict[str, Parser[Any]]:
    """Return the parsers of the keys that a dataclass declares."""
    declared = {each.name: each.metadata for each in fields(schema)}
    return {name: one["parse"] for name, one in declared.items() if one.get("table") == table}


@dataclass(frozen=True, slots=True)
class Table(Generic[T]):
    """Parses a table: `make` gets the values that the file has, by name; `required` has the errors for missing keys."""

    keys: Mapping[str, Parser[Any]]
    make: Callable[..., T]
    required: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, value: Any) -> T:
        values = check_type(dict, value)
        for name in values:
            if name not in self.keys:
                raise InvalidValueError(_unknown(name, self.keys), name, hidden=True)
        for name, missing in self.required.items():
            if name not in values:
                raise InvalidValueError(missing)
        known = {name: parse for name, parse in self.keys.items() if name in values}
        return self.make(
            **{name: parse_at(name, parse, values[name]) for name, parse in known.items()}
        )


def table(schema: type[T]) -> Table[T]:
    """Make a parser of a table whose keys are the fields of a dataclass."""
    kind: type = schema
    required = {f.name: f.metadata["missing"] for f in fields(kind) if "missing" in f.metadata}
    return Table(keys_of(schema), schema, required)


def check_type(kind: type[T], value: Any) -> T:
    """Return the value if it has that TOML type: a whole number is a number, but true is neither."""
    allowed: tuple[type[Any], ...] = (int, float) if kind is float else (kind,)
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        found = "a decimal number" if isinstance(value, float) else _TYPES.get(type(value))
        raise InvalidValueError(f"must be {_TYPES[kind]}, not {found or 'a date or time'}")
    of_kind: T = value
    return of_kind


def flag(value: Any) -> bool:
    """Parse true or false."""
    return check_type(bool, value)


def text(check: Callable[[str], T]) -> Parser[T]:
    """Make a parser of a text, which the function parses."""
    return lambda value: check(check_type(str, value))


def number(kind: type[N], least: float = -math.inf, most: float = math.inf) -> Parser[N]:
    """Make a parser of a number in that range, both ends included."""

    def parse(value: Any) -> N:
        found: N = check_type(kind, value)
        if least <= found <= most:
            return found
        if math.isinf(most):
            raise InvalidValueError(f"must be at least {least}")
        if math.isinf(least):
            raise InvalidValueError(f"must be at most {most}")
        raise InvalidValueError(f"must be from {least} to {most}")

    return parse


def items(parse: Parser[T], *, if_empty: str = "") -> Parser[tuple[T, ...]]:
    """Make a parser of a list of different items; an empty list is an error with the words `if_empty`, if any."""

    def parse_all(value: Any) -> tuple[T, ...]:
        found = tuple(
            parse_at(place, parse, item) for place, item in enumerate(check_type(list, value))
        )
        for place, item in enumerate(found):
            if item in found[:place]:
                raise InvalidValueError("is here a second time: remove one", place)
        if if_empty and not found:
            raise InvalidValueError(if_empty)
        return found

    return parse_all


def reject_key(words: str) -> Parser[Any]:
    """Make a parser that refuses any value: the key would change nothing, and nobody would notice."""

    def parse(_: Any) -> Any:
        raise InvalidValueError(words)

    return parse


def _unknown(name: str, known: Collection[str]) -> str:
    if _is_secret(name) and not _is_secret(_nearest(name, known) or ""):
        return "secrets are not kept in this file: remove it, and use `monitor accounts add`"
    return f"unknown key; {_suggestion(name, known)}"


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _SECRETS)


def _nearest(word: str, known: Collection[str]) -> str | None:
    """Return the known word that may have been meant."""
    return next(iter(difflib.get_close_matches(word.lower(), list(known), n=1)), None)


def _suggestion(word: str, known: Collection[str]) -> str:
    """Suggest the known word that may have been meant, else all of them."""
    near = _nearest(word, known)
    return f"did you mean {near}?" if near else f"known here: {', '.join(known)}"


def choice(what: str, known: Iterable[T]) -> Callable[[str], T]:
    """Make a parser of one word out of several: the texts of these values."""
    words = {str(each): each for each in known}

    def parse(word: str) -> T:
        if word not in words:
            raise InvalidValueError(f"no such {what}; {_suggestion(word, words)}")
        return words[word]

    return parse


# Names


def refuse_secret(text: str, what: str) -> None:
    """Raise InvalidValueError, which repeats nothing, where the text holds a token or session key."""
    if holds_secret(text):
        raise InvalidValueError(
            f"{what} is public, and this is a session key or token: enter it where `monitor accounts add` asks for it",
            hidden=True,
        )


def check_name(name: str, what: str = "the name") -> str:
    """Check a name, which must be safe in tables, metrics and notifications."""
    refuse_secret(name, what)
    if not name.strip():
        raise InvalidValueError(f"{what} is empty: give one, such as an e-mail address")
    if name != name.strip():
        raise InvalidValueError(f"{what} begins or ends with a space: remove it")
    if _CONTROL.search(name):
        raise InvalidValueError(f"{what} contains an invisible control character: type it again")
    return name


def check_org_id(org_id: str) -> str:
    """Check an organization's id, which becomes part of a URL; empty where it is not known."""
    refuse_secret(org_id, "an organization id")
    if not re.fullmatch(r"[A-Za-z0-9_.-]*", org_id) or org_id in (".", ".."):
        raise InvalidValueError(
            "an organization id has only letters, digits, dots and dashes: copy it again"
        )
    return org_id


def check_window(window: str) -> str:
    """Check the name of a window that a rule may be about."""
    if not is_window_key(window):
        raise InvalidValueError(
            'no window: write "5h", "7d", or 7d_ and a model\'s name, such as "7d_opus"'
        )
    return window


def check_config_dir(folder: str) -> str:
    """Check a folder of Claude Code, and keep its spelling: on macOS each spelling is a login of its own."""
    if not folder.strip():
        raise InvalidValueError('is empty: write a folder such as "~/.claude-work", or remove it')
    if _CONTROL.search(folder):
        raise InvalidValueError("contains an invisible control character: type it again")
    if not (folder.startswith("~") or PurePosixPath(folder).is_absolute()):
        raise InvalidValueError(
            'depends on where the program is started: write the whole path, or one from "~/" on'
        )
    return folder


# Addresses


@dataclass(frozen=True, slots=True)
class Address:
    """The address that `/metrics` is served on; none if `host` is None. Port 0 is any free one."""

    host: str | None = "127.0.0.1"
    port: int | None = 15707


def parse_listen(text: str) -> Address:
    """Parse `HOST:PORT`, with an IPv6 address in brackets; `:PORT` for all addresses of the machine; or `off`."""
    if text == "off":
        return Address(host=None, port=None)
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/\[\]]*)):([0-9]{1,5})", text)
    if match is None or int(match[3]) > _PORT_MAX or not _is_host(match[1], match[2]):
        raise InvalidValueError(
            'not an address to listen on: write HOST:PORT, such as "127.0.0.1:15707" or '
            '"[::1]:15707", or "off" to serve nothing'
        )
    return Address(host=match[1] or match[2], port=int(match[3]))


def _is_host(bracketed: str | None, plain: str) -> bool:
    try:
        if bracketed is not None:
            ipaddress.IPv6Address(bracketed)
        elif re.fullmatch(r"[0-9.]+", plain):
            ipaddress.IPv4Address(plain)
    except ValueError:
        return False
    return bracketed is not None or bool(re.fullmatch(r"[A-Za-z0-9._-]*", plain))


def check_host(pattern: str) -> str:
    """Check a name, an address or a pattern such as "*.svc.cluster.local" for the `Host` of requests."""
    if not re.fullmatch(r"[A-Za-z0-9._*?-]+|[0-9A-Fa-f:.]+|\[[0-9A-Fa-f:.]+\]", pattern):
        raise InvalidValueError(
            "not a host name: write it without scheme and port, such as "
            '"box.lan", "*.svc.cluster.local" or "*"'
        )
    return pattern


def check_web_config(path: str) -> str:
    """Check the path of a `web.yml`; a relative one is beside the settings file."""
    if not path.strip() or _CONTROL.search(path):
        raise InvalidValueError('not a path: write one such as "web.yml", or remove it')
    return path


def safe_url(why: str, example: str, *, is_base: bool = True) -> Callable[[str], str]:
    """Make a check of URLs that send nothing in the clear: https, or http on a loopback address.

    A base loses its trailing slash. Other URLs are kept exactly as they are, and may have a query.
    """

    def check(url: str) -> str:
        parts = split_url(url)
        if parts is None or not parts.hostname:
            raise InvalidValueError(f"not a URL: write one such as {example}")
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
            raise InvalidValueError(f"{why}: use https (http only on a loopback address)")
        excess = parts.username or parts.password or parts.fragment
        if is_base and (excess or parts.query):
            raise InvalidValueError("a URL here has no user, query or fragment: leave those out")
        if excess:
            raise InvalidValueError(
                "a webhook's URL has no user or fragment: leave those out, and name a keyring entry as token"
            )
        return url.rstrip("/") if is_base else url

    return check


def check_user_agent(text: str) -> str:
    """Check a text for a header: printable ASCII."""
    if not re.fullmatch(r"[!-~]([ -~]*[!-~])?", text):
        raise InvalidValueError("a user agent is made of plain ASCII characters on one line")
    return text


# Times


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Quiet hours in local time; an end that is not after the start is on the next day."""

    start: time
    end: time

    def until(self, now: datetime, zone: tzinfo | None = None) -> datetime | None:
        """Return the end of the quiet hours that `now` is in, else None; a `zone` of None is the machine's."""
        local = now.astimezone(zone).replace(tzinfo=None)
        for day in (local.date() - timedelta(days=1), local.date()):
            start = datetime.combine(day, self.start)
            last = day if self.start < self.end else day + timedelta(days=1)
            end = datetime.combine(last, self.end)
            if start <= local < end:
                return (end if zone is None else end.replace(tzinfo=zone)).astimezone(now.tzinfo)
        return None


def parse_quiet_hours(text: str) -> QuietHours:
    """Parse `22:00-07:00`."""
    match = _QUIET.fullmatch(text.strip())
    if match is None:
        raise InvalidValueError('not two times of day: write "22:00-07:00"; midnight is 00:00')
    hour, minute, end_hour, end_minute = map(int, match.groups())
    start, end = time(hour, minute), time(end_hour, end_minute)
    if start == end:
        raise InvalidValueError("begin and end at the same time: write two different ones")
    return QuietHours(start, end)


def parse_duration(text: str, longest: timedelta = LONGEST_DURATION) -> timedelta:
    """Parse `30s`, `10m`, `2h`, `1d`, or several of these, the largest first: `1h30m`."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise InvalidValueError('not a duration: write one such as "30s", "10m", "2h" or "1d"')
    amounts = {unit: int(amount) for unit, amount in match.groupdict().items() if amount}
    duration = timedelta(**amounts)
    if duration > longest:
        raise InvalidValueError(f"too long: {longest.days}d is the most")
    return duration


def parse_since(text: str, now: datetime, zone: tzinfo | None = None) -> datetime:
    """Parse a duration back from `now`, or an ISO 8601 instant up to now; without an offset it is in `zone` (None: the
    machine's).
    """
    if _DURATION.fullmatch(text):
        return now - parse_duration(text, timedelta.max)
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is None and zone is not None:
            instant = instant.replace(tzinfo=zone)
        instant = instant.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidValueError(
            f'"{text}" is neither a duration nor a date: write one such as 12h, 7d or 2026-11-22T08:00'
        ) from None
    if instant > now:
        raise InvalidValueError(f'"{text}" is in the future')
    return instant

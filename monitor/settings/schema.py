"""The language in which settings are declared: a `Key` per TOML key, a parser per type, and tables of keys.

A parser takes what `tomllib` made of a value and returns ours; its error knows the key's path, so that a line of
the file is looked for only once there is an error to report.

Why no library: msgspec 0.22 and cattrs 26.2 were tried (import 28 ms and 43 ms, beside 15 ms for `dataclasses`).
msgspec gives the path as a part of its sentence, and not the names of a map's keys (`$.rules[...].on`); cattrs takes
"6", true and 60.5 for whole numbers unless each type is told not to. Either would leave suggestions, bounds, plain
words and what must not be shown to code of the size of this.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Generic, TypeVar

from monitor.core.errors import SettingsError
from monitor.settings.values import MisplacedSecretError, suggestion

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


class InvalidValueError(SettingsError):
    """A key or value that is not accepted, at `path` below what was parsed; one that is `hidden` is not to be shown."""

    def __init__(self, words: str, *path: str | int, hidden: bool = False) -> None:
        super().__init__(words)
        self.path: KeyPath = path
        self.hidden = hidden


def parse_at(part: str | int, parse: Parser[T], value: Any) -> T:
    """Parse a value; the error is placed at this key or index."""
    try:
        return parse(value)
    except InvalidValueError as error:
        raise InvalidValueError(str(error), part, *error.path, hidden=error.hidden) from None
    except SettingsError as error:
        hidden = isinstance(error, MisplacedSecretError)
        raise InvalidValueError(str(error), part, hidden=hidden) from None


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its parser, its field where that has another name, and the error if it must not be missing."""

    parse: Parser[Any]
    field: str = ""
    missing: str = ""


def key(parse: Parser[T], default: T, *, table: str = "") -> T:
    """A field of a dataclass that is a key of the same name, in a table of its own where that is named."""
    made: T = field(default_factory=lambda: default, metadata={"parse": parse, "table": table})
    return made


def required(parse: Parser[T], missing: str) -> T:
    """A field whose key must be there; `missing` says what to add."""
    made: T = field(metadata={"parse": parse, "table": "", "missing": missing})
    return made


def keys_of(schema: type, table: str = "") -> dict[str, Key]:
    """The keys that a dataclass declares."""
    return {
        each.name: Key(each.metadata["parse"], missing=each.metadata.get("missing", ""))
        for each in fields(schema)
        if each.metadata.get("table") == table
    }


@dataclass(frozen=True, slots=True)
class Table(Generic[T]):
    """A parser of a table: `make` gets the values that the file has, by field."""

    keys: Mapping[str, Key]
    make: Callable[[dict[str, Any]], T]

    def __call__(self, value: Any) -> T:
        values = typed(dict, value)
        for name in values:
            if name not in self.keys:
                raise InvalidValueError(_unknown(name, self.keys), name, hidden=True)
        for name, key in self.keys.items():
            if key.missing and name not in values:
                raise InvalidValueError(key.missing)
        return self.make(
            {
                key.field or name: parse_at(name, key.parse, values[name])
                for name, key in self.keys.items()
                if name in values
            }
        )


def table(schema: type[T]) -> Table[T]:
    """A table whose keys are a dataclass's fields."""
    return Table(keys_of(schema), lambda given: schema(**given))


def typed(kind: type[T], value: Any) -> T:
    """The value, if it is of that TOML type: a whole number is a number, but true is neither."""
    allowed: tuple[type[Any], ...] = (int, float) if kind is float else (kind,)
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        found = "a decimal number" if isinstance(value, float) else _TYPES.get(type(value))
        raise InvalidValueError(f"must be {_TYPES[kind]}, not {found or 'a date or time'}")
    of_kind: T = value
    return of_kind


def flag(value: Any) -> bool:
    """True or false."""
    return typed(bool, value)


def text(check: Callable[[str], T]) -> Parser[T]:
    """A text, as the function parses it."""
    return lambda value: check(typed(str, value))


def number(kind: type[N], least: float = -math.inf, most: float = math.inf) -> Parser[N]:
    """A number in that range, both ends included."""

    def parse(value: Any) -> N:
        found: N = typed(kind, value)
        if least <= found <= most:
            return found
        if math.isinf(most):
            raise InvalidValueError(f"must be at least {least}")
        if math.isinf(least):
            raise InvalidValueError(f"must be at most {most}")
        raise InvalidValueError(f"must be from {least} to {most}")

    return parse


def items(parse: Parser[T], *, if_empty: str = "") -> Parser[tuple[T, ...]]:
    """A list of different items; an empty one is refused where there are words for it."""

    def parse_all(value: Any) -> tuple[T, ...]:
        found = tuple(parse_at(place, parse, item) for place, item in enumerate(typed(list, value)))
        for place, item in enumerate(found):
            if item in found[:place]:
                raise InvalidValueError("is here a second time: remove one", place)
        if if_empty and not found:
            raise InvalidValueError(if_empty)
        return found

    return parse_all


def refused(words: str) -> Parser[Any]:
    """No value at all: the key would change nothing, which is an error rather than a surprise."""

    def parse(_: Any) -> Any:
        raise InvalidValueError(words)

    return parse


def _unknown(name: str, known: Mapping[str, Key]) -> str:
    words = suggestion(name, known)
    meant = words.removeprefix("did you mean ") if words.startswith("did") else ""
    if _is_secret(name) and not _is_secret(meant):
        return "secrets are not kept in this file: remove it, and use `monitor accounts add`"
    return f"unknown key; {words}"


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _SECRETS)

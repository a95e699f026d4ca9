"""One TOML table, read key by key with the type that is expected; anything else is an error that points there."""

import difflib
import math
from collections.abc import Callable, Sequence
from typing import Any, Final, ParamSpec, TypeVar

from monitor.core.errors import SettingsError
from monitor.settings.errors import Source
from monitor.settings.spans import KeyPath

T = TypeVar("T")
N = TypeVar("N", int, float)
P = ParamSpec("P")

_TYPES: Final[dict[type, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text in quotes",
    list: "a list",
    dict: "a table",
}
_SECRETS: Final = ("token", "secret", "password", "session_key", "sessionkey", "cookie")


class Table:
    """A table of a source, at `path` in it. Every method raises SettingsError."""

    def __init__(self, source: Source, path: KeyPath, values: dict[str, Any], *keys: str) -> None:
        self._source = source
        self._path = path
        self._values = values
        self._refuse_others(keys)

    def _refuse_others(self, known: Sequence[str]) -> None:
        for key in self._values:
            if key not in known:
                raise self._source.unknown((*self._path, key), _unknown_words(key, known))

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def holds(self, key: str, kind: type) -> bool:
        """Whether the key is there, with a value of that type."""
        return isinstance(self._values.get(key), kind)

    def line(self, key: str) -> str:
        """File and line of the key."""
        return self._source.line((*self._path, key))

    def error(self, words: str, *key: str | int) -> SettingsError:
        return self._source.error((*self._path, *key), words)

    def hidden_error(self, words: str, key: str) -> SettingsError:
        """An error about a value that is not to be shown."""
        return self._source.unknown((*self._path, key), words)

    def checked(self, key: str, check: Callable[P, T], *values: P.args, **options: P.kwargs) -> T:
        """What the check returns; its error is placed at the key."""
        try:
            return check(*values, **options)
        except SettingsError as error:
            raise self.error(str(error), key) from None

    def value(self, key: str, kind: type[T], default: T) -> T:
        if key not in self._values:
            return default
        return self._typed(self._values[key], kind, key)

    def text(self, key: str, default: T, check: Callable[[str], T]) -> T:
        """What the check makes of the text."""
        if key not in self._values:
            return default
        return self.checked(key, check, self.value(key, str, ""))

    def number(self, key: str, kind: type[N], default: N, least: float, most: float) -> N:
        """A number in that range, both ends included."""
        value = self.value(key, kind, default)
        if not least <= value <= most:
            raise self.error(_range_words(least, most), key)
        return value

    def items(self, key: str, kind: type[T], default: Sequence[T] = ()) -> list[T]:
        """A list whose items are all of one type."""
        if key not in self._values:
            return list(default)
        items = self._typed(self._values[key], list, key)
        return [self._typed(item, kind, key, place) for place, item in enumerate(items)]

    def table(self, key: str, *keys: str) -> "Table":
        return Table(self._source, (*self._path, key), self.value(key, dict, {}), *keys)

    def tables(self, key: str, *keys: str) -> list["Table"]:
        """The tables of an array of tables."""
        if isinstance(self._values.get(key), dict):
            raise self.error(f"write [[{key}]], in two brackets, for each of them", key)
        path = (*self._path, key)
        found = enumerate(self.items(key, dict))
        return [Table(self._source, (*path, place), values, *keys) for place, values in found]

    def _typed(self, value: Any, kind: type[T], *key: str | int) -> T:
        """The value, if it is of that type: a whole number is a number, but true is neither."""
        allowed: tuple[type[Any], ...] = (int, float) if kind is float else (kind,)
        if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
            raise self.error(f"must be {_TYPES[kind]}, not {_type_word(value)}", *key)
        typed: T = value
        return typed


def suggestion(word: str, known: Sequence[str]) -> str:
    """Which of the known words may have been meant."""
    near = difflib.get_close_matches(word.lower(), known, n=1)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"


def _unknown_words(key: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key.lower(), known, n=1)
    if _is_secret(key) and not (near and _is_secret(near[0])):
        return "secrets are not kept in this file: remove it, and use `monitor accounts add`"
    return f"unknown key; {suggestion(key, known)}"


def _is_secret(key: str) -> bool:
    return any(word in key.lower() for word in _SECRETS)


def _range_words(least: float, most: float) -> str:
    if math.isinf(most):
        return f"must be at least {_plain(least)}"
    if math.isinf(least):
        return f"must be at most {_plain(most)}"
    return f"must be from {_plain(least)} to {_plain(most)}"


def _plain(number: float) -> str:
    """As a person writes it: all digits of a large one."""
    return str(int(number)) if number == int(number) else str(number)


def _type_word(value: object) -> str:
    if isinstance(value, float):
        return "a decimal number"
    return _TYPES.get(type(value), "a date or time")

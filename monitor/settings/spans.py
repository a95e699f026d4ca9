"""Where every key and table of a TOML text stands. Takes a text that `tomllib` has accepted; judges nothing.

`tomllib` gives values without their places, and `tomlkit` writes a text anew in ways that move or drop
comments and tables; with places, errors can point and edits can leave every other byte alone.
"""

import re
import tomllib
from dataclasses import dataclass, replace
from typing import Final

KeyPath = tuple[str | int, ...]
"""Keys and, within arrays, indices: `("accounts", 0, "name")`."""

_TRIVIA: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_STRING: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}' r"|'''.*?'{3,5}" r'|"(?:\\.|[^"\\])*"' r"|'[^']*'", re.DOTALL
)
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR: Final = re.compile(r"[^\r\n,\]}#]+")


@dataclass(frozen=True, slots=True)
class SourceSpan:
    """Offsets into the text. A key: its name, and its value from `value` to `end`.

    A table: its header, up to `value`, and what belongs to it, up to the `end` of its last statement.
    """

    start: int
    value: int
    end: int


Places = dict[KeyPath, SourceSpan]


def places_in(text: str) -> Places:
    """The place of every key, table and array item. A table without a header of its own has its first key's."""
    return _Reader(text).document()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._places: Places = {}
        self._lengths: dict[KeyPath, int] = {}

    def document(self) -> Places:
        table: KeyPath = ()
        while self._skip(_TRIVIA) < len(self._text):
            if self._next() == "[":
                table = self._header()
            else:
                self._statement(table)
                self._stretch(table)
        return self._places

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return self._at

    def _taken(self, pattern: re.Pattern[str]) -> str:
        start = self._at
        return self._text[start : self._skip(pattern)]

    def _header(self) -> KeyPath:
        start = self._at
        array = self._text.startswith("[[", start)
        self._at += 2 if array else 1
        path = self._resolved(self._keys(), array)
        self._at += 2 if array else 1
        self._note(path, SourceSpan(start, self._at, self._at))
        return path

    def _resolved(self, keys: list[str], array: bool) -> KeyPath:
        """The path of a header: an array's name stands for its newest item."""
        path: KeyPath = ()
        for key in keys[:-1]:
            path = self._newest((*path, key))
        path = (*path, keys[-1])
        if not array:
            return path
        self._lengths[path] = self._lengths.get(path, 0) + 1
        return self._newest(path)

    def _newest(self, path: KeyPath) -> KeyPath:
        return (*path, self._lengths[path] - 1) if path in self._lengths else path

    def _keys(self) -> list[str]:
        keys = [self._key()]
        while self._next() == ".":
            self._at += 1
            keys.append(self._key())
        return keys

    def _key(self) -> str:
        self._skip(_SPACE)
        quoted = self._next() in "\"'"
        text = self._taken(_STRING if quoted else _BARE_KEY)
        self._skip(_SPACE)
        return next(iter(tomllib.loads(f"{text} = 0"))) if quoted else text

    def _statement(self, table: KeyPath) -> None:
        start = self._at
        path = (*table, *self._keys())
        self._at += 1  # the equals sign
        value = self._skip(_SPACE)
        self._value(path)
        self._note(path, SourceSpan(start, value, self._at))

    def _value(self, path: KeyPath) -> None:
        if self._next() == "[":
            self._items(path)
        elif self._next() == "{":
            self._inline_table(path)
        elif self._next() in "\"'":
            self._skip(_STRING)
        else:
            self._scalar()

    def _scalar(self) -> None:
        """A date may hold a space, so the end is only known from what follows."""
        text = self._taken(_SCALAR)
        self._at -= len(text) - len(text.rstrip())

    def _items(self, path: KeyPath) -> None:
        self._at += 1
        index = 0
        while self._skip(_TRIVIA) < len(self._text) and self._next() != "]":
            start = self._at
            self._value((*path, index))
            self._note((*path, index), SourceSpan(start, start, self._at))
            self._comma()
            index += 1
        self._at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self._at += 1
        while self._skip(_TRIVIA) < len(self._text) and self._next() != "}":
            self._statement(path)
            self._comma()
        self._at += 1

    def _comma(self) -> None:
        self._skip(_TRIVIA)
        if self._next() == ",":
            self._at += 1

    def _note(self, path: KeyPath, place: SourceSpan) -> None:
        self._places[path] = place
        for length in range(1, len(path)):
            self._places.setdefault(path[:length], place)

    def _stretch(self, table: KeyPath) -> None:
        if table:
            self._places[table] = replace(self._places[table], end=self._at)

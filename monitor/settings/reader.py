"""From the settings file to `Settings`: where it is, what is in it, and errors that point into it. Changes nothing.

`tomllib` gives values without their places, and `tomlkit` keeps them to itself: `places_in` finds them, once there is
an error to report, or a table to edit.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from monitor.core.errors import SettingsError
from monitor.core.sanitize import printable
from monitor.core.schedule import over_budget
from monitor.paths import state_folder
from monitor.settings.model import FILE, REMOTE_CHANNELS, Settings
from monitor.settings.schema import InvalidValueError, KeyPath
from monitor.system.files import read_regular

_WIDTH: Final = 90
_SECRET: Final = re.compile(r"(?i)sk-[\w-]+")
_URL: Final = re.compile(r"(?<=://)([^/\s\"'@?#]*)([^\s\"']*)")
_TOMLLIB_ERROR: Final = re.compile(
    r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.S
)

_WORDS: Final = {
    "Invalid value": "not a value: text is in quotes, numbers are plain, true and false in lower case",
    "Invalid statement": "neither a key nor a table: write key = value, or [table]",
    "Expected '=' after a key": "a key without a value: write key = value",
    "Expected newline or end of document": "not a value, or more than one on this line",
    "Cannot overwrite a value": "this name is here a second time: remove one of the two",
    "Cannot declare": "this table is here a second time: merge the two",
    "Cannot mutate immutable namespace": "this name is here a second time: merge the two",
    "Cannot redefine namespace": "this table is here a second time: merge the two",
    "Duplicate inline table key": "this name is here a second time: remove one of the two",
    "Unclosed array": "a list needs a comma between its items, and a ] at its end",
    "Unclosed inline table": "a table in braces needs a } at its end",
    "Unterminated string": "text without its closing quote",
    'Expected "\'"': "text without its closing quote",
    "Illegal character '\\n'": "text without its closing quote",
    "Found invalid character '\\n'": "text without its closing quote",
    "Illegal character": "an invisible control character: remove it",
    "Found invalid character": "an invisible control character: remove it",
    "Unescaped '\\' in a string": "a lone backslash: double it, or put the text in 'single quotes'",
    "Invalid hex value": "a lone backslash: double it, or put the text in 'single quotes'",
    "Expected ']' at the end": "a table's name needs a ] at its end",
    "Expected ']]' at the end": "the name of an array's table needs a ]] at its end",
    "Invalid initial character": "not a name: use letters, digits, - and _",
}
"""tomllib's messages, by their beginnings, in words for somebody who does not know TOML's grammar."""


def state_db(environ: Mapping[str, str]) -> Path:
    """The state database, which all settings files share; `instance_key` tells their rows apart. It need not exist."""
    return Path(state_folder(environ)) / "state.db"


def load(path: Path) -> Settings:
    """The settings of the file, or the defaults where there is none. Raises SettingsError."""
    try:
        return parse(read_regular(path), path)
    except FileNotFoundError:
        return Settings(path)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None


def parse(content: bytes, path: Path) -> Settings:
    """The settings in this content; `path` is what errors call it. Raises SettingsError."""
    try:
        source = Source(path, content.decode("utf-8-sig"))  # some editors put a mark in front
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{path}:{line}: not UTF-8 text: save the file as UTF-8") from None
    document = source.document()
    try:
        given = FILE(document)
        accounts = given.pop("accounts", ())
        settings = Settings(
            path,
            **given.pop("settings", {}),
            **given,
            accounts=tuple([account for account, _ in accounts]),
            overrides={account.name: override for account, override in accounts if override},
        )
        _check_references(settings)
    except InvalidValueError as error:
        raise source.error(error.path, str(error), hidden=error.hidden) from None
    used = settings.poll_interval_secs
    told = document.get("settings", {}).get("poll_interval_secs", used)
    short = f"poll_interval_secs = {told} is too short: {used} is used" if told < used else ""
    warnings = [*filter(None, (short, over_budget(timedelta(seconds=used))))]
    if not warnings:
        return settings
    at = source.line(("settings", "poll_interval_secs"))
    return replace(settings, warnings=tuple([f"{at}: {words}" for words in warnings]))


def _check_references(settings: Settings) -> None:
    """A channel needs its table, and none may send an account's own token anywhere."""
    notifications, channels = settings.notifications, settings.channels
    lists: dict[KeyPath, tuple[str, ...]] = {("notifications", "channels"): notifications.channels}
    for kind, rule in notifications.rules.items():
        lists["notifications", "rules", kind, "channels"] = rule.channels or ()
    for path, names in lists.items():
        for place, name in enumerate(names):
            if name in REMOTE_CHANNELS and getattr(channels, name) is None:
                raise InvalidValueError(f"has no target: add [channels.{name}]", *path, place)
    accounts = {account.name for account in settings.accounts}
    for key, entry in channels.entries.items():
        if entry in accounts:
            words = "this entry holds the token of an account: give the channel one of its own"
            raise InvalidValueError(words, "channels", *key.split("."))


# The text


@dataclass(frozen=True, slots=True)
class Source:
    """One settings text, with the path that errors name."""

    path: Path
    text: str

    def document(self) -> dict[str, Any]:
        """The text as tomllib reads it. Raises SettingsError where it is no TOML."""
        try:
            return tomllib.loads(self.text)
        except RecursionError:
            raise SettingsError(f"{self.path}: lists are nested too deeply") from None
        except ValueError as error:
            match = _TOMLLIB_ERROR.fullmatch(str(error))
        if match is None:
            raise SettingsError(f"{self.path}: a number is too long")
        words = next((_WORDS[start] for start in _WORDS if match[1].startswith(start)), match[1])
        start = len(self.text.rstrip())
        if match[2]:
            before = self.text.split("\n")[: int(match[2]) - 1]
            start = sum(len(line) + 1 for line in before) + int(match[3]) - 1
        raise self._pointing(start, start + 1, words)

    def error(self, key: KeyPath, words: str, *, hidden: bool = False) -> SettingsError:
        """An error at this key, with its line and carets below it; a `hidden` value is not shown."""
        place = self._place(key)
        if hidden:
            shown = self.text[place.start : place.value].rstrip("= \t")
            start, end = place.start, place.start + len(shown)
        elif place.is_header(self.text):
            start, end = place.start, place.value
        else:
            start, end = place.value, place.end
        parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
        name = printable(_masked("".join(parts)).removeprefix("."))[:_WIDTH]  # `accounts[0].name`
        return self._pointing(start, end, f"{name}: {words}", end if hidden else None)

    def line(self, key: KeyPath) -> str:
        """File and line of the key, as errors name them."""
        return self._line(self._place(key).start)

    def _place(self, key: KeyPath) -> "SourceSpan":
        """The key's place, else that of what is around it."""
        places = places_in(self.text)
        while key and key not in places:
            key = key[:-1]
        return places.get(key, SourceSpan(0, 0, 0))

    def _line(self, at: int) -> str:
        return f"{self.path}:{self.text.count(chr(10), 0, at) + 1}"

    def _pointing(
        self, start: int, end: int, words: str, shown_until: int | None = None
    ) -> SettingsError:
        """The words, the source line without tokens, and carets below what is meant."""
        first = self.text.rfind("\n", 0, start) + 1
        line = self.text[first:shown_until].split("\n")[0].rstrip()
        column = start - first
        excerpt = ""
        if line and column <= _WIDTH:
            shown = printable(_masked(line))[:_WIDTH]
            carets = "^" * max(1, min(end - start, len(shown) - column))
            excerpt = f"    {shown}\n    {' ' * column}{carets}"
        return SettingsError(f"{self._line(start)}: {words}", excerpt=excerpt)


def _masked(text: str) -> str:
    """The text with stars for its tokens, and for all of a URL but its host: a webhook's path is its secret."""

    def mask(url: re.Match[str]) -> str:
        host, rest = url[1], "*" * len(url[2])
        return ("*" * len(host) if url[2].startswith("@") else host) + rest

    return _URL.sub(mask, _SECRET.sub(lambda found: "*" * len(found[0]), text))


# Places

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

    def is_header(self, text: str) -> bool:
        """Return whether this is a table with a header of its own."""
        return self.start < self.value and text.startswith("[", self.start)


Places = dict[KeyPath, SourceSpan]


def places_in(text: str) -> Places:
    """The place of every key, table and array item of a text that `tomllib` has accepted.

    A table without a header of its own has its first key's.
    """
    return _Scanner(text).document()


class _Scanner:
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
                if table:
                    self._places[table] = replace(self._places[table], end=self._at)
        return self._places

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return self._at

    def _header(self) -> KeyPath:
        """The path of the table: an array's name stands for its newest item."""
        start = self._at
        brackets = 2 if self._text.startswith("[[", start) else 1
        self._at += brackets
        path: KeyPath = ()
        *outer, last = self._keys()
        for key in outer:
            path = self._newest((*path, key))
        path = (*path, last)
        if brackets == 2:
            self._lengths[path] = self._lengths.get(path, 0) + 1
            path = self._newest(path)
        self._at += brackets
        self._add(path, SourceSpan(start, self._at, self._at))
        return path

    def _newest(self, path: KeyPath) -> KeyPath:
        return (*path, self._lengths[path] - 1) if path in self._lengths else path

    def _keys(self) -> list[str]:
        """The parts of a dotted key."""
        keys = []
        while True:
            start = self._skip(_SPACE)
            quoted = self._next() in "\"'"
            text = self._text[start : self._skip(_STRING if quoted else _BARE_KEY)]
            keys.append(next(iter(tomllib.loads(f"{text} = 0"))) if quoted else text)
            self._skip(_SPACE)
            if self._next() != ".":
                return keys
            self._at += 1

    def _statement(self, table: KeyPath) -> None:
        start = self._at
        path = (*table, *self._keys())
        self._at += 1  # the equals sign
        value = self._skip(_SPACE)
        self._value(path)
        self._add(path, SourceSpan(start, value, self._at))

    def _value(self, path: KeyPath) -> None:
        opening, place = self._next(), 0
        if opening in ("[", "{"):
            self._at += 1
            while self._skip(_TRIVIA) < len(self._text) and self._next() not in "]}":
                start = self._at
                if opening == "{":
                    self._statement(path)
                else:
                    self._value((*path, place))
                    self._add((*path, place), SourceSpan(start, start, self._at))
                    place += 1
                self._skip(_TRIVIA)
                self._at += self._next() == ","
            self._at += 1
        elif opening in "\"'":
            self._skip(_STRING)
        else:
            # A date may hold a space, so the end is only known from what follows.
            text = self._text[self._at : self._skip(_SCALAR)]
            self._at -= len(text) - len(text.rstrip())

    def _add(self, path: KeyPath, place: SourceSpan) -> None:
        self._places[path] = place
        for length in range(1, len(path)):
            self._places.setdefault(path[:length], place)

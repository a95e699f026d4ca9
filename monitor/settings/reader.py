"""Reads the settings file, and makes errors that point into it.

`tomllib` gives values without their places, and `tomlkit` keeps the places to itself: `places_in` finds them once
there is an error to report, or a table to edit.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from monitor.core.errors import SettingsError
from monitor.core.sanitize import printable
from monitor.core.schedule import warn_over_budget
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
    """Return the path of the state database, which all settings files share; `instance_key` tells their rows apart."""
    return Path(state_folder(environ)) / "state.db"


def load(path: Path) -> Settings:
    """Read the settings file; without one, return the defaults. Raises SettingsError."""
    try:
        return parse(read_regular(path), path)
    except FileNotFoundError:
        return Settings(path)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None


def parse(content: bytes, path: Path) -> Settings:
    """Parse the content of a settings file, which errors call `path`. Raises SettingsError."""
    try:
        source = SourceText(path, content.decode("utf-8-sig"))  # some editors put a mark in front
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
    wanted = document.get("settings", {}).get("poll_interval_secs", used)
    short = f"poll_interval_secs = {wanted} is too short: {used} is used" if wanted < used else ""
    warnings = [*filter(None, (short, warn_over_budget(timedelta(seconds=used))))]
    if not warnings:
        return settings
    at = source.line(("settings", "poll_interval_secs"))
    return replace(settings, warnings=tuple([f"{at}: {words}" for words in warnings]))


def _check_references(settings: Settings) -> None:
    """Raise InvalidValueError where a channel has no table, or would send an account's own token."""
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
            words = "this entry contains the token of an account: give the channel one of its own"
            raise InvalidValueError(words, "channels", *key.split("."))


# The text


@dataclass(frozen=True, slots=True)
class SourceText:
    """One settings text, with the path that errors name."""

    path: Path
    text: str

    def document(self) -> dict[str, Any]:
        """Parse the text as TOML. Raises SettingsError."""
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
        """Make the error at this key, with its line and carets below; a `hidden` value is not shown."""
        place = self._place(key)
        if hidden:
            shown = self.text[place.start : place.value].rstrip("= \t")
            start, end = place.start, place.start + len(shown)
        elif place.is_header(self.text):
            start, end = place.start, place.value
        else:
            start, end = place.value, place.end
        parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
        name = printable(_mask("".join(parts)).removeprefix("."))[:_WIDTH]  # `accounts[0].name`
        return self._pointing(start, end, f"{name}: {words}", end if hidden else None)

    def line(self, key: KeyPath) -> str:
        """Return file and line of the key."""
        return self._line(self._place(key).start)

    def _place(self, key: KeyPath) -> "SourceSpan":
        """Return the key's place, else that of the table around it."""
        places = places_in(self.text)
        while key and key not in places:
            key = key[:-1]
        return places.get(key, SourceSpan(0, 0, 0))

    def _line(self, at: int) -> str:
        return f"{self.path}:{self.text.count(chr(10), 0, at) + 1}"

    def _pointing(
        self, start: int, end: int, words: str, shown_until: int | None = None
    ) -> SettingsError:
        """Make an error with the source line, without tokens, and carets below what is meant."""
        first = self.text.rfind("\n", 0, start) + 1
        line = self.text[first:shown_until].split("\n")[0].rstrip()
        column = start - first
        excerpt = ""
        if line and column <= _WIDTH:
            shown = printable(_mask(line))[:_WIDTH]
            carets = "^" * max(1, min(end - start, len(shown) - column))
            excerpt = f"    {shown}\n    {' ' * column}{carets}"
        return SettingsError(f"{self._line(start)}: {words}", excerpt=excerpt)


def _mask(text: str) -> str:
    """Put stars for tokens, and for all of a URL but its host: a webhook's path is its secret."""

    def mask(url: re.Match[str]) -> str:
        host, rest = url[1], "*" * len(url[2])
        return ("*" * len(host) if url[2].startswith("@") else host) + rest

    return _URL.sub(mask, _SECRET.sub(lambda found: "*" * len(found[0]), text))


# Places

_STRING: Final = r'"""(?:\\.|[^\\])*?"{3,5}' r"|'''.*?'{3,5}" r'|"(?:\\.|[^"\\])*"' r"|'[^']*'"
_NAME: Final = rf"(?:[A-Za-z0-9_-]+|{_STRING})"
_KEY: Final = rf"({_NAME}(?:[ \t]*\.[ \t]*{_NAME})*)[ \t]*"
_HEADER: Final = re.compile(rf"(\[\[?)[ \t]*{_KEY}\]\]?", re.DOTALL)
_ASSIGNMENT: Final = re.compile(rf"{_KEY}=[ \t]*", re.DOTALL)
_SCALAR: Final = re.compile(rf"{_STRING}|[^\r\n,\]}}#]*[^\s,\]}}#]", re.DOTALL)
"""A date may hold a space, so the end of a scalar is only known from what follows."""

_BETWEEN: Final = re.compile(r"(?:[\s,]|#[^\n]*)*")


@dataclass(frozen=True, slots=True)
class SourceSpan:
    """Offsets into the text. A key: its name, and its value from `value` to `end`.

    A table: its header, up to `value`, and what belongs to it, up to the `end` of its last statement.
    """

    start: int
    value: int
    end: int

    def is_header(self, text: str) -> bool:
        """Say whether this is a table with a header of its own."""
        return self.start < self.value and text.startswith("[", self.start)


Places = dict[KeyPath, SourceSpan]


def places_in(text: str) -> Places:
    """Find the place of every key, table and array item in a text that `tomllib` has accepted.

    A table without a header of its own has the place of its first key.
    """
    places: Places = {}
    lengths: dict[KeyPath, int] = {}
    table: KeyPath = ()

    def newest(path: KeyPath) -> KeyPath:
        """Return the path of an array's newest item for the name of an array of tables."""
        return (*path, lengths[path] - 1) if path in lengths else path

    at = _next(_BETWEEN, text, 0).end()
    while at < len(text):
        if header := _HEADER.match(text, at):
            *outer, last = _parts(header[2])
            table = ()
            for key in outer:
                table = newest((*table, key))
            table = (*table, last)
            if header[1] == "[[":
                lengths[table] = lengths.get(table, 0) + 1
                table = newest(table)
            _add(places, table, SourceSpan(at, header.end(), header.end()))
            at = header.end()
        else:
            at = _scan_statement(text, at, table, places)
            if table:
                places[table] = replace(places[table], end=at)
        at = _next(_BETWEEN, text, at).end()
    return places


def _scan_statement(text: str, at: int, table: KeyPath, places: Places) -> int:
    """Add the places of a key and of all in its value; return the end of the value."""
    key = _next(_ASSIGNMENT, text, at)
    path = (*table, *_parts(key[1]))
    end = _scan_value(text, key.end(), path, places)
    _add(places, path, SourceSpan(at, key.end(), end))
    return end


def _scan_value(text: str, at: int, path: KeyPath, places: Places) -> int:
    opening, place = text[at], 0
    if opening not in "[{":
        return _next(_SCALAR, text, at).end()
    at = _next(_BETWEEN, text, at + 1).end()
    while text[at] not in "]}":
        start = at
        if opening == "{":
            at = _scan_statement(text, at, path, places)
        else:
            at = _scan_value(text, at, (*path, place), places)
            _add(places, (*path, place), SourceSpan(start, start, at))
            place += 1
        at = _next(_BETWEEN, text, at).end()
    return at + 1


def _next(pattern: re.Pattern[str], text: str, at: int) -> re.Match[str]:
    """Match what stands here, in a text whose grammar is known to be right."""
    return next(pattern.finditer(text, at))


def _parts(key: str) -> Iterator[str]:
    """Split a dotted key into its names, without their quotes."""
    found: Any = tomllib.loads(f"{key} = 0")
    while isinstance(found, dict):
        ((name, found),) = found.items()
        yield name


def _add(places: Places, path: KeyPath, place: SourceSpan) -> None:
    places[path] = place
    for length in range(1, len(path)):
        places.setdefault(path[:length], place)

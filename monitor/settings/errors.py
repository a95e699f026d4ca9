"""The text of a settings file, and errors that point into it. Knows TOML, but no setting."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from monitor.core.errors import SettingsError
from monitor.core.sanitize import printable
from monitor.settings.spans import KeyPath, SourceSpan, places_in

_WIDTH: Final = 90
_SECRET: Final = re.compile(r"sk-[\w-]+|(?<=://)[^/\s@]+(?=@)")
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


@dataclass(frozen=True, slots=True)
class Source:
    """One settings text, with the path that errors name."""

    path: Path
    text: str

    def document(self) -> dict[str, Any]:
        """What tomllib makes of the text; raises SettingsError where that is nothing."""
        try:
            return tomllib.loads(self.text)
        except RecursionError:
            raise SettingsError(f"{self.path}: lists are nested too deeply") from None
        except ValueError as error:
            raise self._syntax_error(str(error)) from None

    def error(self, key: KeyPath, words: str) -> SettingsError:
        """A wrong value (or table, or item of a list), with its line, and a caret below it."""
        place = self._place(key)
        header = self.text.startswith("[", place.start) and place.start < place.value
        start, end = (place.start, place.value) if header else (place.value, place.end)
        return self._pointing(start, end, f"{render_key(key)}: {words}")

    def line(self, key: KeyPath) -> str:
        """Where the key is, as errors name it."""
        return f"{self.path}:{self._line(self._place(key).start)}"

    def unknown(self, key: KeyPath, words: str) -> SettingsError:
        """A wrong key: its value is not shown, since nobody knows what it is."""
        place = self._place(key)
        name = self.text[place.start : place.value].rstrip("= \t")
        end = place.start + len(name)
        return self._pointing(place.start, end, f"{render_key(key)}: {words}", shown_until=end)

    def _place(self, key: KeyPath) -> SourceSpan:
        """The key's place, else that of what is around it."""
        places = places_in(self.text)
        while key and key not in places:
            key = key[:-1]
        return places.get(key, SourceSpan(0, 0, 0))

    def _syntax_error(self, message: str) -> SettingsError:
        match = _TOMLLIB_ERROR.fullmatch(message)
        if match is None:
            return SettingsError(f"{self.path}: a number is too long")
        words = next((_WORDS[start] for start in _WORDS if match[1].startswith(start)), match[1])
        start = self._offset(int(match[2]), int(match[3])) if match[2] else len(self.text.rstrip())
        return self._pointing(start, start + 1, words)

    def _offset(self, line: int, column: int) -> int:
        before = self.text.split("\n")[: line - 1]
        return sum(len(text) + 1 for text in before) + column - 1

    def _line(self, at: int) -> int:
        return self.text.count("\n", 0, at) + 1

    def _pointing(
        self, start: int, end: int, words: str, shown_until: int | None = None
    ) -> SettingsError:
        number = self._line(start)
        first = self.text.rfind("\n", 0, start) + 1
        line = self.text[first:shown_until].split("\n")[0].rstrip()
        excerpt = _excerpt(line, start - first, end - start)
        return SettingsError(f"{self.path}:{number}: {words}{excerpt}")


def render_key(key: KeyPath) -> str:
    """A key as people write it: `accounts[0].name`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return printable("".join(parts).removeprefix("."))[:_WIDTH]


def _excerpt(line: str, column: int, length: int) -> str:
    """Two more lines: the source line, without tokens, and carets below what is meant."""
    if not line or column > _WIDTH:
        return ""
    shown = printable(_SECRET.sub(lambda found: "*" * len(found[0]), line))
    cut = shown[:_WIDTH]
    carets = "^" * max(1, min(length, len(cut) - column))
    return f"\n    {cut}\n    {' ' * column}{carets}"

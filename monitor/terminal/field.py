"""One line of input: its text, its cursor and the keys that edit it. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from monitor.terminal import widths
from monitor.terminal.keys import Key

MASK: Final = "•"
LONGEST: Final = 2000


@dataclass(frozen=True, slots=True)
class Field:
    """A labelled input. `cursor` counts characters; a masked field's text is never shown, nor in a repr."""

    label: str
    text: str = field(default="", repr=False)
    cursor: int = 0
    masked: bool = False
    hint: str = ""

    def view(self, room: int) -> tuple[str, int]:
        """What `room` cells show of the text, and the cursor's cell in them."""
        shown = "".join(MASK if self.masked else widths.shown(char) for char in self.text)
        start, used = self.cursor, 0
        while start and (more := used + widths.char_width(shown[start - 1])) < room:
            start, used = start - 1, more
        return widths.head(shown[start:], room), used


def filled(label: str, text: str) -> Field:
    """A field that holds a text already, with the cursor at its end."""
    return Field(label, text, len(text))


def edited(old: Field, key: Key) -> Field:
    """The field after a key; one that edits nothing changes nothing."""
    if key.text:
        return _inserted(old, key.text)
    edit = _EDITS.get(key.name)
    return edit(old) if edit else old


def _inserted(old: Field, text: str) -> Field:
    text = widths.cleaned(text)
    if len(old.text) + len(text) > LONGEST:
        return old
    new = old.text[: old.cursor] + text + old.text[old.cursor :]
    return replace(old, text=new, cursor=old.cursor + len(text))


def _cut(old: Field, start: int, end: int) -> Field:
    return replace(old, text=old.text[:start] + old.text[end:], cursor=start)


def _moved(old: Field, cursor: int) -> Field:
    return replace(old, cursor=min(max(cursor, 0), len(old.text)))


def _word_start(old: Field) -> int:
    before = old.text[: old.cursor].rstrip()
    return before.rfind(" ") + 1


_EDITS: Final[dict[str, Callable[[Field], Field]]] = {
    "left": lambda f: _moved(f, f.cursor - 1),
    "right": lambda f: _moved(f, f.cursor + 1),
    "home": lambda f: _moved(f, 0),
    "ctrl+a": lambda f: _moved(f, 0),
    "end": lambda f: _moved(f, len(f.text)),
    "ctrl+e": lambda f: _moved(f, len(f.text)),
    "backspace": lambda f: _cut(f, max(f.cursor - 1, 0), f.cursor),
    "delete": lambda f: _cut(f, f.cursor, f.cursor + 1),
    "ctrl+u": lambda f: _cut(f, 0, f.cursor),
    "ctrl+k": lambda f: _cut(f, f.cursor, len(f.text)),
    "ctrl+w": lambda f: _cut(f, _word_start(f), f.cursor),
}

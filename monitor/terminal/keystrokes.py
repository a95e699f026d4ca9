"""Keystrokes and pastes out of the bytes that a terminal sends. Pure.

blessed names each keystroke. What it is given is one whole sequence at a time, split by the grammar of ECMA-48:
of a sequence that it does not know (the answer to a query, a mouse or focus report) it would return the letters as
keys, and one invalid byte would end its reading.
"""

import codecs
import re
from dataclasses import dataclass, field
from typing import Final

import blessed
from blessed.keyboard import get_keyboard_codes

PASTE_START: Final = b"\x1b[200~"
PASTE_END: Final = b"\x1b[201~"

_SEQUENCE: Final = re.compile(
    rb"\x1b\[\[[A-E]"  # a function key of the Linux console
    rb"|\x1b\[[0-?]*[ -/]*[@-~]"
    rb"|\x1bO[0-9;]*[@-~]"
    rb"|\x1b[P\]X^_].*?(?:\x1b\\|\x07)"  # a string, such as the answer to a query
    rb"|\x1b[^\x1b\[OP\]X^_]",  # a key with Alt
    re.DOTALL,
)
_NAMES: Final = {
    f"KEY_{name.upper()}": name
    for name in (
        "up", "down", "left", "right", "home", "end", "pgup", "enter", "tab", "backspace", "delete",
    )
} | {"KEY_PGDOWN": "pgdn", "KEY_BTAB": "backtab", "KEY_ESCAPE": "esc"}  # fmt: skip
_NAMES_BY_CODE: Final = {
    code: _NAMES[name] for code, name in get_keyboard_codes().items() if name in _NAMES
}
"""Of the keys that mean something here, with or without Shift and Ctrl."""

_GROUND: Final = re.compile("\x1b\\]11;rgb:([0-9a-fA-F]+)/([0-9a-fA-F]+)/([0-9a-fA-F]+)")
_CLICK: Final = re.compile("\x1b\\[<(0|64|65);[0-9]+;([0-9]+)M")
_BUTTONS: Final = {"0": "click", "64": "wheelup", "65": "wheeldown"}
MOUSE: Final = frozenset(_BUTTONS.values())


@dataclass(frozen=True, slots=True)
class Key:
    """One stroke, or one paste: `name` identifies it (`j`, `up`, `ctrl+u`, `paste`), `text` is what it writes.

    What the mouse does is a key too (`click`, `wheelup`), whose text is the line from 0; and so is the terminal's
    answer which ground it has (`ground`, with `dark` or `light`).
    """

    name: str
    text: str = field(default="", repr=False)


def parse_keys(
    term: blessed.Terminal, data: bytes, *, final: bool = False
) -> tuple[list[Key], bytes]:
    """The keys in `data`, and its unfinished end; with `final`, nothing more of that end will come.

    `term` is one without a keyboard of its own; it names the sequences.
    """
    keys: list[Key | None] = []
    while data:
        if data.startswith(PASTE_START):
            end = data.find(PASTE_END)
            if end < 0 and not final:
                break
            text = data[len(PASTE_START) : end if end >= 0 else None].decode(errors="replace")
            keys.append(Key("paste", text))
            data = data[end + len(PASTE_END) :] if end >= 0 else b""
        elif data[:1] != b"\x1b":
            run = data.partition(b"\x1b")[0]
            text, taken = codecs.utf_8_decode(run, "replace", final or len(run) < len(data))
            keys += [_resolve(term, char) for char in text]
            data = data[taken:]
            if taken < len(run):
                break
        elif match := _SEQUENCE.match(data):
            keys.append(_resolve(term, match[0].decode(errors="replace")))
            data = data[match.end() :]
        elif data[1:2] == b"\x1b" or (final and data == b"\x1b"):
            keys.append(_resolve(term, "\x1b"))
            data = data[1:]
        elif final:
            data = b""
        else:
            break
    return [key for key in keys if key is not None], data


def _resolve(term: blessed.Terminal, sequence: str) -> Key | None:
    """The key that sends this sequence or character; None for what is no key, or none that means anything here."""
    if len(sequence) == 1 and sequence.isprintable():
        return Key(sequence, sequence) if sequence != "\ufffd" else None
    if click := _CLICK.fullmatch(sequence):
        return Key(_BUTTONS[click[1]], str(int(click[2]) - 1))
    if ground := _GROUND.match(sequence):
        red, green, blue = (int(part, 16) / (16 ** len(part) - 1) for part in ground.groups())
        is_light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5
        return Key("ground", "light" if is_light else "dark")
    term.ungetch(sequence)
    stroke = term.inkey(timeout=0)
    if term.flushinp():  # blessed has not taken all of it
        return None
    if name := _NAMES_BY_CODE.get(stroke.code or 0):
        return Key(name)
    control = re.fullmatch("KEY_CTRL_([A-Z])", stroke.name or "")
    return Key(f"ctrl+{control[1].lower()}") if control and len(sequence) == 1 else None

"""Keystrokes and pastes out of the bytes that a terminal sends. Pure.

Sequences that mean nothing here (answers to queries, mouse and focus reports, unknown keys) are swallowed whole:
no part of one ever looks like a key that was typed.
"""

import codecs
import re
from dataclasses import dataclass, field
from typing import Final

PASTE_START: Final = b"\x1b[200~"
PASTE_END: Final = b"\x1b[201~"

_SEQUENCE: Final = re.compile(
    rb"\x1b\[\[[A-E]"  # a function key of the Linux console
    rb"|\x1b\[(?P<csi>[0-?]*[ -/]*[@-~])"
    rb"|\x1bO(?P<ss3>[0-9;]*[@-~])"
    rb"|\x1b[P\]X^_].*?(?:\x1b\\|\x07)"  # a string, such as the answer to a query
    rb"|\x1b(?P<alt>[^\x1b\[OP\]X^_])",
    re.DOTALL,
)
_CSI: Final = {
    "A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "F": "end", "Z": "backtab",
    "1~": "home", "3~": "delete", "4~": "end", "5~": "pgup", "6~": "pgdn", "7~": "home", "8~": "end",
    "M": "enter",
}  # fmt: skip
_MODIFIERS: Final = re.compile(r"1;\d+(?=[A-Z])|;\d+(?=~)")
_CONTROLS: Final = {
    "\r": "enter",
    "\n": "enter",
    "\t": "tab",
    "\x7f": "backspace",
    "\b": "backspace",
}


@dataclass(frozen=True, slots=True)
class Key:
    """One stroke, or one paste: `name` says which (`j`, `up`, `ctrl+u`, `paste`), `text` what it writes."""

    name: str
    text: str = field(default="", repr=False)


def parse_keys(data: bytes, *, final: bool = False) -> tuple[list[Key], bytes]:
    """The keys in `data`, and its unfinished end; `final` says that nothing more of that end will come."""
    keys: list[Key] = []
    while data:
        found, taken = _first(data, final)
        if not taken:
            break
        keys += found
        data = data[taken:]
    return keys, data


def _first(data: bytes, final: bool) -> tuple[list[Key], int]:
    """The keys at the beginning of the data, and how many bytes they are; 0 where they are unfinished."""
    if data.startswith(PASTE_START):
        return _paste(data, final)
    if data[:1] == b"\x1b":
        return _sequence(data, final)
    return _text(data.partition(b"\x1b")[0], final)


def _paste(data: bytes, final: bool) -> tuple[list[Key], int]:
    end = data.find(PASTE_END)
    if end < 0 and not final:
        return [], 0
    text = data[len(PASTE_START) : end if end >= 0 else None].decode(errors="replace")
    return [Key("paste", text)], len(data) if end < 0 else end + len(PASTE_END)


def _sequence(data: bytes, final: bool) -> tuple[list[Key], int]:
    match = _SEQUENCE.match(data)
    if match is None and data[1:2] == b"\x1b":
        return [Key("esc")], 1
    if match is None:
        lone = [Key("esc")] if data == b"\x1b" else []
        return (lone, len(data)) if final else ([], 0)
    code = match["csi"] or match["ss3"] or b""
    name = _CSI.get(_MODIFIERS.sub("", code.decode("ascii", "replace")))
    if name == "enter" and match["ss3"] is None:
        name = None  # only the keypad's Enter is ESC O M; CSI M is a mouse report
    return [Key(name)] if name else [], match.end()


def _text(run: bytes, final: bool) -> tuple[list[Key], int]:
    text, taken = codecs.utf_8_decode(run, "replace", final)
    return [key for char in text if (key := _stroke(char))], taken


def _stroke(char: str) -> Key | None:
    if char in _CONTROLS:
        return Key(_CONTROLS[char])
    if "\x01" <= char <= "\x1a":
        return Key(f"ctrl+{chr(ord(char) + 0x60)}")
    return Key(char, char) if char.isprintable() and char != "\ufffd" else None

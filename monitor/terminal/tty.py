"""The terminal itself: opened for our own use, put into its full-screen mode and back, read and written.

Nothing here waits for the terminal: its file is opened again, as a stream of the event loop. For that reason
blessed's context managers are not used: its `cbreak` is of the standard input alone, and its `fullscreen` waits at
its end until a stalled terminal has taken everything.

blessed names each keystroke. It is given one whole sequence at a time, split by the grammar of ECMA-48: of a sequence
that it does not know (the answer to a query, a mouse or focus report) it would return the letters as keys, and one
invalid byte would end its reading.
"""

import asyncio
import codecs
import contextlib
import os
import re
import termios
import tty
from dataclasses import dataclass, field
from typing import Any, Final

import blessed
from blessed.keyboard import get_keyboard_codes

from monitor.core.errors import TrackerError
from monitor.core.state import Theme
from monitor.terminal.paint import Painter, open_terminal
from monitor.terminal.text import Size

_READ_SIZE: Final = 4096
_FALLBACK: Final = Size(80, 24)
_INPUT, _LOCAL = 0, 3  # places in the attributes of termios
_REST_OF_KEY_SECONDS: Final = 0.1
_REST_OF_PASTE_SECONDS: Final = 2.0

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
"""The keys that mean something here, with or without Shift and Ctrl."""

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


class Tty:
    """One terminal, from `Tty.open(path)` until it is closed."""

    def __init__(
        self,
        fd: int,
        reading: asyncio.ReadTransport,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        painter: Painter,
    ) -> None:
        self._fd = fd
        self._reading = reading
        self._reader = reader
        self._writer = writer
        self.painter = painter
        self._saved: list[Any] | None = None
        self._unread = b""

    @classmethod
    async def open(cls, path: str) -> "Tty":
        """Raises TrackerError where the terminal cannot be opened."""
        try:
            fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        except OSError as error:
            raise TrackerError(f"cannot open the terminal {path}: {error.strerror}") from None
        # Some terminals tell their colours at once, by number: foreground;background.
        number = os.environ.get("COLORFGBG", "").rpartition(";")[2]
        ground = Theme.LIGHT if number in ("7", "15") else Theme.DARK
        painter = Painter(open_terminal(fd), coloured=not os.environ.get("NO_COLOR"), ground=ground)
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        reading, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(os.dup(fd), "rb", buffering=0)
        )
        writing, flow = await loop.connect_write_pipe(
            lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()),
            os.fdopen(fd, "wb", buffering=0),
        )
        writing.set_write_buffer_limits(0)  # draining then means that all is written
        return cls(fd, reading, reader, asyncio.StreamWriter(writing, flow, None, loop), painter)

    def enter(self) -> None:
        """Switch to the full-screen mode, in which keys come one by one, unechoed."""
        with contextlib.suppress(termios.error):
            self._saved = self._saved or termios.tcgetattr(self._fd)
            tty.setcbreak(self._fd, termios.TCSANOW)
            mode = termios.tcgetattr(self._fd)
            mode[_INPUT] &= ~termios.IXON  # Ctrl-S does not freeze the table
            mode[_LOCAL] &= ~termios.IEXTEN
            termios.tcsetattr(self._fd, termios.TCSANOW, mode)
        self.write(self.painter.enter.encode())

    def leave(self) -> None:
        """Restore the terminal. Does not wait: what a stalled terminal has not taken stays queued."""
        self.write(self.painter.leave.encode())
        if self._saved is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._fd, termios.TCSANOW, self._saved)

    def size(self) -> Size:
        """Return the present size; 80 by 24 where the terminal does not know it."""
        try:
            width, height = os.get_terminal_size(self._fd)
        except OSError:
            return _FALLBACK
        return Size(width or _FALLBACK.width, height or _FALLBACK.height)

    def write(self, data: bytes) -> None:
        """Write what must not be lost, after all that is still queued."""
        if not self._writer.is_closing():  # else the terminal is gone, and `keys` raises
            self._writer.write(data)

    def offer(self, frame: bytes) -> bool:
        """Write a frame; return False, and drop it, while an earlier one is still queued."""
        if self._writer.transport.get_write_buffer_size():
            return False
        self.write(frame)
        return True

    async def drain(self, seconds: float) -> bool:
        """Wait until all is written, at most so long; return whether it is."""
        with contextlib.suppress(TimeoutError, OSError):
            await asyncio.wait_for(self._writer.drain(), seconds)
            return True
        return False

    async def keys(self) -> list[Key]:
        """Wait for the next keys, and a moment for the rest of an unfinished one. Raises EOFError at the end."""
        patience = None
        if self._unread:
            is_paste = self._unread.startswith(PASTE_START)
            patience = _REST_OF_PASTE_SECONDS if is_paste else _REST_OF_KEY_SECONDS
        try:
            data = await asyncio.wait_for(self._reader.read(_READ_SIZE), patience)
        except TimeoutError:
            keys, self._unread = parse_keys(self.painter.term, self._unread, final=True)
            return keys
        except OSError:
            data = b""
        if not data:
            raise EOFError("the terminal is gone")
        keys, self._unread = parse_keys(self.painter.term, self._unread + data)
        return keys

    async def close(self, seconds: float) -> None:
        """Wait until all is written, at most so long, and close the terminal."""
        await self.drain(seconds)
        if not self._writer.is_closing():
            self._writer.transport.abort()
        self._reading.close()


def terminal_path() -> str:
    """Return the path of the terminal that the program runs on."""
    for fd in (1, 0):
        with contextlib.suppress(OSError):
            return os.ttyname(fd)
    return "/dev/tty"


def parse_keys(
    term: blessed.Terminal, data: bytes, *, final: bool = False
) -> tuple[list[Key], bytes]:
    """Return the keys in `data`, and its unfinished end, of which with `final` nothing more will come.

    `term`, which names the sequences, has no keyboard of its own.
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
            keys += [_name_key(term, char) for char in text]
            data = data[taken:]
            if taken < len(run):
                break
        elif match := _SEQUENCE.match(data):
            keys.append(_name_key(term, match[0].decode(errors="replace")))
            data = data[match.end() :]
        elif data[1:2] == b"\x1b" or (final and data == b"\x1b"):
            keys.append(_name_key(term, "\x1b"))
            data = data[1:]
        elif final:
            data = b""
        else:
            break
    return [key for key in keys if key is not None], data


def _name_key(term: blessed.Terminal, sequence: str) -> Key | None:
    """Return the key that sends this sequence or character; None where it is none, or means nothing here."""
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

"""The terminal itself: opened for our own use, put into its full-screen mode and back, read and written.

Nothing here waits for the terminal: its file is opened again, as a stream of the event loop. For that reason
blessed's context managers are not used: its `cbreak` is of the standard input alone, and its `fullscreen` waits at
its end until a stalled terminal has taken everything.
"""

import asyncio
import contextlib
import os
import termios
import tty
from typing import Any, Final

from monitor.core.errors import TrackerError
from monitor.core.state import Theme
from monitor.terminal.keystrokes import PASTE_START, Key, parse_keys
from monitor.terminal.paint import Painter, open_terminal
from monitor.terminal.text import Size

_READ_SIZE: Final = 4096
_FALLBACK: Final = Size(80, 24)
_INPUT, _LOCAL = 0, 3  # places in the attributes of termios
_REST_OF_KEY_SECONDS: Final = 0.1
_REST_OF_PASTE_SECONDS: Final = 2.0


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
        """Into the full-screen mode: keys come one by one, unechoed."""
        with contextlib.suppress(termios.error):
            self._saved = self._saved or termios.tcgetattr(self._fd)
            tty.setcbreak(self._fd, termios.TCSANOW)
            mode = termios.tcgetattr(self._fd)
            mode[_INPUT] &= ~termios.IXON  # Ctrl-S does not freeze the table
            mode[_LOCAL] &= ~termios.IEXTEN
            termios.tcsetattr(self._fd, termios.TCSANOW, mode)
        self.write(self.painter.enter.encode())

    def leave(self) -> None:
        """Back to what the terminal was. Does not wait: what a stalled terminal has not taken stays queued."""
        self.write(self.painter.leave.encode())
        if self._saved is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._fd, termios.TCSANOW, self._saved)

    def size(self) -> Size:
        """The present size; 80 by 24 where the terminal does not know it."""
        try:
            width, height = os.get_terminal_size(self._fd)
        except OSError:
            return _FALLBACK
        return Size(width or _FALLBACK.width, height or _FALLBACK.height)

    def write(self, data: bytes) -> None:
        """Write what must not be lost, after all that is still on its way."""
        if not self._writer.is_closing():  # else the terminal is gone, and `keys` raises
            self._writer.write(data)

    def offer(self, frame: bytes) -> bool:
        """Write a frame, unless an earlier one is still on its way: then it is dropped, and False returned."""
        if self._writer.transport.get_write_buffer_size():
            return False
        self.write(frame)
        return True

    async def drained(self, seconds: float) -> bool:
        """Wait until all is written, but no longer than this; false where it is not."""
        with contextlib.suppress(TimeoutError, OSError):
            await asyncio.wait_for(self._writer.drain(), seconds)
            return True
        return False

    async def keys(self) -> list[Key]:
        """Wait for the next keys; the rest of an unfinished one is waited for a moment. Raises EOFError at the end."""
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
        """Wait until all is written, but no longer than this, and give the terminal back."""
        await self.drained(seconds)
        if not self._writer.is_closing():
            self._writer.transport.abort()
        self._reading.close()


def terminal_path() -> str:
    """The file of the terminal that we run on."""
    for fd in (1, 0):
        with contextlib.suppress(OSError):
            return os.ttyname(fd)
    return "/dev/tty"

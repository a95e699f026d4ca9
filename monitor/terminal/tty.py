"""The terminal itself: opened for our own use, put into its full-screen mode and back, read and written.

Nothing here waits: the descriptor is our own and non-blocking. For that reason blessed's context managers are not
used: its `cbreak` is of the standard input alone, and its `fullscreen` waits at its end for a stalled terminal.
"""

import asyncio
import contextlib
import os
import termios
import tty
from typing import Any, Final

from monitor.core.errors import TrackerError
from monitor.terminal.canvas import Size
from monitor.terminal.keys import PASTE_START, Key, parse_keys
from monitor.terminal.paint import Painter, open_terminal

_READ_SIZE: Final = 4096
_FALLBACK: Final = Size(80, 24)
_INPUT, _LOCAL = 0, 3  # places in the attributes of termios
_REST_OF_KEY_SECONDS: Final = 0.1
_REST_OF_PASTE_SECONDS: Final = 2.0


class Output:
    """A non-blocking descriptor, and what it has not taken yet: of frames, the newest wins."""

    def __init__(self, fd: int, loop: asyncio.AbstractEventLoop) -> None:
        self._fd = fd
        self._loop = loop
        self._pending = b""
        self._watched = False
        self._drained = asyncio.Event()
        self._drained.set()

    @property
    def idle(self) -> bool:
        """Whether all is written."""
        return not self._pending

    def offer(self, frame: bytes) -> bool:
        """Write a frame, unless an earlier one is still on its way: then it is dropped, and False returned."""
        if not self.idle:
            return False
        self.send(frame)
        return True

    def send(self, data: bytes) -> None:
        """Write what must not be lost, after all that is still on its way."""
        self._pending += data
        self._flush()

    async def drain(self, seconds: float) -> None:
        """Wait until all is written, but no longer than this; what is left then is lost."""
        try:
            await asyncio.wait_for(self._drained.wait(), seconds)
        except TimeoutError:
            self._pending = b""
            self._watch(False)

    def _flush(self) -> None:
        try:
            while self._pending:
                self._pending = self._pending[os.write(self._fd, self._pending) :]
        except BlockingIOError:
            pass
        except OSError:  # the terminal is gone; its end of input says so to the program
            self._pending = b""
        self._watch(bool(self._pending))

    def _watch(self, wanted: bool) -> None:
        """Have the loop call `_flush` when there is room again."""
        if wanted and not self._watched:
            self._loop.add_writer(self._fd, self._flush)
            self._drained.clear()
        elif self._watched and not wanted:
            self._loop.remove_writer(self._fd)
        if not wanted:
            self._drained.set()
        self._watched = wanted


class Tty:
    """One terminal. Raises TrackerError where it cannot be opened."""

    def __init__(self, path: str) -> None:
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError as error:
            raise TrackerError(f"cannot open the terminal {path}: {error.strerror}") from None
        self._loop = asyncio.get_running_loop()
        self._saved: list[Any] | None = None
        self._input: asyncio.Queue[bytes] = asyncio.Queue()
        self._unread = b""
        self.output = Output(self._fd, self._loop)
        self.painter = Painter(open_terminal(self._fd), coloured=not os.environ.get("NO_COLOR"))

    def enter(self) -> None:
        """Into the full-screen mode: keys come one by one, unechoed."""
        with contextlib.suppress(termios.error):
            self._saved = self._saved or termios.tcgetattr(self._fd)
            tty.setcbreak(self._fd, termios.TCSANOW)
            mode = termios.tcgetattr(self._fd)
            mode[_INPUT] &= ~termios.IXON  # Ctrl-S does not freeze the table
            mode[_LOCAL] &= ~termios.IEXTEN
            termios.tcsetattr(self._fd, termios.TCSANOW, mode)
        self.output.send(self.painter.enter.encode())

    def leave(self) -> None:
        """Back to what the terminal was. Does not wait: what a stalled terminal has not taken stays queued."""
        self.output.send(self.painter.leave.encode())
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

    def listen(self) -> None:
        """Read from now on what is typed."""
        self._loop.add_reader(self._fd, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, _READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._fd)
        self._input.put_nowait(data)

    async def keys(self) -> list[Key]:
        """Wait for the next keys; the rest of an unfinished one is waited for a moment. Raises EOFError at the end."""
        patience = None
        if self._unread:
            is_paste = self._unread.startswith(PASTE_START)
            patience = _REST_OF_PASTE_SECONDS if is_paste else _REST_OF_KEY_SECONDS
        try:
            data = await asyncio.wait_for(self._input.get(), patience)
        except TimeoutError:
            keys, self._unread = parse_keys(self.painter.term, self._unread, final=True)
            return keys
        if not data:
            raise EOFError
        keys, self._unread = parse_keys(self.painter.term, self._unread + data)
        return keys

    def close(self) -> None:
        """Give the descriptor back; nothing is read or written after it."""
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        os.close(self._fd)


def terminal_path() -> str:
    """The file of the terminal that we run on."""
    for fd in (1, 0):
        with contextlib.suppress(OSError):
            return os.ttyname(fd)
    return "/dev/tty"

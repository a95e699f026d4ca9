"""The terminal itself: opened anew for our own use, put into its full-screen mode and back, read and written.

Nothing here waits: the descriptor is our own and non-blocking, and the terminal is asked no questions.
"""

import asyncio
import contextlib
import os
import termios
import tty
from typing import Any, Final

from monitor.core.errors import TrackerError
from monitor.terminal.canvas import Size
from monitor.terminal.output import Output
from monitor.terminal.terminfo import capabilities

_PASTE_ON: Final = "\x1b[?2004h"
_PASTE_OFF: Final = "\x1b[?2004l"
_READ_SIZE: Final = 4096
_FALLBACK: Final = Size(80, 24)
_INPUT, _LOCAL = 0, 3  # places in the attributes of termios


class Device:
    """One terminal. Raises TrackerError where it cannot be opened."""

    def __init__(self, path: str) -> None:
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError as error:
            raise TrackerError(f"cannot open the terminal {path}: {error.strerror}") from None
        self._loop = asyncio.get_running_loop()
        self._saved: list[Any] | None = None
        self.output = Output(self._fd, self._loop)
        self.input: asyncio.Queue[bytes] = asyncio.Queue()
        self.capabilities = capabilities(self._fd)

    def enter(self) -> None:
        """Into the full-screen mode: keys come one by one, unechoed."""
        with contextlib.suppress(termios.error):
            self._saved = self._saved or termios.tcgetattr(self._fd)
            tty.setcbreak(self._fd, termios.TCSANOW)
            mode = termios.tcgetattr(self._fd)
            mode[_INPUT] &= ~termios.IXON  # Ctrl-S does not freeze the table
            mode[_LOCAL] &= ~termios.IEXTEN
            termios.tcsetattr(self._fd, termios.TCSANOW, mode)
        self._send(self.capabilities.enter + _PASTE_ON)

    def leave(self) -> None:
        """Back to what the terminal was. Does not wait: what a stalled terminal has not taken stays queued."""
        self._send(_PASTE_OFF + self.capabilities.leave)
        if self._saved is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._fd, termios.TCSANOW, self._saved)

    def _send(self, sequences: str) -> None:
        self.output.send(sequences.encode())

    def size(self) -> Size:
        """What the terminal says now; a terminal that does not know says 0."""
        try:
            width, height = os.get_terminal_size(self._fd)
        except OSError:
            return _FALLBACK
        return Size(width or _FALLBACK.width, height or _FALLBACK.height)

    def listen(self) -> None:
        """From now on what is typed comes as pieces of `input`; an empty one says that the terminal is gone."""
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
        self.input.put_nowait(data)

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        os.close(self._fd)


def terminal_path() -> str:
    """The file of the terminal that we run on."""
    for fd in (1, 0):
        with contextlib.suppress(OSError):
            return os.ttyname(fd)
    return "/dev/tty"

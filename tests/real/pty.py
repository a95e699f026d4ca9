"""A program on a pseudo-terminal, and the screen that a terminal (pyte) shows of it."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyte

UNWANTED: Final = ("TMUX", "TERM_PROGRAM", "COLORTERM", "NO_COLOR", "COLUMNS", "LINES")
_AS_CONTROLLING_TERMINAL: Final = (
    "import fcntl, os, signal, sys, termios\n"
    "signal.signal(signal.SIGINT, signal.SIG_DFL)\n"  # as login does: a job in the background ignores it
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "os.execvp(sys.argv[1], sys.argv[1:])\n"
)


def terminal_env(**changes: str) -> dict[str, str]:
    """Our environment as a terminal of 256 colours gives it; Python's own tracebacks stay plain."""
    env = {key: value for key, value in os.environ.items() if key not in UNWANTED}
    return {**env, "TERM": "xterm-256color", "PYTHON_COLORS": "0", **changes}


def resized(fd: int, width: int, height: int) -> None:
    """Give the terminal of this descriptor another size; its programs get a SIGWINCH."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))


class _Display(pyte.Screen):
    """A screen that answers queries (of a cursor position, for one) on this descriptor; without one it is silent."""

    def __init__(self, width: int, height: int, answer_on: int | None) -> None:
        super().__init__(width, height)
        self._answer_on = answer_on

    def write_process_input(self, data: str) -> None:
        if self._answer_on is not None:
            os.write(self._answer_on, data.encode())


class Terminal:
    """A running program and its terminal. Its output is read only while one of the methods waits for something."""

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str] | None = None,
        width: int = 120,
        height: int = 40,
        *,
        answers: bool = True,
    ) -> None:
        self.master, self.slave = pty.openpty()
        self.raw = b""
        self._display = _Display(width, height, self.master if answers else None)
        self._stream = pyte.ByteStream(self._display)
        resized(self.master, width, height)
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", _AS_CONTROLLING_TERMINAL, *argv],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env=dict(env) if env is not None else terminal_env(),
            start_new_session=True,
        )

    def resize(self, width: int, height: int) -> None:
        """The terminal gets another size, and says so to the program."""
        self._display.resize(height, width)
        resized(self.master, width, height)

    @property
    def display(self) -> pyte.Screen:
        """The screen with its colours, as pyte has it."""
        return self._display

    @property
    def lines(self) -> list[str]:
        return [str(line).rstrip() for line in self._display.display]

    @property
    def screen(self) -> str:
        """What is to be seen, without the space at the end of lines."""
        return "\n".join(self.lines)

    @property
    def cursor(self) -> tuple[int, int] | None:
        """The cursor's (column, line); None while it is hidden."""
        cursor = self._display.cursor
        return None if cursor.hidden else (cursor.x, cursor.y)

    def colours(self, text: str) -> set[str]:
        """The foreground colours of the first place where the text stands."""
        row = next(place for place, line in enumerate(self.lines) if text in line)
        column = str(self._display.display[row]).index(text)
        cells: Any = self._display.buffer[row]
        return {cells[column + offset].fg for offset in range(len(text))}

    def keys(self, text: str | bytes) -> None:
        """Type this; escape sequences and control characters are what keys send."""
        os.write(self.master, text.encode() if isinstance(text, str) else text)

    def paste(self, text: str) -> None:
        """What a terminal sends for a paste, once the program has asked for bracketed paste."""
        self.keys(f"\x1b[200~{text}\x1b[201~")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def read(self, seconds: float = 0) -> bytes:
        """What the program has written, waited for at most this long; empty also at its end."""
        if not select.select([self.master], [], [], seconds)[0]:
            return b""
        try:
            data = os.read(self.master, 65536)
        except OSError:  # EIO: nobody holds the other side any more
            return b""
        self.raw += data
        self._stream.feed(data)
        return data

    def wait_for(self, text: str, seconds: float = 15) -> str:
        """Read until the text is on the screen, and return the screen."""
        self.wait_until(lambda: text in self.screen, f"{text!r} on the screen", seconds)
        return self.screen

    def wait_until_gone(self, text: str, seconds: float = 15) -> str:
        """Read until the text is no longer on the screen, and return the screen."""
        self.wait_until(lambda: text not in self.screen, f"{text!r} gone from the screen", seconds)
        return self.screen

    def wait_for_raw(self, data: bytes, seconds: float = 15) -> None:
        """Read until the program has written these bytes."""
        self.wait_until(lambda: data in self.raw, f"{data!r} in the output", seconds)

    def wait_for_prompt(self, text: str, seconds: float = 15) -> None:
        """Read until the text is on the screen and the program sleeps until a key comes.

        A signal between the two is lost until then: CPython looks for signals before it reads a line, and not after.
        """
        self.wait_for(text, seconds)
        stat = Path(f"/proc/{self.process.pid}/stat")
        sleeps = lambda: not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "S"  # noqa: E731
        self.wait_until(sleeps, "the program sleeps", seconds)

    def wait_for_exit(self, seconds: float = 15) -> int:
        """Read until the program has ended, and return its exit code; negative for a signal."""
        self.wait_until(lambda: self.process.poll() is not None, "the program's end", seconds)
        while self.read(0.05):
            pass
        return int(self.process.returncode)

    def wait_until(self, condition: Any, what: str, seconds: float = 15) -> None:
        """Read until the condition is met."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}: not within {seconds} s\n{self.screen}")
            self.read(0.05)

    @property
    def is_cooked(self) -> bool:
        """Whether the terminal echoes, and hands over whole lines, as a shell wants it."""
        modes = termios.tcgetattr(self.slave)
        wanted = termios.ECHO | termios.ICANON | termios.ISIG
        return modes[3] & wanted == wanted and bool(modes[0] & termios.IXON)

    def hang_up(self) -> None:
        """Close the terminal, as its window is closed."""
        for fd in (self.slave, self.master):
            os.close(fd)
        self.master = self.slave = -1

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.master >= 0:
            self.hang_up()


@contextmanager
def terminal(
    argv: Sequence[str],
    env: Mapping[str, str] | None = None,
    width: int = 120,
    height: int = 40,
    *,
    answers: bool = True,
) -> Iterator[Terminal]:
    """A program on a terminal for the time of the block."""
    running = Terminal(argv, env, width, height, answers=answers)
    try:
        yield running
    finally:
        running.close()

"""A program in a real tmux, on a server of its own that reads no configuration."""

import shlex
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.real.bus import wait_until
from tests.real.need import need
from tests.real.pty import UNWANTED, terminal_env


class Tmux:
    """One session with one pane."""

    def __init__(
        self,
        argv: Sequence[str],
        width: int = 120,
        height: int = 40,
        env: dict[str, str] | None = None,
    ) -> None:
        need("tmux")
        self._socket = f"tracker-{uuid.uuid4().hex[:12]}"
        unset = [part for name in UNWANTED for part in ("-u", name)]
        extra = [f"{key}={value}" for key, value in (env or {}).items()]
        command = shlex.join(["env", *unset, *extra, *argv])
        size = ["-x", str(width), "-y", str(height)]
        self.tmux("-f", "/dev/null", "new-session", "-d", "-s", "t", *size, command)
        self.tmux("set-option", "-g", "remain-on-exit", "on")

    def tmux(self, *arguments: str) -> str:
        """Run one tmux command on the server, and return what it prints."""
        done = subprocess.run(
            ["tmux", "-L", self._socket, *arguments],
            env=terminal_env(),
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    def screen(self) -> str:
        """What is to be seen, without the space at the end of lines."""
        return self.tmux("capture-pane", "-p", "-t", "t")

    def keys(self, *names: str) -> None:
        """Press keys by tmux's names: `Enter`, `C-c`, `BTab`, `q`."""
        self.tmux("send-keys", "-t", "t", *names)

    def type(self, text: str) -> None:
        """Type literal text."""
        self.tmux("send-keys", "-t", "t", "-l", text)

    def paste(self, text: str) -> None:
        """Paste from tmux's buffer, bracketed where the program has asked for it."""
        self.tmux("set-buffer", "-b", "p", text)
        self.tmux("paste-buffer", "-p", "-b", "p", "-t", "t")

    def resize(self, width: int, height: int) -> None:
        self.tmux("resize-window", "-t", "t", "-x", str(width), "-y", str(height))

    def format(self, wanted: str) -> str:
        """A tmux format's value: `#{alternate_on}`, `#{cursor_flag}`, `#{pane_dead}`.

        Not `#{pane_dead_status}`: tmux 3.3a now and then does not reap a program that has ended.
        """
        return self.tmux("display-message", "-p", "-t", "t", wanted).strip()

    def wait_for(self, text: str, seconds: float = 15) -> str:
        """Poll until the text is on the screen, and return the screen."""
        wait_until(lambda: text in self.screen(), f"{text!r} in tmux", seconds)
        return self.screen()

    def close(self) -> None:
        subprocess.run(["tmux", "-L", self._socket, "kill-server"], capture_output=True)


@contextmanager
def tmux(
    argv: Sequence[str], width: int = 120, height: int = 40, env: dict[str, str] | None = None
) -> Iterator[Tmux]:
    """A program in tmux for the time of the block."""
    session = Tmux(argv, width, height, env)
    try:
        yield session
    finally:
        session.close()

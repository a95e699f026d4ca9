"""Calls of `systemctl` and `launchctl`, within a limit. What they print is data, and shown to nobody unread."""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from monitor.core.errors import TrackerError
from monitor.core.sanitize import printable

LIMIT_SECS: Final = 130
"""More than systemd grants a service for its start, and for its end before that."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one call came to."""

    code: int
    out: str
    complaint: str

    @property
    def is_good(self) -> bool:
        return self.code == 0


class Calls:
    """One program, found on the PATH of `environ`."""

    def __init__(
        self, program: str, environ: Mapping[str, str], limit_secs: float = LIMIT_SECS
    ) -> None:
        self._program = program
        self._environ = environ
        self._limit_secs = limit_secs

    def is_there(self) -> bool:
        return self._found() is not None

    def ask(self, *words: str) -> Answer:
        """Run it and wait. Raises TrackerError where it is missing, or does not end in time."""
        found = self._found()
        if found is None:
            raise TrackerError(f"`{self._program}` is not on the PATH: is it another system?")
        try:
            done = subprocess.run(
                [found, *words],
                env=dict(self._environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self._limit_secs,
            )
        except subprocess.TimeoutExpired:
            called = " ".join((self._program, *words))
            raise TrackerError(f"`{called}` does not end: try it by hand") from None
        except OSError as error:
            raise TrackerError(f"{found}: cannot be run: {error.strerror}") from None
        return Answer(done.returncode, _text(done.stdout), _first_line(_text(done.stderr)))

    def do(self, *words: str, hint: str = "") -> None:
        """As `ask`, but raises TrackerError in the program's own words where it fails."""
        answer = self.ask(*words)
        if not answer.is_good:
            called = " ".join((self._program, *words))
            what = answer.complaint or f"exit code {answer.code}"
            raise TrackerError(f"`{called}` failed: {what}{hint}")

    def _found(self) -> str | None:
        return shutil.which(self._program, path=self._environ.get("PATH"))


def _text(output: bytes) -> str:
    return output.decode(errors="replace").strip()


def _first_line(text: str) -> str:
    """The gist of a complaint, safe to print."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return printable(line).rstrip(".")

"""Common to systemd and launchd: the command to start, the service file, calls of their tool, the status."""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from monitor.core.errors import TrackerError
from monitor.core.sanitize import printable
from monitor.system.files import read_regular, write_private

PROXIES: Final[tuple[str, ...]] = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
KEPT: Final = (
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
    "CLAUDE_CONFIG_DIR",
    "CLAUDE_SECURESTORAGE_CONFIG_DIR",
    *PROXIES,
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
)
"""Variables that say where things are and how to get out, and that a service would not inherit from the shell.

None is a secret, but for the login that a proxy's address may have in it, which is left out.
"""

LIMIT_SECS: Final = 130
"""More than systemd grants a service for its start, and for its end before that."""

_NOTE: Final = (
    "Written by `monitor service install`, which replaces it only while it is unedited. stamp:"
)
_STAMP: Final = re.compile(r"(?<=stamp:)[0-9a-f]{16}")
_BLANK: Final = "0" * 16

NOTE: Final = _NOTE + _BLANK
"""The comment at the head of a service file, before the file is stamped."""


@dataclass(frozen=True, slots=True)
class Start:
    """The command of the service: absolute paths, and the variables to set.

    `without_login` names those that a login was taken out of.
    """

    argv: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    without_login: tuple[str, ...] = ()


def start_of(
    argv0: str, python: str, environ: Mapping[str, str], config: Path | None = None
) -> Start:
    """`monitor serve` of the installation that was called as `argv0` and runs on `python`."""
    program: tuple[str, ...] = (python, "-m", "monitor")
    # By the name it was called by: a link in ~/.local/bin outlives what it points to today.
    for candidate in (Path(argv0), Path(python).with_name("monitor")):
        if candidate.name == "monitor" and candidate.is_file() and os.access(candidate, os.X_OK):
            program = (os.path.abspath(candidate),)  # noqa: PTH100 - keeps symlinks
            break
    flags = ("--config", os.path.abspath(config)) if config is not None else ()  # noqa: PTH100 - as above
    variables = {name: environ[name] for name in KEPT if environ.get(name)}
    bare = {name: _without_login(variables[name]) for name in PROXIES if name in variables}
    without = tuple(name for name, address in bare.items() if address != variables[name])
    return Start((*program, "serve", *flags), {**variables, **bare}, without)


def _without_login(proxy: str) -> str:
    """The proxy's address without the user and password in it, in whatever form it is written."""
    return re.sub(r"^([a-zA-Z][a-zA-Z0-9+.-]*://)?.*@", r"\1", proxy)


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """The supervisor's view of the service; `detail` is its own word for the state, `logs` where to look."""

    is_installed: bool
    is_enabled: bool
    is_running: bool
    detail: str = ""
    logs: str = ""

    def render(self) -> str:
        """One line."""
        if not self.is_installed and not self.is_running:
            return "the service is not installed: run `monitor service install`"
        parts = [
            "installed" if self.is_installed else "not installed",
            "enabled" if self.is_enabled else "not enabled",
            "running" if self.is_running else f"not running ({self.detail or 'unknown'})",
        ]
        advice = f"; see {self.logs}, or run `monitor service install`"
        return f"the service is {', '.join(parts)}" + ("" if self.is_running else advice)


class Supervisor(Protocol):
    """Each raises TrackerError where the system refuses; `install` and `uninstall` return lines for the user."""

    def install(self, start: Start, *, force: bool) -> list[str]: ...

    def uninstall(self) -> list[str]: ...

    def status(self) -> ServiceStatus: ...


class ServiceFile:
    """The file that makes a service, for the user alone to read.

    It has a stamp, its own digest, so that an edited one is told from one that we wrote.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def exists(self) -> bool:
        """Return whether it is there, be it as a link to nothing."""
        return self.path.exists() or self.path.is_symlink()

    def check(self, *, force: bool) -> None:
        """Raises TrackerError where the file was written or edited by hand, unless that may be lost."""
        if not self.exists() or force:
            return
        try:
            found = read_regular(self.path).decode("utf-8", "replace")
        except OSError:
            found = ""
        if not is_unedited(found):
            raise TrackerError(
                f"{self.path}: this file was edited: pass --force to replace it by a new one"
            )

    def write(self, text: str) -> None:
        """Raises TrackerError where it cannot be written."""
        try:
            write_private(self.path, stamped(text).encode())
        except OSError as error:
            raise TrackerError(f"{self.path}: cannot be written: {error.strerror}") from None

    def remove(self) -> bool:
        """Return whether there was a file. Raises TrackerError where it cannot be removed."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise TrackerError(f"{self.path}: cannot be removed: {error.strerror}") from None
        return True


def stamped(text: str) -> str:
    """The text with its own digest instead of the zeros of `NOTE`."""
    return _STAMP.sub(_digest(text), text, count=1)


def is_unedited(text: str) -> bool:
    """Return whether the text is as `stamped` returned it."""
    found = _STAMP.search(text)
    return found is not None and found[0] == _digest(_STAMP.sub(_BLANK, text, count=1))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[: len(_BLANK)]


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one call."""

    code: int
    out: str
    complaint: str
    """The first line on standard error, safe to print."""

    @property
    def is_good(self) -> bool:
        return self.code == 0


class Tool:
    """`systemctl` or `launchctl`, found on the PATH of `environ`. What it prints is data."""

    def __init__(
        self, program: str, environ: Mapping[str, str], limit_secs: float = LIMIT_SECS
    ) -> None:
        self._program = program
        self._environ = environ
        self._limit_secs = limit_secs

    def exists(self) -> bool:
        """Return whether it is on the PATH."""
        return self._path() is not None

    def run(self, *words: str) -> Result:
        """Run it and wait. Raises TrackerError where it is missing, or does not end in time."""
        path = self._path()
        if path is None:
            raise TrackerError(f"`{self._program}` is not on the PATH: is it another system?")
        try:
            done = subprocess.run(
                [path, *words],
                env=dict(self._environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self._limit_secs,
            )
        except subprocess.TimeoutExpired:
            called = " ".join((self._program, *words))
            raise TrackerError(f"`{called}` does not end: try it by hand") from None
        except OSError as error:
            raise TrackerError(f"{path}: cannot be run: {error.strerror}") from None
        out, errors = (output.decode(errors="replace") for output in (done.stdout, done.stderr))
        complaint = next((line.strip() for line in errors.splitlines() if line.strip()), "")
        return Result(done.returncode, out.strip(), printable(complaint).rstrip("."))

    def check(self, *words: str, hint: str = "") -> None:
        """As `run`, but raises TrackerError in the tool's own words where it fails."""
        result = self.run(*words)
        if not result.is_good:
            called = " ".join((self._program, *words))
            what = result.complaint or f"exit code {result.code}"
            raise TrackerError(f"`{called}` failed: {what}{hint}")

    def _path(self) -> str | None:
        return shutil.which(self._program, path=self._environ.get("PATH"))

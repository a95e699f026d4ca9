"""The program as a service of the user: a systemd user unit, or a launchd agent.

Both are a file that only the user can read, and some calls of the system's own tool. The file contains its own digest,
by which one that was edited since is recognized.
"""

import contextlib
import hashlib
import os
import plistlib
import re
import shutil
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

from monitor.core.errors import TrackerError
from monitor.core.sanitize import printable
from monitor.paths import state_folder
from monitor.system.files import private_folder, read_regular, write_private

PROXIES: Final[tuple[str, ...]] = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
INHERITED: Final = (
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
"""The variables of the shell that the service is given: the places of files and the way to the network.

None is a secret, except the password that a proxy's address may contain, which is left out.
"""

LIMIT_SECS: Final = 130
"""Limit of a call; more than systemd allows a service to stop and start."""

_STAMP: Final = re.compile(r"(?<=stamp:)[0-9a-f]{16}")
_BLANK: Final = "0" * 16

NOTE: Final = (
    "Written by `monitor service install`, which replaces it only while it is unedited."
    f" stamp:{_BLANK}"
)
"""The comment at the head of a service file, before the file is stamped."""


@dataclass(frozen=True, slots=True)
class Start:
    """The command line of the service, with absolute paths, and its environment variables.

    `without_login` names those from which a user and password were removed.
    """

    argv: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    without_login: tuple[str, ...] = ()


def start_of(
    argv0: str, python: str, environ: Mapping[str, str], config: Path | None = None
) -> Start:
    """Return how to start `monitor serve` of the installation that was called as `argv0` and runs on `python`."""
    program: tuple[str, ...] = (python, "-m", "monitor")
    # The path that was called, not what it links to: a link in ~/.local/bin outlives its target.
    for candidate in (Path(argv0), Path(python).with_name("monitor")):
        if candidate.name == "monitor" and candidate.is_file() and os.access(candidate, os.X_OK):
            program = (os.path.abspath(candidate),)  # noqa: PTH100 - keeps symlinks
            break
    flags = ("--config", os.path.abspath(config)) if config is not None else ()  # noqa: PTH100 - as above
    variables = {name: environ[name] for name in INHERITED if environ.get(name)}
    bare = {name: _without_login(variables[name]) for name in PROXIES if name in variables}
    without = tuple(name for name, address in bare.items() if address != variables[name])
    return Start((*program, "serve", *flags), {**variables, **bare}, without)


def _without_login(proxy: str) -> str:
    """Return the proxy's address without user and password; its scheme may be missing."""
    return re.sub(r"^([a-zA-Z][a-zA-Z0-9+.-]*://)?.*@", r"\1", proxy)


def stamp(text: str) -> str:
    """Return the text with its own digest instead of the zeros of `NOTE`."""
    return _STAMP.sub(_digest(text), text, count=1)


def is_unedited(text: str) -> bool:
    """Return whether the text is as `stamp` returned it."""
    found = _STAMP.search(text)
    return found is not None and found[0] == _digest(_STAMP.sub(_BLANK, text, count=1))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[: len(_BLANK)]


class Supervisor(ABC):
    """The system's service manager: its command line `tool`, and the file that defines the service.

    All methods raise TrackerError where the system refuses.
    """

    tool: ClassVar[tuple[str, ...]]
    """The program, which is looked up on the PATH of the environment, and the options of each call."""

    absent: ClassVar[str]
    """The error message where there is no such program."""

    def __init__(self, file: Path, environ: Mapping[str, str]) -> None:
        self._file = file
        self._environ = environ

    @abstractmethod
    def install(self, start: Start, *, force: bool) -> list[str]:
        """Write the file and start the service; returns lines for the user. `force` replaces an edited file."""

    @abstractmethod
    def uninstall(self) -> list[str]:
        """Stop the service and remove its files; returns lines for the user."""

    @abstractmethod
    def status(self) -> str:
        """Return a line for the user; where the service does not run, it is that of a TrackerError."""

    def _status(self, is_enabled: bool, is_running: bool, detail: str, logs: str) -> str:
        """Return the line of `status`; `detail` is the system's word for the state, `logs` says where the log is."""
        if not self._exists() and not is_running:
            raise TrackerError("the service is not installed: run `monitor service install`")
        is_installed = "installed" if self._exists() else "not installed"
        words = f"the service is {is_installed}, {'enabled' if is_enabled else 'not enabled'}"
        if is_running:
            return f"{words}, running"
        advice = f"see {logs}, or run `monitor service install`"
        raise TrackerError(f"{words}, not running ({detail or 'unknown'}); {advice}")

    def _exists(self) -> bool:
        """Return whether the file exists, if only as a broken link."""
        return os.path.lexists(self._file)

    def _check_unedited(self) -> None:
        if not self._exists():
            return
        try:
            found = read_regular(self._file).decode("utf-8", "replace")
        except OSError:
            found = ""
        if not is_unedited(found):
            raise TrackerError(
                f"{self._file}: this file was edited: pass --force to replace it by a new one"
            )

    def _write(self, text: str) -> None:
        try:
            write_private(self._file, stamp(text).encode())
        except OSError as error:
            raise TrackerError(f"{self._file}: cannot be written: {error.strerror}") from None

    def _tool(self) -> str:
        path = shutil.which(self.tool[0], path=self._environ.get("PATH"))
        if path is None:
            raise TrackerError(self.absent)
        return path

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the tool and wait for its end. Raises TrackerError only where that does not come."""
        path = self._tool()
        try:
            return subprocess.run(
                [path, *self.tool[1:], *words],
                env=dict(self._environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=LIMIT_SECS,
            )
        except subprocess.TimeoutExpired:
            command = " ".join((*self.tool, *words))
            raise TrackerError(f"`{command}` does not end: try it by hand") from None
        except OSError as error:
            raise TrackerError(f"{path}: cannot be run: {error.strerror}") from None

    def _call(self, *words: str, hint: str = "") -> None:
        """Run the tool. Raises TrackerError with its own message where it fails."""
        done = self._run(*words)
        if done.returncode:
            command = " ".join((*self.tool, *words))
            what = _complaint(done) or f"exit code {done.returncode}"
            raise TrackerError(f"`{command}` failed: {what}{hint}")


def _complaint(done: subprocess.CompletedProcess[str]) -> str:
    """Return the first line on standard error, safe to print."""
    lines = (line.strip() for line in done.stderr.splitlines())
    return printable(next(filter(None, lines), "")).rstrip(".")


def _remove(path: Path) -> bool:
    """Remove the file, and return whether there was one. Raises TrackerError where it cannot be removed."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise TrackerError(f"{path}: cannot be removed: {error.strerror}") from None
    return True


def supervisor_for(environ: Mapping[str, str], platform: str = sys.platform) -> Supervisor:
    """Return the user's own service supervisor."""
    home = Path(environ.get("HOME") or Path.home())
    if platform == "darwin":
        return LaunchAgent(home, Path(state_folder(environ)), os.getuid(), environ)
    given = Path(environ.get("XDG_CONFIG_HOME", ""))
    return SystemdUser(given if given.is_absolute() else home / ".config", environ)


# systemd

UNIT: Final = "claude-tracker.service"
LOGS: Final = "journalctl --user --unit claude-tracker"
WATCHDOG_SECS: Final = 60

_TEMPLATE: Final = """\
# {note}
# Edit it, or better add to it: systemctl --user edit claude-tracker

[Unit]
Description=Claude Tracker: watches the limits of Claude accounts

[Service]
Type=notify
{environment}ExecStart={command}
ExecReload=kill -HUP $MAINPID
Restart=on-failure
RestartSec=5
# a wrong setting: waits for a person
RestartPreventExitStatus=2
WatchdogSec={watchdog}
TimeoutStopSec=10
UMask=0077
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
{sandbox}
[Install]
WantedBy=default.target
"""

_SANDBOX: Final = """\
PrivateUsers=yes
CapabilityBoundingSet=
ProtectSystem=full
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
"""

_NO_SANDBOX: Final = frozenset({"217", "218", "226"})
"""The exit codes in systemd.exec(5) of a service whose users, capabilities or namespaces could not be set up."""


class SystemdUser(Supervisor):
    """A unit of systemd's user session; `config_home` is where the user's configuration is, commonly ~/.config.

    Most of the sandbox needs user namespaces, which some systems deny: where the service does not start with it, it is
    installed without. ProtectHome=, PrivateDevices= and PrivateTmp= would break programs that it starts: a
    `token_command` such as `pass`, whose gpg locks files in the home folder and asks a key on USB, or an alert command
    that opens a window.
    """

    tool = ("systemctl", "--user")
    absent = (
        "there is no systemd here (`systemctl` is not on the PATH):"
        " have your own service supervisor run `monitor serve`"
    )

    def __init__(self, config_home: Path, environ: Mapping[str, str]) -> None:
        self._folder = config_home / "systemd" / "user"
        super().__init__(self._folder / UNIT, environ)

    def install(self, start: Start, *, force: bool) -> list[str]:
        if not force:
            self._check_unedited()
        self._call(  # before anything is written
            "show",
            "--property=Version",
            hint="; log in as this user itself (not by su or sudo), or first run: loginctl enable-linger",
        )
        self._write(render_unit(start))
        self._call("daemon-reload")
        self._call("enable", UNIT)
        lines = [f"installed and started: {self._file}"]
        if self._run("restart", UNIT).returncode:
            shown = self._run("show", "--property=ExecMainStatus", UNIT)
            if shown.stdout.strip().partition("=")[2] in _NO_SANDBOX:
                self._write(render_unit(start, sandbox=False))
                self._call("daemon-reload")
                lines.append("without a sandbox: user namespaces are not available here")
            self._call("restart", UNIT, hint=f"; see `{LOGS}`")
        return [
            *lines,
            "it starts whenever you log in; to have it start with the machine: loginctl enable-linger",
            f"its log: {LOGS}",
        ]

    def uninstall(self) -> list[str]:
        was_there, complaint = self._exists(), ""
        try:
            self._call("show", "--property=Version")
            self._run("disable", "--now", UNIT)
        except TrackerError as error:
            complaint = str(error)
        # `disable` knows nothing of links where there is no unit, and systemd may be out of reach.
        wanting = [*self._folder.glob("*.wants"), *self._folder.glob("*.requires")]
        removed = [_remove(path) for path in (*(folder / UNIT for folder in wanting), self._file)]
        was_there |= any(removed)
        if not complaint:
            self._run("daemon-reload")
            self._run("reset-failed", UNIT)
        for folder in (*self._folder.glob("*.wants"), self._folder, self._folder.parent):
            with contextlib.suppress(OSError):  # it is not empty
                folder.rmdir()
        lines = ["the service is removed" if was_there else "there was no service to remove"]
        own = self._folder / f"{UNIT}.d"
        if own.is_dir():
            lines.append(f"your own additions are kept: {own}")
        if complaint and was_there:
            lines.append(f"it may still be running: {complaint}")
        return lines

    def status(self) -> str:
        active, enabled = self._run("is-active", UNIT), self._run("is-enabled", UNIT)
        detail = active.stdout.strip() or _complaint(active)
        return self._status(not enabled.returncode, not active.returncode, detail, f"`{LOGS}`")


def render_unit(start: Start, *, sandbox: bool = True) -> str:
    """Make a unit that keeps the program running for as long as the user's session lasts."""
    return _TEMPLATE.format(
        note=NOTE,
        command=_command(start.argv),
        environment="".join(
            f"Environment={_quote(f'{name}={value}')}\n" for name, value in start.variables.items()
        ),
        watchdog=WATCHDOG_SECS,
        sandbox=_SANDBOX if sandbox else "",
    )


def _command(argv: Sequence[str]) -> str:
    """Quote a command line; systemd accepts no program's path with a quote or a backslash in it."""
    program, *words = argv
    if re.search(r"[\\\"'\x00-\x1f\x7f]", program):
        program, words = "/usr/bin/env", [*argv]
    return " ".join([_quote(program), *(_quote(word.replace("$", "$$")) for word in words)])


def _quote(word: str) -> str:
    """Quote one word of a unit file: systemd.syntax(7) for quotes, systemd.unit(5) for the percent sign."""
    escaped = re.sub(r'[\\"]', r"\\\g<0>", word.replace("%", "%%"))
    escaped = re.sub(r"[\x00-\x1f\x7f]", lambda match: f"\\x{ord(match[0]):02x}", escaped)
    return escaped if re.fullmatch(r"[\w/.@:+,=%$-]+", escaped, re.ASCII) else f'"{escaped}"'


# launchd

LABEL: Final = "claude-tracker"
LOG: Final = "service.log"
_UNLOAD_SECS: Final = 15
_TICK_SECS: Final = 0.2


class LaunchAgent(Supervisor):
    """An agent of launchd, in the user's session, where the keychain and the notifications are.

    `home` holds Library/LaunchAgents; the log is written in `state`. See launchd.plist(5) and launchctl(1).
    """

    tool = ("launchctl",)
    absent = "`launchctl` is not on the PATH: add /bin to it"

    def __init__(self, home: Path, state: Path, uid: int, environ: Mapping[str, str]) -> None:
        super().__init__(home / "Library" / "LaunchAgents" / f"{LABEL}.plist", environ)
        self._log = state / LOG
        self._domain = f"gui/{uid}"
        self._target = f"{self._domain}/{LABEL}"

    def install(self, start: Start, *, force: bool) -> list[str]:
        if not force:
            self._check_unedited()
        self._tool()  # before anything is written
        try:
            private_folder(self._log.parent)  # launchd makes the log, not its folder
        except OSError as error:
            raise TrackerError(f"{self._log.parent}: cannot be made: {error.strerror}") from None
        self._write(render_agent(start, self._log, self._environ.get("PATH", "")))
        self._unload()
        self._call("enable", self._target)
        self._call("bootstrap", self._domain, str(self._file))
        return [
            f"installed and started: {self._file}",
            "it starts whenever you log in on this Mac",
            f"its log: {self._log}",
        ]

    def uninstall(self) -> list[str]:
        was_there = self._exists() | self._unload()
        _remove(self._file)
        _remove(self._log)
        return ["the service is removed" if was_there else "there was no service to remove"]

    def status(self) -> str:
        printed = self._run("print", self._target)
        is_loaded = not printed.returncode
        state = re.search(r"^\s*state = (.+)$", printed.stdout, re.MULTILINE)
        detail = state[1] if is_loaded and state else "not loaded"
        return self._status(is_loaded, detail == "running", detail, str(self._log))

    def _unload(self) -> bool:
        """Return whether it was loaded. launchd takes its time, and refuses to load again what it has not let go of."""
        if self._run("print", self._target).returncode:
            return False
        self._run("bootout", self._target)
        for _ in range(round(_UNLOAD_SECS / _TICK_SECS)):
            if self._run("print", self._target).returncode:
                return True
            time.sleep(_TICK_SECS)
        raise TrackerError(f"launchd does not let go of it: try `launchctl bootout {self._target}`")


def render_agent(start: Start, log: Path, path: str) -> str:
    """Make a property list that keeps the program running; launchd's own PATH would find no notifier and no `pass`."""
    variables = {"PATH": path, **start.variables} if path else dict(start.variables)
    document = plistlib.dumps(
        {
            "Label": LABEL,
            "ProgramArguments": list(start.argv),
            "EnvironmentVariables": variables,
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ProcessType": "Background",
            "ExitTimeOut": 10,
            "Umask": 0o077,
            "StandardErrorPath": str(log),
        },
        sort_keys=False,
    ).decode()
    head, rest = document.split("<plist", 1)
    return f"{head}<!-- {NOTE} -->\n<plist{rest}"

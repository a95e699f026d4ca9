"""The service as a systemd user unit: its text, its file and links, and what `systemctl --user` is to do.

Most of what the unit forbids needs user namespaces, which some systems deny; there the service does not start, and is
installed without. A home folder, devices and temporary files of its own (ProtectHome=, PrivateDevices=, PrivateTmp=)
would break what it starts: a `token_command` such as `pass`, whose gpg writes its locks in the home folder and asks a
key on USB, or an alert command that opens a window.
"""

import contextlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from monitor.core.errors import TrackerError
from monitor.service.supervisor import NOTE, ServiceFile, ServiceStatus, Start, Tool

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
"""Exit codes of systemd.exec(5): it could not set up users, capabilities or namespaces."""

_ABSENT: Final = (
    "there is no systemd here (`systemctl` is not on the PATH):"
    " have your own service supervisor run `monitor serve`"
)


class SystemdUser:
    """`config_home` is where the user's configuration is kept, commonly ~/.config."""

    def __init__(self, config_home: Path, environ: Mapping[str, str]) -> None:
        self._folder = config_home / "systemd" / "user"
        self._file = ServiceFile(self._folder / UNIT)
        self._systemctl = Tool("systemctl", environ)

    def install(self, start: Start, *, force: bool) -> list[str]:
        self._file.check(force=force)
        self._check_session()
        self._file.write(render_unit(start))
        self._call("daemon-reload")
        self._call("enable", UNIT)
        lines = [f"installed and started: {self._file.path}"]
        if not self._systemctl.run("--user", "restart", UNIT).is_good:
            if self._has_no_sandbox():
                self._file.write(render_unit(start, sandbox=False))
                self._call("daemon-reload")
                lines.append("without a sandbox: user namespaces are not available here")
            self._call("restart", UNIT, hint=f"; see `{LOGS}`")
        return [
            *lines,
            "it starts whenever you log in; to have it start with the machine: loginctl enable-linger",
            f"its log: {LOGS}",
        ]

    def uninstall(self) -> list[str]:
        was_there = self._file.exists()
        complaint = self._stop()
        was_there |= self._remove_links() | self._file.remove()
        if not complaint:
            self._systemctl.run("--user", "daemon-reload")
            self._systemctl.run("--user", "reset-failed", UNIT)
        self._tidy()
        lines = ["the service is removed" if was_there else "there was no service to remove"]
        own = self._folder / f"{UNIT}.d"
        if own.is_dir():
            lines.append(f"your own additions are kept: {own}")
        if complaint and was_there:
            lines.append(f"it may still be running: {complaint}")
        return lines

    def status(self) -> ServiceStatus:
        if not self._systemctl.exists():
            raise TrackerError(_ABSENT)
        enabled = self._systemctl.run("--user", "is-enabled", UNIT)
        active = self._systemctl.run("--user", "is-active", UNIT)
        return ServiceStatus(
            is_installed=self._file.exists(),
            is_enabled=enabled.is_good,
            is_running=active.is_good,
            detail=active.out or active.complaint,
            logs=f"`{LOGS}`",
        )

    def _check_session(self) -> None:
        """Raise TrackerError, before anything is written, where no user session could start the service."""
        if not self._systemctl.exists():
            raise TrackerError(_ABSENT)
        hint = (
            "; log in as this user itself (not by su or sudo), or first run: loginctl enable-linger"
        )
        self._call("show", "--property=Version", hint=hint)

    def _has_no_sandbox(self) -> bool:
        shown = self._systemctl.run("--user", "show", "--property=ExecMainStatus", UNIT)
        return shown.out.partition("=")[2] in _NO_SANDBOX

    def _call(self, *words: str, hint: str = "") -> None:
        self._systemctl.check("--user", *words, hint=hint)

    def _stop(self) -> str:
        """Stop and disable it. Returns why systemd could not be asked to, else nothing."""
        try:
            self._call("show", "--property=Version")
        except TrackerError as error:
            return str(error)
        self._systemctl.run("--user", "disable", "--now", UNIT)
        return ""

    def _remove_links(self) -> bool:
        """`disable` knows nothing of links where there is no unit, and systemd may be out of reach."""
        folders = [*self._folder.glob("*.wants"), *self._folder.glob("*.requires")]
        removed = [ServiceFile(folder / UNIT).remove() for folder in folders]
        return any(removed)

    def _tidy(self) -> None:
        """Remove the folders that are empty now."""
        for folder in (*self._folder.glob("*.wants"), self._folder, self._folder.parent):
            with contextlib.suppress(OSError):
                folder.rmdir()


def render_unit(start: Start, *, sandbox: bool = True) -> str:
    """A unit that keeps the program running for as long as the user's session lasts."""
    return _TEMPLATE.format(
        note=NOTE,
        command=_command(start.argv),
        environment="".join(
            f"Environment={_quoted(f'{name}={value}')}\n" for name, value in start.variables.items()
        ),
        watchdog=WATCHDOG_SECS,
        sandbox=_SANDBOX if sandbox else "",
    )


def _command(argv: Sequence[str]) -> str:
    """systemd takes a program's path literally, and none with a quote or a backslash in it."""
    program, *words = argv
    if re.search(r"[\\\"'\x00-\x1f\x7f]", program):
        program, words = "/usr/bin/env", [*argv]
    return " ".join([_quoted(program), *(_quoted(word.replace("$", "$$")) for word in words)])


def _quoted(word: str) -> str:
    """One word of a unit file: systemd.syntax(7) for quotes, systemd.unit(5) for the percent sign."""
    escaped = re.sub(r'[\\"]', r"\\\g<0>", word.replace("%", "%%"))
    escaped = re.sub(r"[\x00-\x1f\x7f]", lambda match: f"\\x{ord(match[0]):02x}", escaped)
    return escaped if re.fullmatch(r"[\w/.@:+,=%$-]+", escaped, re.ASCII) else f'"{escaped}"'

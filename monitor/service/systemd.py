"""The service as a systemd user unit: its file, its links, and what `systemctl --user` is asked to do."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from monitor.core.errors import TrackerError
from monitor.service.command import Start
from monitor.service.file import ServiceFile
from monitor.service.runner import Calls
from monitor.service.status import Standing
from monitor.service.unit import render_unit

UNIT: Final = "claude-tracker.service"
LOGS: Final = "journalctl --user --unit claude-tracker"
_ABSENT: Final = (
    "there is no systemd here (`systemctl` is not on the PATH):"
    " have your own service supervisor run `monitor serve`"
)


class SystemdUser:
    """`config_home` is where the user's configuration is kept, commonly ~/.config."""

    def __init__(self, config_home: Path, environ: Mapping[str, str]) -> None:
        self._folder = config_home / "systemd" / "user"
        self._file = ServiceFile(self._folder / UNIT)
        self._systemctl = Calls("systemctl", environ)

    def install(self, start: Start, *, force: bool) -> list[str]:
        self._file.check(force=force)
        self._reach()
        self._file.write(render_unit(start))
        self._call("daemon-reload")
        self._call("enable", UNIT)
        self._call("restart", UNIT, hint=f"; see `{LOGS}`")
        return [
            f"installed and started: {self._file.path}",
            "it starts whenever you log in; to have it start with the machine: loginctl enable-linger",
            f"its log: {LOGS}",
        ]

    def uninstall(self) -> list[str]:
        was_there = self._file.exists()
        complaint = self._stopped()
        was_there |= self._links_removed() | self._file.remove()
        if not complaint:
            self._systemctl.ask("--user", "daemon-reload")
            self._systemctl.ask("--user", "reset-failed", UNIT)
        self._tidy()
        told = ["the service is removed" if was_there else "there was no service to remove"]
        return told + self._left(complaint if was_there else "")

    def standing(self) -> Standing:
        if not self._systemctl.is_there():
            raise TrackerError(_ABSENT)
        enabled = self._systemctl.ask("--user", "is-enabled", UNIT)
        active = self._systemctl.ask("--user", "is-active", UNIT)
        return Standing(
            is_installed=self._file.exists(),
            is_enabled=enabled.is_good,
            is_running=active.is_good,
            detail=active.out or active.complaint,
            logs=f"`{LOGS}`",
        )

    def _reach(self) -> None:
        """Before anything is written: without a user session there is nobody to start the service."""
        if not self._systemctl.is_there():
            raise TrackerError(_ABSENT)
        hint = (
            "; log in as this user itself (not by su or sudo), or first run: loginctl enable-linger"
        )
        self._call("show", "--property=Version", hint=hint)

    def _call(self, *words: str, hint: str = "") -> None:
        self._systemctl.do("--user", *words, hint=hint)

    def _stopped(self) -> str:
        """Stop and disable it; says why, where nobody could be asked to."""
        try:
            self._call("show", "--property=Version")
        except TrackerError as error:
            return str(error)
        self._systemctl.ask("--user", "disable", "--now", UNIT)
        return ""

    def _links_removed(self) -> bool:
        """What `disable` did not: it knows nothing of links where there is no unit, and may be out of reach."""
        folders = [*self._folder.glob("*.wants"), *self._folder.glob("*.requires")]
        removed = [ServiceFile(folder / UNIT).remove() for folder in folders]
        return any(removed)

    def _tidy(self) -> None:
        """Folders that nothing is left in go too; nobody misses them."""
        for folder in (*self._folder.glob("*.wants"), self._folder, self._folder.parent):
            with contextlib.suppress(OSError):
                folder.rmdir()

    def _left(self, complaint: str) -> list[str]:
        own = self._folder / f"{UNIT}.d"
        kept = [f"your own additions are kept: {own}"] if own.is_dir() else []
        return kept + ([f"it may still be running: {complaint}"] if complaint else [])

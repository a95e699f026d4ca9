"""Which supervisor this system has."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from monitor.core.errors import TrackerError
from monitor.paths import state_folder
from monitor.service.command import Start
from monitor.service.launchd import LaunchAgent
from monitor.service.status import Standing
from monitor.service.systemd import SystemdUser


class Supervisor(Protocol):
    """Each raises TrackerError where the system refuses; `install` and `uninstall` return lines for the user."""

    def install(self, start: Start, *, force: bool) -> list[str]: ...

    def uninstall(self) -> list[str]: ...

    def standing(self) -> Standing: ...


def supervisor_for(environ: Mapping[str, str], platform: str = sys.platform) -> Supervisor:
    """The user's own service supervisor. Raises TrackerError on Windows."""
    if platform == "win32":
        raise TrackerError(
            "services are not supported on Windows: have its Task Scheduler run `monitor serve` at log-on"
        )
    home = Path(environ.get("HOME") or Path.home())
    if platform == "darwin":
        return LaunchAgent(home, Path(state_folder(environ)), os.getuid(), environ)
    given = Path(environ.get("XDG_CONFIG_HOME", ""))
    return SystemdUser(given if given.is_absolute() else home / ".config", environ)

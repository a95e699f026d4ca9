"""The program as a service of the user: a systemd user unit, or a launchd agent."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from monitor.paths import state_folder
from monitor.service.launchd import LaunchAgent
from monitor.service.supervisor import ServiceStatus, Start, Supervisor, start_of
from monitor.service.systemd import SystemdUser

__all__ = ["ServiceStatus", "Start", "Supervisor", "start_of", "supervisor_for"]


def supervisor_for(environ: Mapping[str, str], platform: str = sys.platform) -> Supervisor:
    """The user's own service supervisor."""
    home = Path(environ.get("HOME") or Path.home())
    if platform == "darwin":
        return LaunchAgent(home, Path(state_folder(environ)), os.getuid(), environ)
    given = Path(environ.get("XDG_CONFIG_HOME", ""))
    return SystemdUser(given if given.is_absolute() else home / ".config", environ)

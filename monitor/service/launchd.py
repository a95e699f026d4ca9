"""The service as a launchd agent: in the user's session, where the keychain and the notifications are.

See launchd.plist(5) and launchctl(1).
"""

import plistlib
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from monitor.core.errors import TrackerError
from monitor.service.supervisor import NOTE, Result, ServiceFile, ServiceStatus, Start, Tool
from monitor.system.files import private_folder

LABEL: Final = "claude-tracker"
LOG: Final = "service.log"
_UNLOAD_SECS: Final = 15
_TICK_SECS: Final = 0.2


class LaunchAgent:
    """`home` holds Library/LaunchAgents; the log is written in `state`."""

    def __init__(
        self,
        home: Path,
        state: Path,
        uid: int,
        environ: Mapping[str, str],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._file = ServiceFile(home / "Library" / "LaunchAgents" / f"{LABEL}.plist")
        self._log = state / LOG
        self._domain = f"gui/{uid}"
        self._path = environ.get("PATH", "")
        self._launchctl = Tool("launchctl", environ)
        self._sleep = sleep

    def install(self, start: Start, *, force: bool) -> list[str]:
        self._file.check(force=force)
        self._check_tool()
        try:
            private_folder(self._log.parent)  # launchd makes the log, not its folder
        except OSError as error:
            raise TrackerError(f"{self._log.parent}: cannot be made: {error.strerror}") from None
        self._file.write(render_agent(start, self._log, self._path))
        self._unload()
        self._launchctl.check("enable", self._target)
        self._launchctl.check("bootstrap", self._domain, str(self._file.path))
        return [
            f"installed and started: {self._file.path}",
            "it starts whenever you log in on this Mac",
            f"its log: {self._log}",
        ]

    def uninstall(self) -> list[str]:
        was_there = self._file.exists()
        if self._launchctl.exists():
            was_there |= self._unload()
        self._file.remove()
        ServiceFile(self._log).remove()
        return ["the service is removed" if was_there else "there was no service to remove"]

    def status(self) -> ServiceStatus:
        self._check_tool()
        printed = self._print()
        state = (
            re.search(r"^\s*state = (.+)$", printed.out, re.MULTILINE) if printed.is_good else None
        )
        detail = state[1] if state else "not loaded"
        return ServiceStatus(
            is_installed=self._file.exists(),
            is_enabled=printed.is_good,
            is_running=detail == "running",
            detail=detail,
            logs=str(self._log),
        )

    @property
    def _target(self) -> str:
        return f"{self._domain}/{LABEL}"

    def _check_tool(self) -> None:
        if not self._launchctl.exists():
            raise TrackerError("`launchctl` is not on the PATH: add /bin to it")

    def _print(self) -> Result:
        return self._launchctl.run("print", self._target)

    def _unload(self) -> bool:
        """Return whether it was loaded. launchd takes its time, and refuses to load again what it has not let go of."""
        if not self._print().is_good:
            return False
        self._launchctl.run("bootout", self._target)
        for _ in range(round(_UNLOAD_SECS / _TICK_SECS)):
            if not self._print().is_good:
                return True
            self._sleep(_TICK_SECS)
        raise TrackerError(f"launchd does not let go of it: try `launchctl bootout {self._target}`")


def render_agent(start: Start, log: Path, path: str) -> str:
    """A property list that keeps the program running; launchd's own PATH would find no notifier and no `pass`."""
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

"""A real notification daemon, dunst, on a private bus and a screen that nobody sees."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tests.real.bus import Bus, private_bus, running, wait_until
from tests.real.need import need

NAME = "org.freedesktop.Notifications"

_DUNSTRC = """[global]
history_length=1000
notification_limit=0
idle_threshold=0
stack_duplicates=false
"""


class Notice(NamedTuple):
    """A notification as the daemon keeps it."""

    summary: str
    body: str
    appname: str


@dataclass(frozen=True)
class Desktop:
    """`env` is what a program needs to find the daemon and nothing of the user's."""

    bus: Bus
    env: dict[str, str]
    daemon: subprocess.Popen[bytes]

    def history(self) -> list[Notice]:
        """Every notification that was shown, oldest first."""
        self._dunstctl("close-all")
        document = json.loads(self._dunstctl("history"))
        return [_notice(entry) for entry in reversed(document["data"][0])]

    def _dunstctl(self, *words: str) -> str:
        argv = ["dunstctl", *words]
        done = subprocess.run(
            argv, env=self.env, capture_output=True, text=True, check=True, timeout=10
        )
        return done.stdout


@contextmanager
def desktop(folder: Path, look: str = "") -> Iterator[Desktop]:
    """A session bus in `folder`, with dunst on it, which has this look."""
    need("dunst", "dunstctl", "Xvfb")
    for name in ("bus", "display"):
        (folder / name).unlink(missing_ok=True)  # of an earlier session in this folder
    with (
        private_bus(folder) as bus,
        screen(folder) as display,
        dunst(folder, bus, display, look) as it,
    ):
        yield it


@contextmanager
def screen(folder: Path) -> Iterator[str]:
    """An X server without a monitor; it picks a free display number itself, and yields it."""
    number = folder / "display"
    server = "exec Xvfb -displayfd 3 -screen 0 640x480x24 -nolisten tcp 3>$0"
    with running(["sh", "-c", server, str(number)]):
        wait_until(lambda: number.exists() and number.read_text().endswith("\n"), "Xvfb")
        yield f":{number.read_text().strip()}"


@contextmanager
def dunst(folder: Path, bus: Bus, display: str, look: str = "") -> Iterator[Desktop]:
    """The daemon, once it answers on the bus."""
    config = folder / "dunstrc"
    config.write_text(look or _DUNSTRC)
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "DISPLAY": display,
        "DBUS_SESSION_BUS_ADDRESS": bus.address,
        "LC_ALL": "C.UTF-8",
    }
    with running(["dunst", "-config", str(config)], env=env) as daemon:
        wait_until(lambda: bus.owns(NAME), "dunst")
        yield Desktop(bus, env, daemon)


def _notice(entry: dict[str, Any]) -> Notice:
    return Notice(*(entry[key]["data"] for key in Notice._fields))

"""Notices from this service to systemd, and the listening sockets that systemd passes to it.

Nothing here raises or blocks; without systemd, nothing is sent.
See sd_notify(3), sd_watchdog_enabled(3) and sd_listen_fds(3).
"""

import contextlib
import os
import socket
import time
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Final, NoReturn

from monitor.system.clock import Clock

FIRST_PASSED: Final = 3
"""Passed sockets have the numbers that follow those of the standard streams."""

PASSED_MAX: Final = 64


class Notices:
    """Notices to the service manager; None for the address sends nothing."""

    def __init__(self, address: str | None) -> None:
        self._address = address

    def ready(self) -> None:
        """Say that start-up, or a reload, has ended."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """Say that the settings are being read again; `ready` must follow."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that the service is stopping."""
        self._tell("STOPPING=1")

    def status(self, text: str) -> None:
        """Send the one line that `systemctl status` shows."""
        self._tell(f"STATUS={' '.join(text.split())}")

    def watchdog(self) -> None:
        """Say that the loop still runs."""
        self._tell("WATCHDOG=1")

    def _tell(self, notice: str) -> None:
        """Send a notice; it is lost where systemd does not read now, since waiting would stop the loop."""
        if self._address is None:
            return
        with (
            contextlib.suppress(OSError, ValueError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
        ):
            sender.setblocking(False)
            sender.sendto(notice.encode(), self._address)


def open_notices(environ: MutableMapping[str, str]) -> Notices:
    """Open `$NOTIFY_SOCKET`, and remove it from the environment: programs that we start are not the service."""
    address = environ.pop("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return Notices(None)
    return Notices("\0" + address[1:] if address[0] == "@" else address)


def watchdog_secs(environ: Mapping[str, str], pid: int) -> float | None:
    """Return the seconds between two notices, half of what systemd allows; None where it watches another process."""
    usec = _number(environ.get("WATCHDOG_USEC"))
    if not usec or environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return usec / 2 / 1_000_000


async def feed_watchdog(notices: Notices, secs: float, clock: Clock) -> NoReturn:
    """Say every `secs` seconds that the loop is not stuck."""
    while True:
        notices.watchdog()
        await clock.sleep(secs)


@dataclass(frozen=True, slots=True)
class PassedSockets:
    """Listening sockets that systemd opened for us: `metrics` are TCP ones, `control` is a Unix one."""

    metrics: tuple[socket.socket, ...] = ()
    control: socket.socket | None = None


def take_sockets(environ: MutableMapping[str, str], pid: int) -> PassedSockets:
    """Take the sockets that systemd passes to this process; a second call has none, and no child inherits them.

    Their families say what each is for, since the names in the unit may be wrong. The rest are closed.
    """
    given = {key: environ.pop(f"LISTEN_{key}", None) for key in ("PID", "FDS", "FDNAMES")}
    count = min(_number(given["FDS"]), PASSED_MAX) if given["PID"] == str(pid) else 0
    metrics: list[socket.socket] = []
    control: socket.socket | None = None
    for number in range(FIRST_PASSED, FIRST_PASSED + count):
        try:
            os.set_inheritable(number, False)
            passed = socket.socket(fileno=number)
        except OSError:  # no socket, or nothing at all
            continue
        passed.setblocking(False)
        listens = False
        with contextlib.suppress(OSError):
            accepts = bool(passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
            listens = accepts and passed.type == socket.SOCK_STREAM
        if listens and passed.family in (socket.AF_INET, socket.AF_INET6):
            metrics.append(passed)
        elif listens and passed.family == socket.AF_UNIX and control is None:
            control = passed
        else:
            passed.close()
    return PassedSockets(tuple(metrics), control)


def _number(text: str | None) -> int:
    """Parse a whole number; 0 where the text is none."""
    return int(text) if text is not None and text.isdecimal() and text.isascii() else 0

"""The talk between systemd and a service: notices of ours to it, listening sockets from it to us.

Nothing here raises or blocks: without systemd there is nobody to tell, and that is no failure.
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
    """Tells the service manager how we are; says nothing where there is none."""

    def __init__(self, address: str | None) -> None:
        self._address = address

    def ready(self) -> None:
        """All that start-up has to do is done, or a reload is."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """The settings are being read anew; `ready` is to follow."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The end has begun."""
        self._tell("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for people, as `systemctl status` shows it."""
        self._tell(f"STATUS={' '.join(text.split())}")

    def watchdog(self) -> None:
        """We are alive: the loop still runs."""
        self._tell("WATCHDOG=1")

    def _tell(self, notice: str) -> None:
        """Lost where systemd does not read just now: waiting would stop the loop."""
        if self._address is None:
            return
        with (
            contextlib.suppress(OSError, ValueError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
        ):
            sender.setblocking(False)
            sender.sendto(notice.encode(), self._address)


def notices(environ: MutableMapping[str, str]) -> Notices:
    """Notices to `$NOTIFY_SOCKET`, taken out of the environment: programs that we start are not the service."""
    address = environ.pop("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return Notices(None)
    return Notices("\0" + address[1:] if address[0] == "@" else address)


def watchdog_secs(environ: Mapping[str, str], pid: int) -> float | None:
    """The seconds between two signs of life: twice as often as systemd asks for; None where it does not ask us."""
    usec = _number(environ.get("WATCHDOG_USEC"))
    if not usec or environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return usec / 2 / 1_000_000


async def watch(told: Notices, secs: float, clock: Clock) -> NoReturn:
    """Say every `secs` seconds, from the loop itself, that it is not stuck."""
    while True:
        told.watchdog()
        await clock.sleep(secs)


@dataclass(frozen=True, slots=True)
class Passed:
    """Listening sockets that systemd opened for us: `metrics` are TCP ones, `control` is a Unix one."""

    metrics: tuple[socket.socket, ...] = ()
    control: socket.socket | None = None


def passed_sockets(environ: MutableMapping[str, str], pid: int) -> Passed:
    """The sockets that systemd hands to this process; no child of ours inherits them, and asked again, there are none.

    Which is for what, their families say, since names in the unit need not be right. The rest are closed.
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
    return Passed(tuple(metrics), control)


def _number(text: str | None) -> int:
    """The count that the text says; 0 where it says none."""
    return int(text) if text is not None and text.isdecimal() and text.isascii() else 0

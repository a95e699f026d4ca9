"""A private D-Bus session bus without service activation, so that nothing starts by surprise."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.real.need import need

_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/>
<allow eavesdrop="true"/><allow own="*"/></policy></busconfig>"""


@dataclass(frozen=True)
class Bus:
    address: str

    def owns(self, name: str) -> bool:
        """Whether somebody on the bus answers to this name."""
        done = subprocess.run(
            [
                "dbus-send", f"--bus={self.address}", "--print-reply",
                "--dest=org.freedesktop.DBus", "/", "org.freedesktop.DBus.NameHasOwner",
                f"string:{name}",
            ],
            capture_output=True,
            text=True,
        )  # fmt: skip
        return "boolean true" in done.stdout


def wait_until(condition: Callable[[], object], what: str, seconds: float = 15) -> None:
    """Poll a condition of another process; fails with `what` when time is up."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.02)


@contextmanager
def private_bus(folder: Path) -> Iterator[Bus]:
    need("dbus-daemon", "dbus-send")
    socket = folder / "bus"
    config = folder / "bus.conf"
    config.write_text(_CONFIG.format(socket=socket))
    with running(["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile"]):
        wait_until(socket.exists, "the private bus")
        yield Bus(f"unix:path={socket}")


@contextmanager
def running(
    argv: list[str], env: dict[str, str] | None = None, stdin: bytes | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process for the time of the block, ended and reaped after it."""
    process = subprocess.Popen(
        argv,
        env=env,
        stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        if stdin is not None and process.stdin is not None:
            process.stdin.write(stdin)
            process.stdin.close()
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

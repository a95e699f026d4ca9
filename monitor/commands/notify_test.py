"""`monitor notify-test`: one notification by every channel, and the result of each."""

import asyncio
import contextlib
import os
import sys
from argparse import Namespace
from collections.abc import Callable

from monitor.commands.opening import settings_of
from monitor.core.effects import Alert, AlertKind
from monitor.core.errors import TrackerError
from monitor.notify.build import build_channel_set
from monitor.notify.channel import send_to_each
from monitor.system import logs
from monitor.system.clock import SystemClock


def notify_test(arguments: Namespace) -> int:
    """Raises TrackerError where no channel could send it."""
    logs.configure("CRITICAL")
    clock = SystemClock()
    channels = build_channel_set(settings_of(arguments), _terminal_writer(), clock)
    if not channels.chains:
        raise TrackerError(
            "notifications are off: see notifications.enabled and notifications.channels"
        )
    test = Alert(AlertKind.TEST, "", "", clock.now())
    outcomes = asyncio.run(send_to_each(channels, test, lambda _: None, clock))
    for outcome in outcomes:
        print(f"{outcome.channel}: {outcome.detail}")
    if all(outcome.failure for outcome in outcomes):
        sys.stdout.flush()  # the line below comes last
        raise TrackerError("every channel failed: run `monitor doctor`")
    if sys.platform == "darwin":
        print("macOS silently drops notifications without permission: did you see one?")
    return 0


def _terminal_writer() -> Callable[[bytes], None] | None:
    """Writes to the terminal that we run on; None where there is none."""
    if not sys.stdout.isatty():
        return None

    def write(data: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(sys.stdout.fileno(), data)

    return write

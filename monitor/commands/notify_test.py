"""`monitor notify-test`: one notification by every channel, and the result of each.

The running monitor sends it, as it sends alerts; without one this process does.
"""

import asyncio
import os
import sys
from argparse import Namespace
from collections.abc import Sequence

from monitor.commands.startup import settings_of
from monitor.core.alerts.text import format_alerts
from monitor.core.commands import SendTest, encode_request
from monitor.core.effects import Alert, AlertKind
from monitor.core.errors import TrackerError
from monitor.fast_path import socket_of
from monitor.ipc.client import ask
from monitor.ipc.protocol import refusal
from monitor.notify.build import build_channel_set
from monitor.notify.channel import NOTIFICATIONS_OFF, send_to_each
from monitor.system import logs
from monitor.system.clock import SystemClock

LIMIT_SECS = 60.0
"""Of all channels together, where one after the other does not answer."""


def notify_test(arguments: Namespace) -> int:
    """Raises TrackerError where no channel could send it."""
    logs.configure("CRITICAL")
    settings = settings_of(arguments)
    reply = ask(socket_of(arguments), encode_request(SendTest()), LIMIT_SECS)
    if reply is not None:
        code, text = reply
        if code:
            raise refusal(code, text)
        print(f"the running monitor sent a test:\n{text.decode(errors='replace').strip()}")
    else:
        clock = SystemClock()
        channels = build_channel_set(settings, _show if sys.stdout.isatty() else None, clock)
        if not channels.chains:
            raise TrackerError(NOTIFICATIONS_OFF)
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


async def _show(alerts: Sequence[Alert], sequence: bytes) -> None:
    """Print the alerts, and write the sequence to the terminal that we run on."""
    message = format_alerts(alerts)
    os.write(sys.stdout.fileno(), f"{message.title}: {message.body}\n".encode() + sequence)

"""`monitor mute`, `reload` and `notify-test`: orders that the running monitor carries out, or notices."""

import asyncio
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from typing import Final

from monitor.commands.queries import settings_of
from monitor.core.alerts.rules import Alert, AlertKind
from monitor.core.alerts.text import format_alerts
from monitor.core.commands import Reload, SendTest, encode_request
from monitor.core.errors import SettingsError, TrackerError
from monitor.fast_path import socket_of
from monitor.ipc.client import order
from monitor.notify.channel import NOTIFICATIONS_OFF, send_to_each
from monitor.notify.channels import build_channel_set
from monitor.settings import parse_duration, state_db
from monitor.storage import cache
from monitor.storage.db import StateFile, read_only
from monitor.system import logs
from monitor.system.clock import SystemClock

BUSY_SECS: Final = 5.0
RELOAD_SECS: Final = 10.0
TEST_SECS: Final = 60.0
"""Of all channels together, where one after the other does not answer."""


def mute(arguments: Namespace) -> int:
    """Mute for the duration, end the mute by `off`, or without either print the present one.

    A running instance notices within seconds.
    """
    path = state_db(os.environ)
    now = cache.true_now(path)
    if arguments.duration is not None:
        until = None
        if arguments.duration != "off":
            duration = parse_duration(arguments.duration)
            if duration == timedelta(0):
                raise SettingsError("the duration is zero: `monitor mute off` ends a mute")
            until = now + duration
        with closing(StateFile(path, busy_secs=BUSY_SECS)) as file:
            file.write(lambda database: cache.put_mute(database, until))
    print(cache.mute_words(cache.current_mute(read_only(path, cache.muted_until, None), now), now))
    return 0


def reload(arguments: Namespace) -> int:
    """Have the running monitor reload its settings, all or none. Raises TrackerError where none runs, or it refuses."""
    text = order(socket_of(arguments), encode_request(Reload()), RELOAD_SECS)
    if text is None:
        raise TrackerError("no monitor runs: start `monitor serve`, or `monitor tui`")
    print(text)
    return 0


def notify_test(arguments: Namespace) -> int:
    """Send one notification by every channel, and print the result of each. Raises TrackerError where all failed.

    The running monitor sends it, as it sends alerts; without one this process does.
    """
    logs.configure("CRITICAL")
    settings = settings_of(arguments)
    text = order(socket_of(arguments), encode_request(SendTest()), TEST_SECS)
    if text is not None:
        print(f"the running monitor sent a test:\n{text}")
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

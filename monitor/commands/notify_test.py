"""`monitor notify-test`: one notification through every channel, and what became of each."""

import asyncio
import contextlib
import os
import sys
from argparse import Namespace
from collections.abc import Callable

from monitor.commands.opening import settings_of
from monitor.core.effects import Alert, AlertKind, Effect
from monitor.core.errors import TrackerError
from monitor.notify import Notifier, Outcome
from monitor.notify.channel_set import build_channel_set
from monitor.system import logs
from monitor.system.clock import SystemClock


def notify_test(arguments: Namespace) -> int:
    """Raises TrackerError where no channel told it."""
    logs.configure("CRITICAL")
    return asyncio.run(_notify_test(arguments))


async def _notify_test(arguments: Namespace) -> int:
    clock = SystemClock()
    telling = build_channel_set(settings_of(arguments), _terminal_writer(), clock)
    if not telling.chains:
        raise TrackerError(
            "notifications are off: see notifications.enabled and notifications.channels"
        )
    notifier = Notifier(telling.chains, _no_effect, _forget, clock, limits=telling.limits)
    outcomes = await notifier.test_all(Alert(AlertKind.TEST, "", "", clock.now()))
    for outcome in outcomes:
        print(f"{outcome.channel}: {outcome.detail}")
    if sys.platform == "darwin" and any(_was_told(outcome) for outcome in outcomes):
        print(
            "macOS drops notifications that it has no permission for, and says nothing: did you see one?"
        )
    if not any(_was_told(outcome) for outcome in outcomes):
        sys.stdout.flush()  # the line below comes last
        raise TrackerError("every channel failed: run `monitor doctor`")
    return 0


def _was_told(outcome: Outcome) -> bool:
    return outcome.failure is None


def _terminal_writer() -> Callable[[bytes], None] | None:
    """Writes to the terminal that we run on; None where there is none."""
    if not sys.stdout.isatty():
        return None

    def write(data: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(sys.stdout.fileno(), data)

    return write


async def _no_effect() -> Effect:
    never: asyncio.Future[Effect] = asyncio.get_running_loop().create_future()
    return await never


def _forget(_: object) -> None:
    """There is no state here that could count outcomes."""

"""Waiting with a limit, on a clock that tests can turn."""

import asyncio
from typing import Any

from monitor.system.clock import Clock


async def done_within(clock: Clock, seconds: float, task: asyncio.Task[Any]) -> bool:
    """Whether the task ends in time; where it does not, or the wait is cancelled, it is cancelled."""
    timer = asyncio.create_task(clock.sleep(seconds))
    try:
        await asyncio.wait((task, timer), return_when=asyncio.FIRST_COMPLETED)
        return task.done()
    finally:
        timer.cancel()
        task.cancel()


async def woken(clock: Clock, event: asyncio.Event, seconds: float | None) -> None:
    """Wait for the event, at most so long (None: forever); it is then clear again."""
    waiting = asyncio.create_task(event.wait())
    try:
        if seconds is None:
            await waiting
        else:
            await done_within(clock, seconds, waiting)
    finally:
        waiting.cancel()
    event.clear()


async def seen_through(clock: Clock, grace: float, task: asyncio.Task[Any]) -> None:
    """Wait for the task; where that is cancelled, the task still has a moment to end by itself."""
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        if not await done_within(clock, grace, task):
            await asyncio.wait((task,))
        raise

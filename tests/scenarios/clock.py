"""A clock for days that pass in seconds, while what the program asks of files, sockets and programs is real."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

from tests.fakes import FakeClock, settle

PATIENCE_SECS = 30.0
"""So long, in real seconds, may all of them take to come to rest."""

LOOK_SECS = 0.005
"""Between two looks, in real seconds, since not all say that they have come to rest."""


class DayClock(FakeClock):
    """Knows which tasks sleep on it, by their names: whoever does not is still at work.

    `at_each_move` is what else happens in the world, before anybody wakes.
    """

    def __init__(self, now: datetime) -> None:
        super().__init__(now)
        self._asleep: dict[str, int] = {}
        self._stirred = asyncio.Event()
        self.at_each_move: Callable[[], None] = lambda: None

    async def sleep(self, seconds: float) -> None:
        task = asyncio.current_task()
        name = task.get_name() if task else ""
        self._asleep[name] = self._asleep.get(name, 0) + 1
        self.stir()
        try:
            await super().sleep(seconds)
        finally:
            self._asleep[name] -= 1

    def stir(self) -> None:
        """Have it looked at anew whether all sleep."""
        self._stirred.set()

    async def move(self, seconds: float, working: Callable[[], Sequence[str]]) -> None:
        """Let time pass at once, and wait, in real time, until each of the `working` tasks sleeps again."""
        self._elapsed += seconds
        self.at_each_move()
        self._wake()
        await self.until_all_sleep(working)

    async def until_all_sleep(self, working: Callable[[], Sequence[str]]) -> None:
        await settle(4)
        until = time.monotonic() + PATIENCE_SECS
        while busy := [name for name in working() if not self._asleep.get(name)]:
            assert time.monotonic() < until, f"still at work: {busy}"
            self._stirred.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECS):
                    await self._stirred.wait()
        await settle(4)

"""A clock for days that pass in seconds, while what the program asks of files, sockets and programs is real."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from tests.fakes import FakeClock, settle

PATIENCE_SECS = 30.0
"""So long, in real seconds, may one look or poll take."""


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
        while busy := [name for name in working() if not self._asleep.get(name)]:
            self._stirred.clear()
            try:
                async with asyncio.timeout(PATIENCE_SECS):
                    await self._stirred.wait()
            except TimeoutError:
                raise AssertionError(f"still at work: {busy}") from None
        await settle(4)

"""The program that is killed: store, recorder and notifier over the script, telling to files. Run as a module.

It goes on at the step that it had not ended when it died. Its wall clock is the script's; its other clock runs fast.
"""

import asyncio
import itertools
import logging
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from monitor.core.alerts.rules import Alert
from monitor.core.alerts.text import Message
from monitor.core.errors import ChannelError, ChannelReason
from monitor.core.events import Ticked
from monitor.notify.channel import Channel, ChannelSet
from monitor.notify.queue import Notifier
from monitor.storage.db import StateFile
from monitor.storage.deliveries import Journal, StoredAlert, unfinished
from monitor.storage.recorder import Database, Recorder
from monitor.store import Store
from tools.kill import script
from tools.kill.restarts import restored

SPEED: Final = 1000
NO_LIMIT: Final = 1e9
"""In seconds of the fast clock: one that is cut off may have told half of its alerts."""

CHANCE: Final = random.Random()

OPEN_AT_MOST: Final = 40
"""Time does not run away from the deliveries: the script waits while more alerts than this are open."""


class FastClock:
    def __init__(self, now: datetime) -> None:
        self.wall = now

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return time.monotonic() * SPEED

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / SPEED)


class FileChannel(Channel):
    """Appends a line for each alert, at some leisure; now and then it fails before it has begun."""

    limit_secs = NO_LIMIT

    def __init__(self, name: str, folder: Path, words: Callable[[Alert], str]) -> None:
        self.name = name
        self._words = words
        self._file = os.open(folder / f"told-by-{name}", os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    async def send(self, _: Message, alerts: Sequence[Alert]) -> None:
        if CHANCE.random() < 0.2:
            raise ChannelError(ChannelReason.UNAVAILABLE, "just so")
        for alert in alerts:
            os.write(self._file, f"{self._words(alert)}\n".encode())
            await asyncio.sleep(CHANCE.choice((0, 0, 0.001)))
        os.fsync(self._file)


class Progress:
    """The number of steps that have ended, in a file."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / "progress", os.O_CREAT | os.O_RDWR)

    def load(self) -> int:
        return int(os.pread(self._file, 20, 0) or b"0")

    def save(self, steps: int) -> None:
        os.pwrite(self._file, f"{steps:8}".encode(), 0)


class Life:
    """One life of the program, until it is killed or has done all steps."""

    def __init__(self, folder: Path, fan_out: bool) -> None:
        self.progress = Progress(folder)
        start = script.instant(self.progress.load())
        self.clock = FastClock(start)
        self.recorder = Recorder(Database(StateFile(folder / "state.db")), "")
        self.store = Store(script.fresh(), self.recorder.record)
        self.is_polling = False
        names = ("first", "second")
        channels = ChannelSet(
            {name: [FileChannel(name, folder, self.words)] for name in names},
            fan_out=fan_out,
        )
        journal = Journal(self.recorder)
        self.notifier = Notifier(
            channels, self.store, self.clock, journal, busy=lambda: self.is_polling
        )

    def words(self, alert: Alert) -> str:
        return script.identity(alert, self.store.state)

    async def run(self, steps: int | None) -> None:
        start = self.clock.now()
        self.store.dispatch(restored(await self.recorder.load(), start))
        self.store.dispatch(script.loaded(start))
        self.store.dispatch(Ticked(start))
        os.write(sys.stdout.fileno(), b"ready\n")
        notifying = asyncio.create_task(self.notifier.run())
        for step in itertools.count(self.progress.load()):
            if step == steps:
                break
            await self._step(step)
        await self._open_at_most(0)
        notifying.cancel()
        await asyncio.wait((notifying,))
        await self.recorder.close()

    async def _step(self, step: int) -> None:
        self.clock.wall = script.instant(step)
        with self._polling():
            for event in script.events(step):
                self.store.dispatch(event)
                await asyncio.sleep(CHANCE.choice((0, 0, 0.001)))
        assert await self.recorder.drain(NO_LIMIT)
        self.progress.save(step + 1)
        await self._open_at_most(OPEN_AT_MOST)

    async def _open_at_most(self, alerts: int) -> None:
        while len(await self._unfinished()) > alerts:  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.002)

    async def _unfinished(self) -> list[StoredAlert]:
        return await self.recorder.database.read(lambda db: unfinished(db, ""), within=NO_LIMIT)

    @contextmanager
    def _polling(self) -> Iterator[None]:
        self.is_polling = True
        yield
        self.is_polling = False


def main(folder: str, mode: str, seed: str, steps: str = "") -> None:
    CHANCE.seed(seed)
    logging.disable()  # failures are a part of the play
    life = Life(Path(folder), fan_out=mode == "fan-out")
    asyncio.run(life.run(int(steps) if steps else None))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Stand-ins at the seams: a clock that tests turn by hand, and a state database without a thread."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from monitor.core.model import AccountState
from monitor.core.schedule import SentRequests
from monitor.storage.db import IN_MEMORY, StateFile
from monitor.storage.recorder import Database, Done, Job, Recorder, outcome_of
from monitor.storage.requests import RequestBudget
from tests.builders import NOW


class FakeClock:
    """A clock that moves only when told to; sleepers wake when their instant has come."""

    def __init__(self, now: datetime = NOW) -> None:
        self._start = now
        self._elapsed = 0.0
        self._step = timedelta(0)
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed) + self._step

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._elapsed + seconds, future))
        await future

    def step(self, amount: timedelta) -> None:
        """Set the wall clock alone, as NTP or a suspended machine does."""
        self._step += amount

    async def advance(self, seconds: float, tick: float = 1.0) -> None:
        """Let time pass in ticks, and everything that is due run after each."""
        end = self._elapsed + seconds
        await settle()
        while self._elapsed < end:
            self._elapsed = min(self._elapsed + tick, end)
            self._wake()
            await settle()

    def _wake(self) -> None:
        due = [f for at, f in self._sleepers if at <= self._elapsed]
        self._sleepers = [(at, f) for at, f in self._sleepers if at > self._elapsed]
        for future in due:
            if not future.done():
                future.set_result(None)


async def settle(rounds: int = 40) -> None:
    """Let every task that can run do so."""
    for _ in range(rounds):
        await asyncio.sleep(0)


class Entries(dict[str, Any]):
    """What was saved of accounts, as the next process finds it."""

    def save(self, name: str, entry: Any) -> None:
        if entry is None:
            self.pop(name, None)
        else:
            self[name] = entry


class InlineDatabase(Database):
    """The real database, with each job done at once by whoever submits it: for clocks that nobody waits on."""

    def submit(self, job: Job, done: Done) -> None:
        done(*outcome_of(job, self._file))

    async def close(self) -> None:
        self._file.close()


def inline_database(folder: Path | None = None) -> InlineDatabase:
    """The database of this state folder, or one in memory."""
    path = IN_MEMORY if folder is None else folder / "state.db"
    return InlineDatabase(StateFile(path, busy_secs=0))


def inline_recorder(folder: Path | None = None, settings: str = "") -> Recorder:
    """A recorder that has written what it was given when the call returns."""
    return Recorder(inline_database(folder), settings)


class OwnRequests(RequestBudget):
    """The budget of a process that is the only one to ask, and may ask twice at one instant of a clock that stands."""

    def __init__(self) -> None:
        super().__init__(inline_database())

    async def acquire(self, account: AccountState, base: timedelta, now: datetime) -> SentRequests:
        return SentRequests(account.requests, account.backoff_until).decide(base, now)

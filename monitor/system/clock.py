"""The one place that asks what time it is. Everything else takes a `Clock`, or an instant."""

import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

MINOR: Final = timedelta(seconds=30)
"""A clock that is off by less is taken as right."""

STEADY: Final = timedelta(seconds=5)
"""An answer may differ by so much from those before it and change nothing: it was under way, in whole seconds."""


class Clock(Protocol):
    def now(self) -> datetime:
        """The wall clock, in UTC."""

    def monotonic(self) -> float:
        """Seconds for durations; stops while the machine is suspended."""

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        import asyncio  # late: a command that only needs the time would wait for this import

        await asyncio.sleep(seconds)


class ServerClock:
    """The machine's clock, corrected by the time that the API sends with each answer.

    `offset` is what is added to the machine's time now; `found` is what should be added by the newest answer, zero
    where the machine is right to half a minute. Whoever moves the instants of the state to the new time sets `offset`
    to `found` at the same moment.
    """

    def __init__(self, machine: Clock | None = None) -> None:
        self.machine = machine or SystemClock()
        self.offset = self.found = timedelta(0)

    def now(self) -> datetime:
        """The corrected time, in UTC."""
        return self.machine.now() + self.offset

    def server_now(self) -> datetime:
        """The time by the newest answer of the server, whether `now` goes by it already or not."""
        return self.machine.now() + self.found

    def monotonic(self) -> float:
        return self.machine.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self.machine.sleep(seconds)

    def compare(self, server_time: datetime, sent: datetime) -> None:
        """Compare with the whole second in an answer, whose request was `sent` by the machine's clock."""
        least = server_time - self.machine.now()
        most = server_time + timedelta(seconds=1) - sent
        if least <= MINOR and most >= -MINOR:
            self.found = timedelta(0)
        elif not least - STEADY <= self.found <= most + STEADY:
            self.found = timedelta(seconds=round((least + most).total_seconds() / 2))

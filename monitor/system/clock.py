"""The one place that asks what time it is. Everything else takes a `Clock`, or an instant."""

import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

MINOR: Final = timedelta(seconds=30)
"""A clock that is off by less is taken as right."""

STEADY: Final = timedelta(seconds=5)
"""So much may an answer differ from those before it without being news: it was under way, and tells whole seconds."""


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
        import asyncio  # not for those who only ask what time it is: it takes longer than their answer

        await asyncio.sleep(seconds)


class ServerClock:
    """The machine's clock, set right by the time that the API tells with each answer.

    `offset` is what is added to the machine's time, `found` what is to be added by the newest answer: zero while that
    time is right to half a minute. Who moves the instants of the state to the new time sets the one to the other in the
    same breath.
    """

    def __init__(self, machine: Clock | None = None) -> None:
        self.machine = machine or SystemClock()
        self.offset = self.found = timedelta(0)

    def now(self) -> datetime:
        """The true time, in UTC, as far as it is known."""
        return self.machine.now() + self.offset

    def found_now(self) -> datetime:
        """The true time by the newest answer, in force or not yet."""
        return self.machine.now() + self.found

    def monotonic(self) -> float:
        return self.machine.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self.machine.sleep(seconds)

    def compare(self, told: datetime, sent: datetime) -> None:
        """Take in the second that an answer has `told`; its request was `sent` at this instant of the machine's."""
        least, most = told - self.machine.now(), told + timedelta(seconds=1) - sent
        if least <= MINOR and most >= -MINOR:
            self.found = timedelta(0)
        elif not least - STEADY <= self.found <= most + STEADY:
            self.found = timedelta(seconds=round((least + most).total_seconds() / 2))

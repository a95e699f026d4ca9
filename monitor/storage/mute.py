"""Until when the user wants no alerts: one row of the state database, which every process reads and writes."""

from contextlib import suppress
from datetime import datetime, timedelta, tzinfo
from typing import Final

from monitor.core.format import clock
from monitor.storage import cache
from monitor.storage.db import StorageError
from monitor.storage.writer import Database

KEY_MUTES_FOR: Final = timedelta(hours=1)

LIMIT_SECS: Final = 2.0


class Mute:
    """The mute, which is over once its instant has passed. Without a database it ends with the process."""

    def __init__(self, database: Database | None = None) -> None:
        self._database = database
        self._until: datetime | None = None

    async def muted_until(self, now: datetime) -> datetime | None:
        """When the mute ends that holds now; None where none does. What was read last holds while nothing can be."""
        if self._database is not None:
            with suppress(StorageError):  # which the recorder reports
                self._until = await self._database.read(cache.muted_until, within=LIMIT_SECS)
        return holding(self._until, now)

    async def set(self, until: datetime | None) -> None:
        """Mute until then; None ends it. Raises StorageError."""
        if self._database is not None:
            await self._database.write(
                lambda database: cache.put_mute(database, until), within=LIMIT_SECS
            )
        self._until = until

    async def toggle(self, now: datetime) -> datetime | None:
        """Mute for an hour, or end the mute that holds; returns until when it holds now. Raises StorageError."""
        until = None if await self.muted_until(now) is not None else now + KEY_MUTES_FOR
        await self.set(until)
        return until


def holding(until: datetime | None, now: datetime) -> datetime | None:
    """The end of the mute where it holds now."""
    return until if until is not None and now < until else None


def mute_words(until: datetime | None, now: datetime, zone: tzinfo | None = None) -> str:
    """What holds now, with a clock time in `zone`; None is the machine's own."""
    if until is None:
        return "alerts are not muted"
    return f"alerts are muted until {clock(until, now, zone)}"

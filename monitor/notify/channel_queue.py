"""One queue of alerts before one channel, or before several of which the first that works tells them.

Lanes run beside one another: whoever hangs in one delays nobody in the next. What a lane could not tell it tries
again, sooner while it is news; what is news no more is kept for one summary, and given up after a day.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from monitor.core.alerts.rules import Urgency
from monitor.notify.channel import GRACE_SECS, Channel, Outcome, Sender
from monitor.notify.journal import Journal, noted
from monitor.storage.ledger import Stage, StoredAlert
from monitor.system.aio import see_through, woken
from monitor.system.clock import Clock

NEWS_FOR: Final = timedelta(minutes=15)
DROPPED_AFTER: Final = timedelta(hours=24)
RETRIES: Final = (5.0, 15.0, 30.0, 60.0)
"""Seconds from one try to the next; the last goes on."""

STALE_RETRY: Final = 900.0
"""Seconds from one try to the next of what is news no more; a success of the channel brings it forward."""

QUIET_LOOK_SECS: Final = 5.0
"""How often one looks whether quiet hours are over; timers stop while a machine sleeps."""

_LOUDNESS: Final = (Urgency.LOW, Urgency.NORMAL, Urgency.CRITICAL)

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Pending:
    """One alert on its way: until when it is news, and the channels of the lanes in which it is still to be told."""

    entry: StoredAlert
    urgency: Urgency
    fresh_until: datetime
    lanes: dict[str, tuple[Channel, ...]]


@dataclass(slots=True, eq=False)
class Delivery:
    """An errand in one lane. `due_at` is of the monotonic clock; `again` says that it may have been told before."""

    errand: Pending
    channels: tuple[Channel, ...]
    due_at: float
    again: bool
    tries: int = 0

    @property
    def entry(self) -> StoredAlert:
        return self.errand.entry

    @property
    def severity(self) -> int:
        return _LOUDNESS.index(self.errand.urgency)

    def is_stale(self, now: datetime) -> bool:
        return now > self.errand.fresh_until


class Queue:
    """`run` tells what was `put`, each as soon as it is due, and what is due together in one delivery.

    While it is `quiet`, all but the critical waits, and is then told together.
    """

    def __init__(
        self,
        name: str,
        teller: Sender,
        journal: Journal,
        clock: Clock,
        quiet: Callable[[], bool] = lambda: False,
    ) -> None:
        self.name = name
        self._quiet = quiet
        self._teller = teller
        self._journal = journal
        self._clock = clock
        self._copies: list[Delivery] = []
        self._arrived = asyncio.Event()

    def put(self, errand: Pending) -> None:
        """Have the errand told here; it counts as told again where it was in flight when a process died."""
        before = errand.entry.lanes.get(self.name)
        again = before is not None and before.stage is Stage.TELLING
        now = self._clock.monotonic()
        self._copies.append(Delivery(errand, errand.lanes[self.name], now, again))
        self._arrived.set()

    async def run(self) -> None:
        """Tell until cancelled; a delivery that is under way then has a second to arrive."""
        while True:
            held = self._held()
            group = self._due(held)
            if group:
                delivery = asyncio.create_task(self._deliver(group), name=f"telling: {self.name}")
                await see_through(self._clock, GRACE_SECS, delivery)
            else:
                await woken(self._clock, self._arrived, self._pause(held))

    def _held(self) -> list[Delivery]:
        """What quiet hours keep back; it counts as news for as long, and for a while after."""
        if not self._quiet():
            return []
        held = [copy for copy in self._copies if copy.errand.urgency is not Urgency.CRITICAL]
        for copy in held:
            copy.errand.fresh_until = self._clock.now() + NEWS_FOR
        return held

    def _due(self, held: list[Delivery]) -> list[Delivery]:
        """What is to be told now in one delivery: to the same channels, and all of it news or none of it."""
        now, wall = self._clock.monotonic(), self._clock.now()
        due = [copy for copy in self._copies if copy.due_at <= now and copy not in held]
        due.sort(key=lambda copy: (copy.is_stale(wall), -copy.severity))
        return [
            copy
            for copy in due
            if copy.channels == due[0].channels and copy.is_stale(wall) == due[0].is_stale(wall)
        ]

    def _pause(self, held: list[Delivery]) -> float | None:
        now = self._clock.monotonic()
        waits = [max(copy.due_at - now, 0.0) for copy in self._copies if copy not in held]
        return min([*waits, *([QUIET_LOOK_SECS] if held else [])], default=None)

    async def _deliver(self, group: list[Delivery]) -> None:
        group = self._begun(group)
        if not group:
            return
        alerts = [copy.entry.alert for copy in group]
        urgency = max((copy.errand.urgency for copy in group), key=_LOUDNESS.index)
        outcome = await self._teller.send_by_first(group[0].channels, alerts, urgency)
        if outcome.failure is None:
            self._told(group, outcome)
        else:
            self._failed(group, outcome)

    def _begun(self, group: list[Delivery]) -> list[Delivery]:
        """The group without what another process has told meanwhile."""
        entries: Sequence[StoredAlert] = [copy.entry for copy in group]
        begun = noted(lambda: self._journal.begin(entries, self.name), entries)
        open_ids = {id(entry) for entry in begun}
        self._remove([copy for copy in group if id(copy.entry) not in open_ids])
        return [copy for copy in group if id(copy.entry) in open_ids]

    def _told(self, group: list[Delivery], outcome: Outcome) -> None:
        once = [copy for copy in group if not copy.again]
        again = [copy for copy in group if copy.again]
        self._end(once, Stage.TOLD, f"sent by {outcome.channel}")
        self._end(again, Stage.TOLD, f"sent by {outcome.channel}, perhaps for the second time")
        now, wall = self._clock.monotonic(), self._clock.now()
        for copy in self._copies:
            if copy.is_stale(wall) and outcome.channel in {c.name for c in copy.channels}:
                copy.due_at = now

    def _failed(self, group: list[Delivery], outcome: Outcome) -> None:
        wall = self._clock.now()
        lost = [copy for copy in group if wall - copy.entry.alert.at >= DROPPED_AFTER]
        kept = [copy for copy in group if copy not in lost]
        self._end(lost, Stage.DROPPED, f"given up after a day: {outcome.detail}")
        for copy in kept:
            self._postpone(copy, wall)
        entries = [copy.entry for copy in kept]
        noted(lambda: self._journal.put_back(entries, self.name, outcome.detail), None)

    def _postpone(self, copy: Delivery, wall: datetime) -> None:
        pause = RETRIES[min(copy.tries, len(RETRIES) - 1)]
        copy.due_at = self._clock.monotonic() + (STALE_RETRY if copy.is_stale(wall) else pause)
        copy.tries += 1
        if copy.tries == 1:
            alert = copy.entry.alert
            about = ", ".join(part for part in (alert.account, alert.window, alert.rule) if part)
            _log.error("no channel could send: %s", about)

    def _end(self, group: list[Delivery], stage: Stage, outcome: str) -> None:
        """Nothing is left to be done for these here; where that holds in all lanes, they have ended."""
        if not group:
            return
        self._remove(group)
        entries = [copy.entry for copy in group]
        ended = [copy.entry for copy in group if not copy.errand.lanes]
        now = self._clock.now()
        noted(
            lambda: self._journal.finish(entries, self.name, stage, outcome, ended, now),
            None,
        )

    def _remove(self, group: list[Delivery]) -> None:
        for copy in group:
            self._copies.remove(copy)
            copy.errand.lanes.pop(self.name)

"""Takes alerts to the channels, each once: from the effect of the update to the last row in the journal.

Bursts. Five accounts that are polled at once, a first start or a wake-up lead to many alerts within seconds. They wait
for one another, longer while an account is still being polled, and leave together; what is critical hardly waits.

Queues. Usually there is one, whose channels are tried in order until one works; with fan-out there is one for each
name of the settings. Queues run beside one another, so that a channel that hangs delays no other.

Quiet hours. All but the critical waits in its queue, counts as fresh for as long, and then leaves as one summary.

Retries. What could not be sent is tried again after 5, 15, 30 and then every 60 seconds. After a quarter of an hour it
is stale: it is kept for one summary, which is tried every 15 minutes, or at once where a channel of it has worked for
something else. After a day it is dropped.

Exactly once. Before an attempt the journal has `SENDING`, and after it what became of it. An alert that a process left
as `SENDING` when it died is sent again, and marked: nobody knows if it had arrived.
"""

import asyncio
import itertools
import logging
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from monitor.core.alerts.rules import Urgency
from monitor.notify.channel import GRACE_SECS, Channel, ChannelSet, Sender, SendResult
from monitor.storage.deliveries import Journal, Stage, StoredAlert
from monitor.store import Store
from monitor.system.aio import see_through, wait_for_event
from monitor.system.clock import Clock

CALM_SECS: Final = 0.3
"""A burst is over after so long without another alert."""

LONGEST_SECS: Final = 10.0
CRITICAL_SECS: Final = 1.0
"""A critical alert waits so long for its burst."""

FRESH_FOR: Final = timedelta(minutes=15)
DROPPED_AFTER: Final = timedelta(hours=24)
RETRIES: Final = (5.0, 15.0, 30.0, 60.0)
"""Seconds from one attempt to the next; the last goes on."""

STALE_RETRY: Final = 900.0
QUIET_LOOK_SECS: Final = 5.0
"""Seconds between two looks at the end of quiet hours: timers stop while a machine sleeps."""

BURST_LOOK_SECS: Final = 0.1

_SEVERITY: Final = (Urgency.LOW, Urgency.NORMAL, Urgency.CRITICAL)

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Delivery:
    """An alert in one queue, to be sent by the first of `channels` that works.

    `open_in` are the queues in which it is still to be sent, one set for all of them. `arrived_at` and `due_at` are of
    the monotonic clock; it is never due while it waits for its burst.
    """

    stored: StoredAlert
    urgency: Urgency
    channels: tuple[Channel, ...]
    open_in: set[str]
    fresh_until: datetime
    arrived_at: float
    due_at: float = math.inf
    attempts: int = 0

    def is_stale(self, now: datetime) -> bool:
        return now > self.fresh_until


def release(burst: Sequence[Delivery], now: float, busy: bool) -> list[Delivery]:
    """Return what leaves the burst now: all, what is critical, or nothing; `busy` says that more is expected."""
    if not burst:
        return []
    latest = burst[0].arrived_at + LONGEST_SECS
    if now >= (latest if busy else min(burst[-1].arrived_at + CALM_SECS, latest)):
        return list(burst)
    critical = [d for d in burst if d.urgency is Urgency.CRITICAL]
    return critical if critical and now >= critical[0].arrived_at + CRITICAL_SECS else []


class Queue:
    """`run` sends what was `put`, each as soon as it is due, and what is due together in one message.

    `busy` says that more alerts are to be expected in a moment; `quiet_until` is that of a `ChannelSet`.
    """

    def __init__(
        self,
        name: str,
        sender: Sender,
        journal: Journal,
        clock: Clock,
        quiet_until: Callable[[datetime], datetime | None],
        busy: Callable[[], bool],
    ) -> None:
        self.name = name
        self._sender = sender
        self._journal = journal
        self._clock = clock
        self._quiet_until = quiet_until
        self._busy = busy
        self._waiting: list[Delivery] = []
        self._arrived = asyncio.Event()

    def put(self, delivery: Delivery) -> None:
        self._waiting.append(delivery)
        self._arrived.set()

    async def run(self) -> None:
        """Send until cancelled; an attempt that is under way then has a second to end."""
        while True:
            now = self._clock.monotonic()
            burst = [d for d in self._waiting if d.due_at == math.inf]
            for delivery in release(burst, now, bool(burst) and self._busy()):
                delivery.due_at = now
            held = self._hold()
            group = self._due(held)
            if group:
                attempt = asyncio.create_task(self._send(group), name=f"sending: {self.name}")
                await see_through(self._clock, GRACE_SECS, attempt)
            else:
                await wait_for_event(self._clock, self._arrived, self._pause(held))

    def _hold(self) -> list[Delivery]:
        """Return what quiet hours hold back, and keep it fresh."""
        now = self._clock.now()
        if self._quiet_until(now) is None:
            return []
        held = [d for d in self._waiting if d.urgency is not Urgency.CRITICAL]
        for delivery in held:
            delivery.fresh_until = now + FRESH_FOR
        return held

    def _due(self, held: list[Delivery]) -> list[Delivery]:
        """Return the deliveries of one message: due now, to the same channels, all of them fresh or all stale."""
        now, wall = self._clock.monotonic(), self._clock.now()
        due = [d for d in self._waiting if d.due_at <= now and d not in held]
        due.sort(key=lambda d: (d.is_stale(wall), -_SEVERITY.index(d.urgency)))
        return [
            d
            for d in due
            if d.channels == due[0].channels and d.is_stale(wall) == due[0].is_stale(wall)
        ]

    def _pause(self, held: list[Delivery]) -> float | None:
        """Return the seconds until there may be something to do, unless something arrives; None where nothing waits."""
        now = self._clock.monotonic()

        def wait(delivery: Delivery) -> float:
            if delivery.due_at == math.inf:
                longest = (
                    LONGEST_SECS if delivery.urgency is not Urgency.CRITICAL else CRITICAL_SECS
                )
                return min(BURST_LOOK_SECS, max(delivery.arrived_at + longest - now, 0.0))
            return QUIET_LOOK_SECS if delivery in held else max(delivery.due_at - now, 0.0)

        return min(map(wait, self._waiting), default=None)

    async def _send(self, group: list[Delivery]) -> None:
        """Send one message, without what another process has sent meanwhile."""
        unsent = await self._journal.begin([d.stored for d in group], self.name)
        self._remove([d for d in group if d.stored not in unsent])
        group = [d for d in group if d.stored in unsent]
        if not group:
            return
        alerts = [d.stored.alert for d in group]
        urgency = max((d.urgency for d in group), key=_SEVERITY.index)
        outcome = await self._sender.send_by_first(group[0].channels, alerts, urgency)
        if outcome.failure is None:
            self._finish_sent(group, outcome.channel)
        else:
            self._retry(group, outcome)

    def _finish_sent(self, group: list[Delivery], channel: str) -> None:
        # Those that a process was sending in this queue when it died.
        again = [
            d
            for d in group
            if (before := d.stored.channels.get(self.name)) and before.stage is Stage.SENDING
        ]
        self._finish([d for d in group if d not in again], Stage.SENT, f"sent ({channel})")
        self._finish(again, Stage.SENT, f"sent ({channel}), perhaps for the second time")
        now, wall = self._clock.monotonic(), self._clock.now()
        for delivery in self._waiting:
            if delivery.is_stale(wall) and channel in {c.name for c in delivery.channels}:
                delivery.due_at = now

    def _retry(self, group: list[Delivery], outcome: SendResult) -> None:
        """Try the group again later; drop what is a day old."""
        now, wall = self._clock.monotonic(), self._clock.now()
        lost = [d for d in group if wall - d.stored.alert.at >= DROPPED_AFTER]
        self._finish(lost, Stage.DROPPED, f"given up after a day: {outcome.detail}")
        kept = [d for d in group if d not in lost]
        for delivery in kept:
            pause = RETRIES[min(delivery.attempts, len(RETRIES) - 1)]
            delivery.due_at = now + (STALE_RETRY if delivery.is_stale(wall) else pause)
            delivery.attempts += 1
            if delivery.attempts == 1:
                alert = delivery.stored.alert
                about = ", ".join(filter(None, (alert.account, alert.window, alert.rule)))
                _log.error("no channel could send: %s", about)
        self._journal.put_back([d.stored for d in kept], self.name, outcome.detail)

    def _finish(self, group: list[Delivery], stage: Stage, outcome: str) -> None:
        """Write what became of these in this queue; those that no queue has any more have ended."""
        if not group:
            return
        self._remove(group)
        stored = [d.stored for d in group]
        ended = [d.stored for d in group if not d.open_in]
        self._journal.finish(stored, self.name, stage, outcome, ended, self._clock.now())

    def _remove(self, group: list[Delivery]) -> None:
        for delivery in group:
            self._waiting.remove(delivery)
            delivery.open_in.remove(self.name)


class Notifier:
    """Takes alerts from the journal and dispatches a `Notified` for each attempt on a channel.

    `busy` says that more alerts are to be expected in a moment.
    """

    def __init__(
        self,
        channels: ChannelSet,
        store: Store,
        clock: Clock,
        journal: Journal,
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        self._channels = channels
        self._store = store
        self._clock = clock
        self._journal = journal
        sender = Sender(store.dispatch, clock)
        self._queues = {
            name: Queue(name, sender, journal, clock, channels.quiet_until, busy)
            for name in channels.queues
        }

    async def run(self) -> None:
        """Send what an earlier process left unsent, then alerts as they come, until cancelled."""
        try:
            unfinished = await self._journal.unfinished()
            for stored in unfinished:
                if stored.stage is Stage.SENDING:
                    _log.info("an alert was being sent when the program ended, and is sent again")
                self._admit(stored)
            recovered = {stored.key for stored in unfinished}
            async with asyncio.TaskGroup() as group:
                for queue in self._queues.values():
                    group.create_task(queue.run(), name=f"queue {queue.name}")
                while True:
                    stored = await self._journal.next()
                    if stored.key not in recovered:  # else it was written already
                        self._admit(stored)
        finally:
            for channel in itertools.chain.from_iterable(self._channels.chains.values()):
                channel.close()

    def _admit(self, stored: StoredAlert) -> None:
        """Put the alert into its queues, unless there is nothing to send, or no channel."""
        alert, now = stored.alert, self._clock.now()
        rule = self._store.state.policy.alerts.rule(alert.kind)
        if not self._channels.chains:
            note = "there was no channel"
        elif now - alert.at >= DROPPED_AFTER:
            note = "given up after a day"
        elif routes := self._routes(stored, rule.channels):
            arrived_at, fresh_until = self._clock.monotonic(), alert.at + FRESH_FOR
            open_in = set(routes)
            for name, channels in routes.items():
                delivery = Delivery(
                    stored, rule.urgency, channels, open_in, fresh_until, arrived_at
                )
                self._queues[name].put(delivery)
            return
        else:
            note = ""
        _log.debug("not sent: %s, %s, %s: %s", alert.account, alert.window, alert.rule, note)
        self._journal.drop([stored], note, now)

    def _routes(
        self, stored: StoredAlert, wanted: Collection[str] | None
    ) -> dict[str, tuple[Channel, ...]]:
        """Return the queues in which it is still to be sent; none where other channels have sent it before."""
        ended = {
            name
            for name, progress in stored.channels.items()
            if progress.stage in (Stage.SENT, Stage.DROPPED)
        }
        if ended - self._queues.keys():
            return {}
        return {n: c for n, c in self._channels.route(wanted).items() if n not in ended}

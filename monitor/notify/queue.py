"""Alerts on their way to the channels, each sent once: from the effect that decides it to the last row in the journal.

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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Generic, Protocol, TypeVar

from monitor.core.alerts.rules import Urgency
from monitor.core.effects import Effect
from monitor.core.events import Notified
from monitor.core.state import State
from monitor.notify.channel import GRACE_SECS, Channel, ChannelSet, Outcome, Sender
from monitor.notify.delivery_log import DeliveryLog
from monitor.storage.deliveries import Stage, StoredAlert
from monitor.system.aio import see_through, woken
from monitor.system.clock import Clock

FRESH_FOR: Final = timedelta(minutes=15)
DROPPED_AFTER: Final = timedelta(hours=24)
RETRIES: Final = (5.0, 15.0, 30.0, 60.0)
"""Seconds from one attempt to the next; the last goes on."""

STALE_RETRY: Final = 900.0
QUIET_LOOK_SECS: Final = 5.0
"""Seconds between two looks at the end of quiet hours: timers stop while a machine sleeps."""

BURST_LOOK_SECS: Final = 0.1

_SEVERITY: Final = (Urgency.LOW, Urgency.NORMAL, Urgency.CRITICAL)

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GroupingDelays:
    """In seconds: the calm after which a burst is over, the longest burst, and how long a critical alert waits."""

    calm: float = 0.3
    longest: float = 10.0
    critical: float = 1.0


@dataclass(frozen=True, slots=True)
class Arrived(Generic[T]):
    """A member of a burst; `at` is of a monotonic clock."""

    what: T
    at: float
    critical: bool = False


def burst_end(burst: Sequence[Arrived[T]], busy: bool, delays: GroupingDelays) -> float:
    """The instant at which the burst is over, unless something more arrives; `busy` says that more is expected."""
    latest = burst[0].at + delays.longest
    return latest if busy else min(burst[-1].at + delays.calm, latest)


def next_release(burst: Sequence[Arrived[T]], busy: bool, delays: GroupingDelays) -> float:
    """The instant at which a part of the burst is to leave."""
    urgent = [arrived.at + delays.critical for arrived in burst if arrived.critical]
    return min([burst_end(burst, busy, delays), *urgent])


def release(
    burst: Sequence[Arrived[T]], now: float, busy: bool, delays: GroupingDelays
) -> tuple[list[T], list[Arrived[T]]]:
    """Split a burst into what leaves now and what goes on waiting: all leaves, what is critical, or nothing."""
    if not burst or now < next_release(burst, busy, delays):
        return [], list(burst)
    if now >= burst_end(burst, busy, delays):
        return [arrived.what for arrived in burst], []
    urgent = [arrived.what for arrived in burst if arrived.critical]
    return urgent, [arrived for arrived in burst if not arrived.critical]


@dataclass(slots=True, eq=False)
class Delivery:
    """An alert in one queue, to be sent by the first of `channels` that works.

    `open_in` are the queues in which it is still to be sent, one set for all of them. `due_at` is of the monotonic
    clock.
    """

    stored: StoredAlert
    urgency: Urgency
    channels: tuple[Channel, ...]
    open_in: set[str]
    fresh_until: datetime
    due_at: float = field(init=False)
    attempts: int = field(init=False, default=0)

    @property
    def severity(self) -> int:
        return _SEVERITY.index(self.urgency)

    def is_stale(self, now: datetime) -> bool:
        return now > self.fresh_until


class Queue:
    """`run` sends what was `put`, each as soon as it is due, and what is due together in one message."""

    def __init__(
        self,
        name: str,
        sender: Sender,
        journal: DeliveryLog,
        clock: Clock,
        quiet_until: Callable[[datetime], datetime | None],
    ) -> None:
        self.name = name
        self._sender = sender
        self._journal = journal
        self._clock = clock
        self._quiet_until = quiet_until
        self._waiting: list[Delivery] = []
        self._arrived = asyncio.Event()

    def put(self, delivery: Delivery) -> None:
        delivery.due_at = self._clock.monotonic()
        self._waiting.append(delivery)
        self._arrived.set()

    async def run(self) -> None:
        """Send until cancelled; an attempt that is under way then has a second to arrive."""
        while True:
            held = self._hold()
            group = self._due(held)
            if group:
                attempt = asyncio.create_task(self._send(group), name=f"sending: {self.name}")
                await see_through(self._clock, GRACE_SECS, attempt)
            else:
                await woken(self._clock, self._arrived, self._pause(held))

    def _hold(self) -> list[Delivery]:
        """Keep fresh what quiet hours hold back, and return it."""
        now = self._clock.now()
        if self._quiet_until(now) is None:
            return []
        held = [d for d in self._waiting if d.urgency is not Urgency.CRITICAL]
        for delivery in held:
            delivery.fresh_until = now + FRESH_FOR
        return held

    def _due(self, held: list[Delivery]) -> list[Delivery]:
        """The deliveries of one message: due now, to the same channels, all of them fresh or all stale."""
        now, wall = self._clock.monotonic(), self._clock.now()
        due = [d for d in self._waiting if d.due_at <= now and d not in held]
        due.sort(key=lambda d: (d.is_stale(wall), -d.severity))
        return [
            d
            for d in due
            if d.channels == due[0].channels and d.is_stale(wall) == due[0].is_stale(wall)
        ]

    def _pause(self, held: list[Delivery]) -> float | None:
        now = self._clock.monotonic()
        waits = [max(d.due_at - now, 0.0) for d in self._waiting if d not in held]
        return min([*waits, *([QUIET_LOOK_SECS] if held else [])], default=None)

    async def _send(self, group: list[Delivery]) -> None:
        """One message, less what another process has sent meanwhile."""
        begun = await self._journal.begin([d.stored for d in group], self.name)
        unsent = {id(stored) for stored in begun}
        self._remove([d for d in group if id(d.stored) not in unsent])
        group = [d for d in group if id(d.stored) in unsent]
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
        again = [d for d in group if self._was_in_flight(d.stored)]
        self._finish([d for d in group if d not in again], Stage.SENT, f"sent ({channel})")
        self._finish(again, Stage.SENT, f"sent ({channel}), perhaps for the second time")
        now, wall = self._clock.monotonic(), self._clock.now()
        for delivery in self._waiting:
            if delivery.is_stale(wall) and channel in {c.name for c in delivery.channels}:
                delivery.due_at = now

    def _was_in_flight(self, stored: StoredAlert) -> bool:
        """True where a process died while it was sending this here."""
        before = stored.channels.get(self.name)
        return before is not None and before.stage is Stage.SENDING

    def _retry(self, group: list[Delivery], outcome: Outcome) -> None:
        """Have the group tried again later, less what is dropped by now."""
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
        """Nothing is left to be done for these here; where that holds in all queues, they have ended."""
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


class Source(Protocol):
    """The part of the store that is needed here."""

    @property
    def state(self) -> State: ...
    async def next_effect(self) -> Effect: ...
    def dispatch(self, event: Notified) -> None: ...


class Notifier:
    """Takes alerts from the source and dispatches a `Notified` for each attempt on a channel.

    `busy` says that more alerts are to be expected in a moment.
    """

    def __init__(
        self,
        channels: ChannelSet,
        source: Source,
        clock: Clock,
        journal: DeliveryLog,
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        self._channels = channels
        self._source = source
        self._clock = clock
        self._journal = journal
        self._busy = busy
        sender = Sender(source.dispatch, clock, channels.limits)
        self._queues = {
            name: Queue(name, sender, journal, clock, channels.quiet_until)
            for name in channels.queues
        }
        self._burst: list[Arrived[StoredAlert]] = []
        self._recovered: set[str] = set()
        self._arrived = asyncio.Event()

    async def run(self) -> None:
        """Send what an earlier process has left, then alerts as they come, until cancelled."""
        try:
            await self._recover()
            async with asyncio.TaskGroup() as group:
                for queue in self._queues.values():
                    group.create_task(queue.run(), name=f"queue {queue.name}")
                group.create_task(self._take(), name="taking alerts")
                group.create_task(self._release(), name="releasing alerts")
        finally:
            for channel in itertools.chain.from_iterable(self._channels.chains.values()):
                channel.close()

    async def _recover(self) -> None:
        unfinished = await self._journal.unfinished()
        self._recovered = {stored.key for stored in unfinished}
        for stored in unfinished:
            if stored.stage is Stage.SENDING:
                _log.info("an alert was being sent when the program ended, and is sent again")
            self._admit(stored)

    async def _take(self) -> None:
        while True:
            effect = await self._source.next_effect()
            stored = effect if isinstance(effect, StoredAlert) else StoredAlert(effect.alert)
            if stored.key not in self._recovered:  # else the journal had it as well
                self._admit(stored)

    def _admit(self, stored: StoredAlert) -> None:
        """Let the alert wait with its burst, unless there is nothing to send, or no channel."""
        alert, now = stored.alert, self._clock.now()
        if not self._channels.channels:
            note = "there was no channel"
        elif now - alert.at >= DROPPED_AFTER:
            note = "given up after a day"
        elif not self._routes(stored):
            note = ""
        else:
            critical = self._urgency(stored) is Urgency.CRITICAL
            self._burst.append(Arrived(stored, self._clock.monotonic(), critical))
            self._arrived.set()
            return
        _log.debug("not sent: %s, %s, %s: %s", alert.account, alert.window, alert.rule, note)
        self._journal.drop([stored], note, now)

    async def _release(self) -> None:
        """Put into their queues what waits no more for its burst, as long as the program runs."""
        delays = GroupingDelays()
        while True:
            busy, now = bool(self._burst) and self._busy(), self._clock.monotonic()
            free, self._burst = release(self._burst, now, busy, delays)
            for stored in free:
                routes = self._routes(stored)
                urgency, open_in = self._urgency(stored), set(routes)
                fresh_until = stored.alert.at + FRESH_FOR
                for name, channels in routes.items():
                    delivery = Delivery(stored, urgency, channels, open_in, fresh_until)
                    self._queues[name].put(delivery)
            pause = None
            if self._burst:
                pause = min(BURST_LOOK_SECS, next_release(self._burst, busy, delays) - now)
            await woken(self._clock, self._arrived, pause)

    def _urgency(self, stored: StoredAlert) -> Urgency:
        return self._source.state.policy.alerts.rule(stored.alert.kind).urgency

    def _routes(self, stored: StoredAlert) -> dict[str, tuple[Channel, ...]]:
        """The queues in which it is still to be sent; none where it was sent before the channels were changed."""
        ended = {
            name
            for name, progress in stored.channels.items()
            if progress.stage in (Stage.SENT, Stage.DROPPED)
        }
        if ended - self._queues.keys():
            return {}
        wanted = self._source.state.policy.alerts.rule(stored.alert.kind).channels
        return {n: c for n, c in self._channels.route(wanted).items() if n not in ended}

"""Takes alerts, collects them into bursts, and puts each into the lanes that are to tell it."""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from monitor.core.alerts.grouping import Arrived, GroupingDelays, next_release, released
from monitor.core.alerts.rules import RuleBook, Urgency
from monitor.core.effects import Alert, Effect
from monitor.core.events import Notified
from monitor.notify.channel import Channel, Outcome, Sender
from monitor.notify.channel_queue import DROPPED_AFTER, NEWS_FOR, Pending, Queue
from monitor.notify.channel_set import join
from monitor.notify.journal import Journal, NoJournal, noted
from monitor.storage.ledger import Stage, StorageError, StoredAlert
from monitor.system.aio import woken
from monitor.system.clock import Clock

ANY: Final = "*"
"""The one lane where the first channel that works is enough."""

LOOK_SECS: Final = 0.1
"""How often one looks whether a burst is over."""

_log = logging.getLogger(__name__)


class Notifier:
    """Takes effects and dispatches a `Notified` for each try on a channel.

    `channels` are in order of preference: the first that works tells an alert, or with `fan_out` each of them does.
    Given as a mapping, each name stands for several of which the first that works is enough: `desktop` and what
    replaces it. `busy` says that more alerts are to be expected in a moment; `quiet_until` when the quiet hours end
    that an instant lies in.
    """

    def __init__(
        self,
        channels: Sequence[Channel] | Mapping[str, Sequence[Channel]],
        next_effect: Callable[[], Awaitable[Effect]],
        dispatch: Callable[[Notified], None],
        clock: Clock,
        *,
        journal: Journal | None = None,
        rules: Callable[[], RuleBook] = RuleBook,
        busy: Callable[[], bool] = lambda: False,
        quiet_until: Callable[[datetime], datetime | None] = lambda _: None,
        fan_out: bool = False,
        limits: Mapping[str, float] | None = None,
        pace: GroupingDelays | None = None,
    ) -> None:
        self._chains = _chains(channels)
        self._next_effect = next_effect
        self._clock = clock
        self._journal = journal or NoJournal()
        self._rules = rules
        self._busy = busy
        self._quiet_until = quiet_until
        self._fan_out = fan_out
        self._pace = pace or GroupingDelays()
        self._teller = Sender(dispatch, clock, limits or {})
        names = list(self._chains) if fan_out else [ANY]
        self._lanes = {
            name: Queue(name, self._teller, self._journal, clock, self._is_quiet) for name in names
        }
        self._burst: list[Arrived[Pending]] = []
        self._recovered: set[int] = set()
        self._arrived = asyncio.Event()

    async def run(self) -> None:
        """Tell what an earlier process has left, then alerts as they come, until cancelled."""
        try:
            self._recover()
            async with asyncio.TaskGroup() as group:
                for lane in self._lanes.values():
                    group.create_task(lane.run(), name=f"lane {lane.name}")
                group.create_task(self._take(), name="taking alerts")
                group.create_task(self._release(), name="releasing alerts")
        finally:
            self._close()

    async def test_all(self, alert: Alert) -> list[Outcome]:
        """Tell the alert on every channel, whether or not another one works."""
        urgency = self._rules().rule(alert.kind).urgency
        try:
            return [
                await self._teller.send(c, [alert], urgency) for c in join(self._chains.values())
            ]
        finally:
            self._close()

    def _recover(self) -> None:
        try:
            entries = self._journal.unfinished()
        except StorageError as error:
            _log.warning("%s", error)
            return
        self._recovered = {entry.id for entry in entries if entry.id is not None}
        for entry in entries:
            if entry.stage is Stage.TELLING:
                _log.info("an alert was being told when the program ended, and is told again")
            self._admit(entry)

    async def _take(self) -> None:
        while True:
            effect = await self._next_effect()
            entry = effect if isinstance(effect, StoredAlert) else StoredAlert(effect.alert)
            if entry.id not in self._recovered:  # else the ledger had it as well
                self._admit(entry)

    def _admit(self, entry: StoredAlert) -> None:
        """Let the alert wait with its burst, unless there is nothing to be told, or nobody to tell it."""
        now = self._clock.now()
        note = self._refusal(entry, now)
        if note is not None:
            self._drop(entry, note, now)
            return
        urgency = self._rules().rule(entry.alert.kind).urgency
        errand = Pending(entry, urgency, entry.alert.at + NEWS_FOR, self._lanes_left(entry))
        arrival = Arrived(errand, self._clock.monotonic(), urgency is Urgency.CRITICAL)
        self._burst.append(arrival)
        self._arrived.set()

    def _refusal(self, entry: StoredAlert, now: datetime) -> str | None:
        if not any(self._chains.values()):
            return "there was no channel"
        if now - entry.alert.at >= DROPPED_AFTER:
            return "given up after a day"
        return None if self._lanes_left(entry) else ""

    def _drop(self, entry: StoredAlert, note: str, now: datetime) -> None:
        alert = entry.alert
        _log.debug("not told: %s, %s, %s: %s", alert.account, alert.window, alert.rule, note)
        noted(lambda: self._journal.drop([entry], note, now), None)

    async def _release(self) -> None:
        while True:
            self._let_go()
            await woken(self._clock, self._arrived, self._pause())

    def _let_go(self) -> None:
        """Put into their lanes what waits no more for its burst."""
        now = self._clock.monotonic()
        free, self._burst = released(self._burst, now, self._burst_goes_on(), self._pace)
        for errand in free:
            for name in tuple(errand.lanes):
                self._lanes[name].put(errand)

    def _pause(self) -> float | None:
        if not self._burst:
            return None
        due_at = next_release(self._burst, self._burst_goes_on(), self._pace)
        return min(LOOK_SECS, max(due_at - self._clock.monotonic(), 0.0))

    def _is_quiet(self) -> bool:
        return self._quiet_until(self._clock.now()) is not None

    def _burst_goes_on(self) -> bool:
        return bool(self._burst) and self._busy()

    def _lanes_left(self, entry: StoredAlert) -> dict[str, tuple[Channel, ...]]:
        """The lanes in which it is still to be told; none where it was told before the channels were set anew."""
        ended = {
            name
            for name, telling in entry.lanes.items()
            if telling.stage in (Stage.TOLD, Stage.DROPPED)
        }
        route = {} if ended - self._lanes.keys() else self._route(entry.alert)
        return {name: channels for name, channels in route.items() if name not in ended}

    def _route(self, alert: Alert) -> dict[str, tuple[Channel, ...]]:
        """The channels that are to tell the alert, by lane; the usual ones where its rule names none that there is."""
        wanted = self._rules().rule(alert.kind).channels
        chains = {
            name: chain for name, chain in self._chains.items() if wanted is None or name in wanted
        }
        chains = chains or dict(self._chains)
        return chains if self._fan_out else {ANY: join(chains.values())}

    def _close(self) -> None:
        for channel in itertools.chain.from_iterable(self._chains.values()):
            channel.close()


def _chains(
    channels: Sequence[Channel] | Mapping[str, Sequence[Channel]],
) -> dict[str, tuple[Channel, ...]]:
    if isinstance(channels, Mapping):
        return {name: tuple(chain) for name, chain in channels.items()}
    return {channel.name: (channel,) for channel in channels}

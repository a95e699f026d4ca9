"""A notifier on a clock that is turned by hand, with channels that do as they are sent."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from monitor.core.alerts.rules import DEFAULT_RULES, Alert, AlertKind, Rule, RuleBook, Urgency
from monitor.core.alerts.text import Message
from monitor.core.events import Event, Notified
from monitor.core.state import Policy, State
from monitor.notify.channel import (
    GRACE_SECS,
    LIMIT_SECS,
    Channel,
    ChannelSet,
    SendResult,
    send_to_each,
)
from monitor.notify.queue import Notifier
from monitor.storage import deliveries
from monitor.storage.db import read_only
from monitor.storage.deliveries import Journal, Stage, StoredAlert
from monitor.storage.recorder import Recorder
from monitor.store import Store
from tests.builders import NOW, before
from tests.fakes import FakeClock, inline_recorder


class FakeChannel(Channel):
    """Tells at once, raises, or waits for an event, as `behaviour` has it at each delivery."""

    def __init__(
        self,
        name: str,
        behaviour: Exception | asyncio.Event | None = None,
        *,
        limit_secs: float = LIMIT_SECS,
    ) -> None:
        self.name = name
        self.limit_secs = limit_secs
        self.behaviour = behaviour
        self.asked: list[list[str]] = []
        self.sent: list[list[str]] = []
        self.urgencies: list[Urgency] = []
        self.closed = 0

    async def send(self, message: Message, alerts: Sequence[Alert]) -> None:
        accounts = [alert.account for alert in alerts]
        self.asked.append(accounts)
        if isinstance(self.behaviour, Exception):
            raise self.behaviour
        if self.behaviour is not None:
            await self.behaviour.wait()
        self.sent.append(accounts)
        self.urgencies.append(message.urgency)

    def close(self) -> None:
        self.closed += 1


def alert(account: str, kind: AlertKind = AlertKind.THRESHOLD, **values: Any) -> Alert:
    """An alert about the account, decided at `NOW` unless `at` is given."""
    given: dict[str, Any] = {"at": NOW, "utilization": 0.8, "threshold": 0.8, "period": "1"}
    return Alert(kind, account, "5h", **{**given, **values})


def rules_with(kind: AlertKind, **changes: Any) -> RuleBook:
    """The usual rules, but for one."""
    rule = replace(DEFAULT_RULES.get(kind, Rule()), **changes)
    return RuleBook(rules={**DEFAULT_RULES, kind: rule})


class FakeStore(Store):
    """A state that does not change, and all that was dispatched."""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.events: list[Event] = []

    def dispatch(self, event: Event) -> None:
        self.events.append(event)


class Bench:
    """A notifier with the queue that it takes alerts from, and all that it has dispatched."""

    def __init__(
        self,
        *channels: Channel,
        clock: FakeClock | None = None,
        recorder: Recorder | None = None,
        rules: RuleBook | None = None,
        **options: Any,
    ) -> None:
        self.clock = clock or FakeClock()
        chains = {channel.name: [channel] for channel in channels}
        self.channels = ChannelSet(**{"chains": chains, **options})
        self.store = FakeStore(State(Policy(alerts=rules or RuleBook())))
        self.recorder = recorder or inline_recorder()
        self.decided = self.recorder.decided
        self.busy = False
        self._keys = itertools.count()
        journal = Journal(self.recorder)
        self.notifier = Notifier(self.channels, self.store, self.clock, journal, lambda: self.busy)

    def notify(self, *accounts: str, kind: AlertKind = AlertKind.THRESHOLD) -> None:
        for account in accounts:
            one = alert(account, kind, at=self.clock.now())
            self.decided.put_nowait(StoredAlert(one, key=str(next(self._keys))))

    async def decide_each(self, *accounts: str) -> None:
        """Let these be decided now, one after the other, each in a burst of its own."""
        for account in accounts:
            self.notify(account)
            await self.pass_by(0.4)

    async def send_to_each(self) -> list[SendResult]:
        """Send a test by every channel."""
        test = alert("a", AlertKind.TEST)
        return await send_to_each(self.channels, test, self.store.dispatch, self.clock)

    async def pass_by(self, seconds: float) -> None:
        await self.clock.advance(seconds, tick=0.1)

    @property
    def events(self) -> list[Notified]:
        """The results of all attempts."""
        return [event for event in self.store.events if isinstance(event, Notified)]

    @property
    def outcomes(self) -> list[tuple[str, str | None]]:
        return [(event.channel, event.failure) for event in self.events]


class RestartableBench(Bench):
    """A bench over a state database on the disk, which can be left at any moment and started again."""

    def __init__(
        self, folder: Path, *channels: Channel, clock: FakeClock | None = None, **options: Any
    ) -> None:
        clock = clock or FakeClock()
        self.folder = folder
        super().__init__(*channels, clock=clock, recorder=inline_recorder(folder), **options)

    def restarted(self, *channels: Channel, **options: Any) -> "RestartableBench":
        """The next process, at the same instant."""
        return RestartableBench(self.folder, *channels, clock=self.clock, **options)

    async def decide(self, *accounts: str, kind: AlertKind = AlertKind.THRESHOLD) -> None:
        """Let alerts be decided now, and their burst pass by."""
        alerts = [alert(account, kind, at=self.clock.now()) for account in accounts]
        self.recorder.record(State(), State(), alerts)
        await self.pass_by(0.4)

    def stored(self) -> list[StoredAlert]:
        """Every alert that was decided, oldest first."""
        return stored(self.folder)

    def stages(self) -> dict[str, Stage]:
        """How far each alert has come, by account."""
        return {one.alert.account: one.stage for one in self.stored()}


def stored(folder: Path, settings: str = "") -> list[StoredAlert]:
    """Every alert that was decided, oldest first, as another process reads it."""
    nothing: list[StoredAlert] = []
    path = folder / "state.db"
    return read_only(path, lambda db: deliveries.since(db, settings, before(days=99)), nothing)


@asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(bench.notifier.run())
    yield task
    task.cancel()
    while not task.done():  # a channel that hangs has a moment to arrive
        await bench.pass_by(GRACE_SECS)

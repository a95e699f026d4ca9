"""Whatever comes between whatever: samples, failures, crashes. Nothing is in flight at a crash here."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.alerts.rules import DEFAULT_RULES, Alert, AlertKind, Rule, RuleBook
from monitor.core.alerts.text import Message
from monitor.core.errors import ChannelError, ChannelReason
from monitor.core.events import AccountsLoaded, Event, PollSucceeded
from monitor.core.model import Account, Usage, Window
from monitor.core.state import Policy, State
from monitor.core.update import update
from monitor.notify.channel import Channel, ChannelSet
from monitor.notify.queue import Notifier
from monitor.storage.cache import read
from monitor.storage.deliveries import Journal, key_of
from monitor.store import Store
from tests.builders import NOW
from tests.fakes import FakeClock, inline_recorder, settle
from tools.kill.restarts import restored

OF_ALL: Final = (AlertKind.EXHAUSTED, AlertKind.FREE)
FRESH: Final = State(
    Policy(alerts=RuleBook(rules={**DEFAULT_RULES, **dict.fromkeys(OF_ALL, Rule(enabled=False))}))
)
ACCOUNTS: Final = tuple(Account(name, f"org-{name}") for name in "ab")
PERIOD: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Sample:
    """A poll of the account, so many minutes after whatever was before it; `again` dispatches it twice."""

    account: str
    minutes: int
    percent: int
    again: bool = False


@dataclass(frozen=True)
class Crash:
    """The process dies, and another one is started."""


@dataclass(frozen=True)
class Works:
    """From now on the channel works, or does not."""

    works: bool


@dataclass(frozen=True)
class Wait:
    """Time passes, in which deliveries are made or tried again."""

    seconds: float


Step = Sample | Crash | Works | Wait

STEPS = st.lists(
    st.one_of(
        st.builds(
            Sample,
            st.sampled_from("ab"),
            st.integers(0, 12),
            st.sampled_from((0, 10, 70, 81, 85, 96, 100)),
            st.booleans(),
        ),
        st.just(Crash()),
        st.builds(Works, st.booleans()),
        st.builds(Wait, st.sampled_from((0.1, 0.5, 6, 70))),
    ),
    max_size=25,
)


class World(Channel):
    """What outlives a crash: the disk, the time, and what the user has been told."""

    def __init__(self, folder: Path) -> None:
        self.name = "world"
        self.folder = folder
        self.clock = FakeClock()
        self.works = True
        self.told: Counter[str] = Counter()
        self.events: list[Event] = []

    async def send(self, _: Message, alerts: Sequence[Alert]) -> None:
        if not self.works:
            raise ChannelError(ChannelReason.UNAVAILABLE, "just so")
        self.told.update(key_of(alert, f"org-{alert.account}") for alert in alerts)


class Life:
    """One process in this world."""

    def __init__(self, world: World) -> None:
        now = world.clock.now()
        self.world = world
        self.recorder = inline_recorder(world.folder)
        self.store = Store(FRESH, self.recorder.record)
        self.store.dispatch(restored(read(world.folder / "state.db", ""), now))
        self.store.dispatch(AccountsLoaded(now, ACCOUNTS))
        channels = ChannelSet({"world": [world]})
        journal = Journal(self.recorder)
        notifier = Notifier(channels, self.store, world.clock, journal)
        self.task = asyncio.create_task(notifier.run())

    async def crash(self) -> None:
        """After its last word to the disk."""
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task
        await self.recorder.database.close()

    def sample(self, step: Sample) -> None:
        self.world.clock.step(timedelta(minutes=step.minutes))
        at = self.world.clock.now()
        end = NOW + PERIOD * ((at - NOW) // PERIOD + 1)
        usage = Usage(at, (Window("5h", step.percent / 100, end),))
        event = PollSucceeded(at, step.account, usage, timedelta(seconds=1))
        self.world.events.append(event)
        self.store.dispatch(event)
        if step.again:
            self._is_idempotent(event)

    def _is_idempotent(self, event: Event) -> None:
        state = self.store.state
        self.store.dispatch(event)
        for name, account in self.store.state.accounts.items():
            assert account.alerts == state.accounts[name].alerts
            assert account.conditions == state.accounts[name].conditions


async def lived(world: World, steps: Sequence[Step]) -> None:
    life = Life(world)
    for step in steps:
        match step:
            case Sample():
                life.sample(step)
                await settle(3)
            case Crash():
                await life.crash()
                life = Life(world)
            case Works(works):
                world.works = works
            case Wait(seconds):
                await world.clock.advance(seconds, tick=max(0.1, seconds / 20))
    world.works = True
    await world.clock.advance(2000, tick=20)
    await life.crash()


def due(events: Sequence[Event]) -> set[str]:
    """What a process that lives for ever tells."""
    state, effects = update(FRESH, AccountsLoaded(NOW, ACCOUNTS))
    told = list(effects)
    for event in events:
        state, effects = update(state, event)
        told += effects
    return {key_of(alert, f"org-{alert.account}") for alert in told}


@settings(max_examples=60)
@given(STEPS)
def test_each_alert_is_told_once_whatever_happens(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        asyncio.run(lived(world, steps))
    assert world.told == Counter(due(world.events))

"""The real program over real files in a home folder, on a clock that is turned, beside a simulated API."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from monitor.api.client import Client
from monitor.app.app import App, Persistence
from monitor.app.poller import TICK
from monitor.app.wiring import Dependencies, connect, hosts_of
from monitor.core.alerts.rules import Alert
from monitor.core.alerts.text import Message
from monitor.core.state import Policy, State
from monitor.credentials.account_cache import AccountCache
from monitor.credentials.claude_code import Discovery
from monitor.credentials.stores import CredentialsDirectory, SecretStore
from monitor.notify.channel import Channel, ChannelSet
from monitor.paths import instance_key, state_folder
from monitor.settings import SettingsFile, load
from monitor.store import Store
from monitor.system.clock import ServerClock
from tests.fakes import inline_recorder
from tests.scenarios.clock import DayClock

PARTS = ("poller", "login watcher", "local usage")
"""The parts of the program, by the names of their tasks, that ask the world outside."""

FORECASTER = "forecaster"
"""The part that computes in threads, and rests while it waits for a change of the state."""


@dataclass
class Told(Channel):
    """A channel that keeps what it is told."""

    clock: DayClock
    name: str = "told"
    lines: list[str] = field(default_factory=list)

    async def send(self, _: Message, alerts: Sequence[Alert]) -> None:
        self.lines += [f"{self.clock.now():%H:%M} {a.kind} {a.account}" for a in alerts]


@dataclass
class Machine:
    """What outlives the program. `discover` makes what finds Claude Code's logins, once for each run."""

    config: Path
    environ: Mapping[str, str]
    clock: DayClock
    keyring: SecretStore
    discover: Callable[[], Discovery]
    told: Told = field(init=False)

    def __post_init__(self) -> None:
        self.told = Told(self.clock)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Running"]:
        """The program, which runs for the time of the block."""
        settings = load(self.config)
        policy = Policy(interval=timedelta(seconds=settings.poll_interval_secs))
        clock = ServerClock(self.clock)
        rows = instance_key(self.environ, self.config)
        recorder = inline_recorder(Path(state_folder(self.environ)), rows)
        cached = await recorder.load()
        async with Client(hosts_of(settings.api), clock) as client:
            kept = Persistence.over(recorder, lambda *_: ())
            dependencies = self._dependencies(AccountCache(cached.facts, recorder.record_facts))
            app = connect(dependencies, kept, client, policy, clock, chance=lambda: 0.5)
            await app.load(settings, cached)
            async with self._going(app) as running:
                yield running
        await recorder.database.close()

    @asynccontextmanager
    async def _going(self, app: App) -> AsyncIterator["Running"]:
        ended = asyncio.Event()

        async def main() -> None:
            await ended.wait()

        task = asyncio.create_task(app.run(main, ChannelSet({"told": [self.told]})))
        running = Running(app, self.clock, task)
        watching = asyncio.create_task(running.stir_at_changes())
        try:
            await running.settled()
            yield running
        finally:
            ended.set()
            await task
            watching.cancel()

    def _dependencies(self, cache: AccountCache) -> Dependencies:
        settings, discovery = load(self.config), self.discover()
        return Dependencies(
            file=SettingsFile(self.config),
            keyring=self.keyring,
            cache=cache,
            logins=discovery.discover,
            login_at=discovery.source,
            given=CredentialsDirectory(self.environ),
            storage=settings.storage,
        )


@dataclass
class Running:
    """One run of the program."""

    app: App
    clock: DayClock
    task: "asyncio.Task[None]"

    @property
    def state(self) -> State:
        return self.app.store.state

    async def pass_time(self, seconds: float) -> None:
        """Let time pass at once, and everything come to rest that it has woken; the poller looks more often."""
        for part in (seconds - 2 * TICK, TICK, TICK):
            await self.clock.move(part, self._working)

    async def settled(self) -> None:
        await self.clock.until_all_sleep(self._working)

    async def stir_at_changes(self) -> None:
        """A poll ends with a change of the state."""
        while True:
            await self.app.store.wait_for_change()
            self.clock.stir()

    def _working(self) -> Sequence[str]:
        assert not self.task.done(), "the program has ended by itself"
        polling = [f"poll {name}" for name, a in self.state.accounts.items() if a.polling]
        tasks = {task.get_name(): task for task in asyncio.all_tasks()}
        is_up_to_date = awaits(tasks.get(FORECASTER), Store.wait_for_change.__name__)
        return (*PARTS, *polling, *([] if is_up_to_date else [FORECASTER]))


def awaits(task: "asyncio.Task[None] | None", name: str) -> bool:
    """Whether the task waits in a coroutine function of that name."""
    coroutine: Any = task.get_coro() if task else None
    while coroutine is not None and getattr(coroutine, "cr_code", None) is not None:
        if coroutine.cr_code.co_name == name:
            return True
        coroutine = coroutine.cr_await
    return False

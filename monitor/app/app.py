"""All parts of a running program over one store, and the one TaskGroup that they live in."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from monitor.api.client import ApiHosts, Client
from monitor.app import background
from monitor.app.forecaster import Forecaster
from monitor.app.past_samples import History, Others
from monitor.app.poller import Poller
from monitor.core.effects import Alert, AlertKind
from monitor.core.events import (
    ChannelsReplaced,
    ClockCorrected,
    LookedAround,
    PolicyChanged,
    PollStarted,
    Restored,
    Tested,
)
from monitor.core.model import Storage
from monitor.core.schedule import FIRST_STAGGER, is_in_turn
from monitor.core.state import Policy, State
from monitor.credentials.accounts import AccountService, Listing
from monitor.credentials.claude_code import LoginSource
from monitor.credentials.local_usage import LocalUsage
from monitor.credentials.owners import Owners
from monitor.credentials.stores import SecretStores
from monitor.credentials.watcher import LoginWatcher
from monitor.notify.channel import ChannelSet, send_to_each
from monitor.notify.channel import Outcome as ChannelOutcome
from monitor.notify.queue import Journal, Notifier
from monitor.storage.cache import Cached, Mute
from monitor.storage.recorder import Recorder
from monitor.storage.requests import RequestBudget
from monitor.store import Store
from monitor.system.clock import Clock


@dataclass(frozen=True, slots=True)
class Credentials:
    """The parts that know the accounts, and which token is whose.

    `logins` finds every place where Claude Code keeps a login that is watched, the one in use first; `login_at` is that
    of one of its configuration folders, "" being the default one.
    """

    stores: SecretStores
    owners: Owners
    accounts: AccountService
    watcher: LoginWatcher
    local_usage: LocalUsage
    logins: Callable[[], Awaitable[Sequence[LoginSource]]]
    login_at: Callable[[str], LoginSource]


@dataclass(frozen=True, slots=True)
class Persistence:
    """The parts that write the state database, and the samples of the past."""

    mute: Mute
    recorder: Recorder
    budget: RequestBudget
    history: History

    @staticmethod
    def over(recorder: Recorder, others: Others, *, is_brief: bool = False) -> "Persistence":
        """All of them over one database. One that `is_brief` sends no request that it cannot count."""
        database = recorder.database
        budget = RequestBudget(database, recorder.record_backoff, is_brief=is_brief)
        history = History(database, recorder.settings, others)
        return Persistence(Mute(database), recorder, budget, history)


class App:
    """All parts of a running program: they stay when the settings are reloaded."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        client: Client,
        credentials: Credentials,
        persistence: Persistence,
        poller: Poller,
    ) -> None:
        self.store = store
        self.clock = clock
        self.credentials = credentials
        self.persistence = persistence
        self.poller = poller
        self._client = client
        self._channels = ChannelSet()
        self._channels_replaced = asyncio.Event()

    async def load(self, listing: Listing, cached: Cached) -> None:
        """Load the accounts of the settings, and take up what an earlier process knew of them and of its alerts."""
        now = self.clock.now()
        self.store.dispatch(PolicyChanged(now, self.state().policy))
        self.store.dispatch(ClockCorrected(now, cached.clock_offset))
        self.store.dispatch(Restored(now, cached.accounts, cached.conditions, cached.log))
        background.report_storage(self.persistence.recorder, self.store, now)
        self.credentials.accounts.load(listing)
        await background.count_requests(self.persistence.budget, self.store, now)

    async def reload(
        self, listing: Listing, policy: Policy, hosts: ApiHosts, storage: Storage | None
    ) -> None:
        """Go on by other settings: polls and commands that are under way end as they would have."""
        now = self.clock.now()
        self._client.hosts = hosts
        self.credentials.stores.default = storage
        self.credentials.owners.api = self._client if policy.polls else None
        self.store.dispatch(PolicyChanged(now, policy))
        self.credentials.accounts.load(listing)
        self.credentials.watcher.look_again()
        await background.count_requests(self.persistence.budget, self.store, now)

    def send_by(self, channels: ChannelSet) -> None:
        """Send alerts by these channels from now on, also those that others have not sent yet."""
        self._channels = channels
        self._channels_replaced.set()

    async def test_channels(self) -> list[ChannelOutcome]:
        """Send a test alert by every channel that alerts are sent by, whichever of them work."""
        now = self.clock.now()
        alert = Alert(AlertKind.TEST, "", "", now)
        self.store.dispatch(Tested(now, alert))
        return await send_to_each(self._channels, alert, self.store.dispatch, self.clock)

    def state(self) -> State:
        return self.store.state

    async def run(self, main: Callable[[], Awaitable[None]], channels: ChannelSet) -> None:
        """Poll, follow logins, record alerts and send them until `main` returns."""
        self._channels = channels
        store, clock, kept = self.store, self.clock, self.persistence
        parts = {
            "poller": self.poller.run(),
            "login watcher": self.credentials.watcher.run(),
            "local usage": self._follow_local_usage(),
            "notifier": self._notify(),
            "forecaster": Forecaster(store, clock, kept.history).run(),
            "heartbeat": background.tick(store, clock),
            "mute watcher": background.follow_mute(kept.mute, store, clock),
            "requests": background.follow_requests(kept.budget, store, clock),
            "storage": background.follow_storage(kept.recorder, store, clock),
        }
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part, name=name) for name, part in parts.items()]
            await main()
            for task in tasks:
                task.cancel()

    async def _follow_local_usage(self) -> None:
        """Follow Claude Code's own figures; where nobody is polled, the first look at them is the first round."""
        if not self.state().policy.polls:
            await self.poll_once()
            self.store.dispatch(LookedAround(self.clock.now()))
        await self.credentials.local_usage.run()

    async def _notify(self) -> None:
        """Send alerts by the newest channels; those before have a second to end what they are sending."""
        while True:
            self._channels_replaced.clear()
            channels = self._channels
            names = tuple(channel.name for channel in channels.channels)
            self.store.dispatch(ChannelsReplaced(self.clock.now(), names))
            busy = partial(background.is_polling, self.store, self.clock)
            journal = Journal(self.persistence.recorder)
            notifier = Notifier(channels, self.store, self.clock, journal, busy)
            firing = background.refresh_firing(channels, self.store, self.clock)
            async with asyncio.TaskGroup() as group:
                parts = (notifier.run(), firing)
                tasks = [group.create_task(part, name="notifier") for part in parts]
                await self._channels_replaced.wait()
                for task in tasks:
                    task.cancel()

    async def poll_once(self) -> None:
        """Look who is logged in, and poll the accounts that it is time for, one shortly after the other."""
        await self.credentials.watcher.look()
        await self.credentials.local_usage.look()
        now, policy = self.clock.now(), self.state().policy
        accounts = self.state().accounts.items() if policy.polls else ()
        # No more requests than a program that runs all the time would send.
        names = [name for name, account in accounts if is_in_turn(account, now, policy.interval)]

        async def poll(name: str, after_secs: float) -> None:
            await self.clock.sleep(after_secs)
            self.store.dispatch(PollStarted(self.clock.now(), name))
            await self.poller.poll(name)

        async with asyncio.TaskGroup() as polls:
            for place, name in enumerate(names):
                polls.create_task(poll(name, place * FIRST_STAGGER.total_seconds()))

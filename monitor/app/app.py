"""All parts of a running program over one store, and the one TaskGroup that they live in."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from monitor.api.client import ApiHosts, Client
from monitor.api.wire import parse_usage
from monitor.app import background
from monitor.app.poller import Poller
from monitor.core.events import LookedAround, PolicyChanged, PollStarted, Recalled, Restored
from monitor.core.model import Storage
from monitor.core.policy import Policy
from monitor.core.restore import unasked
from monitor.core.schedule import is_in_turn
from monitor.core.state import State
from monitor.credentials.account_cache import AccountCache, Document
from monitor.credentials.account_service import AccountService
from monitor.credentials.accounts import Accounts, Profiles
from monitor.credentials.local_usage import LocalUsage
from monitor.credentials.ports import (
    AccountsFile,
    GivenCredentials,
    Listing,
    LoginSource,
    SecretStore,
    TokenSource,
)
from monitor.credentials.registry import LoginRegistry
from monitor.credentials.resolver import Resolver
from monitor.credentials.stores import SecretStores
from monitor.credentials.watcher import FreshCredentials, LoginWatcher
from monitor.notify.channel import ChannelSet
from monitor.notify.journal import DeliveryLog, NoJournal
from monitor.notify.queue import Notifier
from monitor.storage.cache import Cached
from monitor.storage.mute import Mute
from monitor.storage.recorder import Recorder
from monitor.storage.requests import RequestBudget
from monitor.store import Store
from monitor.system.clock import Clock

STATUS_STAGGER = 0.25


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Where this run keeps things: the real places, or the demo's memory. The first login is the one in use.

    `cached` is what an earlier process has left. Without a `recorder` nothing outlives this one.
    """

    file: AccountsFile
    vault: SecretStore
    document: Document
    logins: Callable[[set[str]], Awaitable[Sequence[LoginSource]]]
    login_at: Callable[[str], LoginSource]
    mute: Mute
    given: GivenCredentials | None = None
    command: Callable[[tuple[str, ...]], TokenSource] | None = None
    storage: Storage | None = None
    cached: Cached = field(default_factory=Cached)
    recorder: Recorder | None = None
    allowance: RequestBudget | None = None


class App:
    """All parts of a running program: they stay when the settings are reloaded."""

    def __init__(
        self,
        places: Dependencies,
        client: Client,
        policy: Policy,
        clock: Clock,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._places = places
        self._client = client
        self._channels = ChannelSet()
        self._channels_replaced = asyncio.Event()
        self._learnt = AccountCache(places.document)
        self.clock = clock
        self.mute = places.mute
        record = places.recorder.record if places.recorder else None
        self.store = Store(State(policy=policy), record)
        registry = LoginRegistry(self._learnt)
        stores = self._stores = SecretStores(
            places.vault, self._learnt, places.given, places.command, places.storage
        )
        profiles = self._profiles = Profiles(client if policy.polls else None, self._learnt)
        resolver = Resolver(stores, registry, self._learnt, profiles, self.store, clock)
        accounts = Accounts(self.store, self._learnt, stores, profiles, clock)
        self.book = AccountService(places.file, accounts, resolver, self._learnt, self.store, clock)
        self.watcher = LoginWatcher(self.logins, accounts, registry, resolver, self.store, clock)
        self.figures = LocalUsage(
            self.logins, self._learnt, registry, self.store, clock, parse_usage
        )
        credentials = FreshCredentials(self.watcher, resolver)
        self.poller = Poller(self.store, clock, credentials, client, chance, places.allowance)

    async def load(self, listing: Listing | None = None) -> None:
        """Load the accounts, and take up what an earlier process knew of them.

        Those of the `listing`, where the settings have been read: their file may say something else by now.
        """
        now = self.clock.now()
        self._recall(now)
        if self._places.recorder is not None:
            background.report_storage(self._places.recorder, self.store, now)
        self.book.load(listing or self._places.file.read())
        if self._places.allowance is not None:
            await background.count_requests(self._places.allowance, self.store, now)

    def _recall(self, now: datetime) -> None:
        """Take up what an earlier run remembered of its alerts, and of its polls."""
        cached, polls = self._places.cached, self.state().policy.polls
        accounts = cached.accounts if polls else unasked(cached.accounts)
        self.store.dispatch(Restored(now, accounts))
        self.store.dispatch(Recalled(now, cached.memories, cached.conditions))

    async def reload(
        self, listing: Listing, policy: Policy, hosts: ApiHosts, storage: Storage | None
    ) -> None:
        """Go on by other settings: polls and commands that are under way end as they would have."""
        now = self.clock.now()
        self._client.hosts = hosts
        self._stores.default = storage
        self._profiles.api = self._client if policy.polls else None
        self.store.dispatch(PolicyChanged(now, policy))
        self.book.load(listing)
        self.watcher.look_again()
        if self._places.allowance is not None:
            await background.count_requests(self._places.allowance, self.store, now)

    def send_by(self, channels: ChannelSet) -> None:
        """Send alerts by these channels from now on, also those that others have not sent yet."""
        self._channels = channels
        self._channels_replaced.set()

    async def logins(self) -> Sequence[LoginSource]:
        """Every place where Claude Code keeps a login that is watched, the one in use first."""
        accounts = [state.account for state in self.state().accounts.values()]
        named = {account.config_dir for account in accounts if account.config_dir}
        return await self._places.logins(self._learnt.folders() | named)

    def login_at(self, folder: str) -> LoginSource:
        """The login of one configuration folder of Claude Code, "" being the default one."""
        return self._places.login_at(folder)

    def state(self) -> State:
        return self.store.state

    async def run(self, main: Callable[[], Awaitable[None]], channels: ChannelSet) -> None:
        """Poll, follow logins, record alerts and send them until `main` returns."""
        self._channels = channels
        parts = {
            "poller": self.poller.run(),
            "login watcher": self.watcher.run(),
            "figures": self._follow_figures(),
            "notifier": self._notify(),
            "heartbeat": background.tick(self.store, self.clock),
            "mute watcher": background.follow_mute(self.mute, self.store, self.clock),
            "requests": background.follow_requests(self._places.allowance, self.store, self.clock),
            "storage": background.follow_storage(self._places.recorder, self.store, self.clock),
        }
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part, name=name) for name, part in parts.items()]
            await main()
            for task in tasks:
                task.cancel()

    async def _follow_figures(self) -> None:
        """Where nobody is polled, the first look at logins and figures is all of the first round."""
        if not self.state().policy.polls:
            await self.poll_once()
            self.store.dispatch(LookedAround(self.clock.now()))
        await self.figures.run()

    async def _notify(self) -> None:
        """Send alerts by the newest channels; those before have a second to end what they are sending."""
        while True:
            self._channels_replaced.clear()
            channels = self._channels
            firing = background.refresh_firing(channels, self.store, self.clock)
            async with asyncio.TaskGroup() as group:
                parts = (self._notifier(channels).run(), firing)
                tasks = [group.create_task(part, name="notifier") for part in parts]
                await self._channels_replaced.wait()
                for task in tasks:
                    task.cancel()

    def _notifier(self, channels: ChannelSet) -> Notifier:
        recorder = self._places.recorder
        journal = NoJournal() if recorder is None else DeliveryLog(recorder)
        busy = partial(background.is_polling, self.store, self.clock)
        return Notifier(channels, self.store, self.clock, journal, busy)

    async def poll_once(self) -> None:
        """Look who is logged in, and poll the accounts that it is time for, one shortly after the other."""
        await self.watcher.look()
        await self.figures.look()
        async with asyncio.TaskGroup() as polls:
            for place, name in enumerate(self._in_turn()):
                polls.create_task(self._poll_after(place * STATUS_STAGGER, name))

    def _in_turn(self) -> list[str]:
        """The accounts that may be asked without costing more requests than a program that runs all the time."""
        now, policy = self.clock.now(), self.store.state.policy
        accounts = self.store.state.accounts if policy.polls else {}
        return [name for name, a in accounts.items() if is_in_turn(a, now, policy.interval)]

    async def _poll_after(self, seconds: float, name: str) -> None:
        await self.clock.sleep(seconds)
        self.store.dispatch(PollStarted(self.clock.now(), name))
        await self.poller.poll(name)

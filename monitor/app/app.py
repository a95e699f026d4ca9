"""All parts of a running program over one store, and the one TaskGroup that they live in."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from monitor.api.client import Client
from monitor.api.wire import parse_usage
from monitor.app import background
from monitor.app.poller import Poller
from monitor.core.events import LedgerFailed, LookedAround, PolicyChanged, PollStarted, Restored
from monitor.core.model import Storage
from monitor.core.policy import Policy
from monitor.core.restore import idle, unasked
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
from monitor.notify.journal import LoggedJournal, NoJournal
from monitor.notify.queue import Notifier
from monitor.storage.ledger import DeliveryLog
from monitor.storage.mute import MuteFile
from monitor.storage.request_budget import RequestBudget
from monitor.storage.samples import SampleLog
from monitor.storage.state_store import StateStore
from monitor.store import Store
from monitor.system.clock import Clock

STATUS_STAGGER = 0.25

LEDGER_SECS = 60.0
"""Between two looks whether a ledger can be used again: somebody may have made room on the disk."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Where this run keeps things: the real places, or the demo's memory. The first login is the one in use.

    Without a ledger nothing is remembered of alerts. `ledger_failure` says why, where there should be one, and
    `ledger_works` whether it could be used by now.
    """

    file: AccountsFile
    vault: SecretStore
    document: Document
    logins: Callable[[set[str]], Awaitable[Sequence[LoginSource]]]
    login_at: Callable[[str], LoginSource]
    mute: MuteFile
    given: GivenCredentials | None = None
    command: Callable[[tuple[str, ...]], TokenSource] | None = None
    storage: Storage | None = None
    ledger: DeliveryLog | None = None
    ledger_failure: str | None = None
    ledger_works: Callable[[], bool] | None = None
    history: SampleLog | None = None
    snapshots: StateStore | None = None
    allowance: RequestBudget | None = None
    asks: bool = True
    """Whether the API may be asked at all; else figures come from Claude Code alone."""


class App:
    """All parts of a running program."""

    def __init__(
        self,
        places: Dependencies,
        client: Client,
        policy: Policy,
        clock: Clock,
        carried: State | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._places = places
        self._carried = carried is not None
        self._policy = policy
        self._learnt = AccountCache(places.document)
        self.clock = clock
        self.mute = places.mute
        record = places.ledger.record if places.ledger else None
        keep = places.snapshots.record if places.snapshots else None
        self.store = Store(
            idle(carried, asks=places.asks) if carried else State(policy=policy), record, keep
        )
        registry = LoginRegistry(self._learnt)
        stores = SecretStores(
            places.vault, self._learnt, places.given, places.command, places.storage
        )
        profiles = Profiles(client if places.asks else None, self._learnt)
        resolver = Resolver(stores, registry, self._learnt, profiles, self.store, clock)
        accounts = Accounts(self.store, self._learnt, stores, profiles, clock)
        self.book = AccountService(places.file, accounts, resolver, self._learnt, self.store, clock)
        self.watcher = LoginWatcher(self.logins, accounts, registry, resolver, self.store, clock)
        self.figures = LocalUsage(
            self.logins, self._learnt, registry, self.store, clock, parse_usage
        )
        credentials = FreshCredentials(self.watcher, resolver)
        self.poller = Poller(self.store, clock, credentials, client, chance, places.allowance)

    def load(self, listing: Listing | None = None) -> None:
        """Load the accounts, and take up what is known of them: from this process, or an earlier one.

        Those of the `listing`, where the settings have been read: their file may say something else by now.
        """
        now = self.clock.now()
        if self._carried:
            self.store.dispatch(PolicyChanged(now, self._policy))
        else:
            self._recall(now)
        if self._places.ledger_failure is not None:
            _log.warning("%s", self._places.ledger_failure)
            self.store.dispatch(LedgerFailed(now, self._places.ledger_failure))
        self.book.load(listing or self._places.file.read())
        if self._places.allowance is not None:
            background.count_requests(self._places.allowance, self.store, now)

    def _recall(self, now: datetime) -> None:
        """What an earlier run remembered of its alerts, and of its polls."""
        if self._places.snapshots is not None:
            known = self._places.snapshots.load()
            self.store.dispatch(Restored(now, known if self._places.asks else unasked(known)))
        if self._places.ledger is not None:
            self.store.dispatch(self._places.ledger.recalled(now))

    async def ledger_is_back(self) -> None:
        """Until the ledger can be used that could not be when we began; for ever where nothing is wrong with it."""
        works = self._places.ledger_works
        while works is None or not works():
            await self.clock.sleep(LEDGER_SECS)

    async def logins(self) -> Sequence[LoginSource]:
        """Every place where Claude Code keeps a login that is watched, the one in use first."""
        return await self._places.logins(self._learnt.folders())

    def login_at(self, folder: str) -> LoginSource:
        """The login of one configuration folder of Claude Code, "" being the default one."""
        return self._places.login_at(folder)

    def state(self) -> State:
        return self.store.state

    async def run(self, front: Callable[[], Awaitable[None]], channels: ChannelSet) -> None:
        """Poll, follow logins, keep alerts and send them until `front` returns."""
        parts = {
            "poller": self.poller.run() if self._places.asks else background.nothing(),
            "login watcher": self.watcher.run(),
            "figures": self._follow_figures(),
            "notifier": self._notifier(channels).run(),
            "heartbeat": background.tick(self.store, self.clock),
            "mute watcher": background.follow_mute(self.mute, self.store, self.clock),
            "requests": background.follow_requests(self._places.allowance, self.store, self.clock),
            "history": background.keep_samples(self._places.history, self.store),
            "firing alerts": background.refresh_firing(channels, self.store, self.clock),
        }
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part, name=name) for name, part in parts.items()]
            await front()
            for task in tasks:
                task.cancel()

    async def _follow_figures(self) -> None:
        """Where nobody is polled, the first look at logins and figures is all of the first round."""
        if not self._places.asks:
            await self.poll_once()
            self.store.dispatch(LookedAround(self.clock.now()))
        await self.figures.run()

    def _notifier(self, channels: ChannelSet) -> Notifier:
        ledger = self._places.ledger
        journal = NoJournal() if ledger is None else LoggedJournal(ledger)
        busy = partial(background.is_polling, self.store, self.clock)
        return Notifier(channels, self.store, self.clock, journal, busy)

    async def poll_once(self) -> None:
        """Look who is logged in, and poll the accounts that it is time for, one shortly after the other."""
        await self.watcher.look()
        await self.figures.look()
        async with asyncio.TaskGroup() as polls:
            for place, name in enumerate(self._in_turn() if self._places.asks else ()):
                polls.create_task(self._poll_after(place * STATUS_STAGGER, name))

    def _in_turn(self) -> list[str]:
        """The accounts that may be asked without costing more requests than a program that runs all the time."""
        now, state = self.clock.now(), self.store.state
        interval = state.policy.interval
        return [name for name, a in state.accounts.items() if is_in_turn(a, now, interval)]

    async def _poll_after(self, seconds: float, name: str) -> None:
        await self.clock.sleep(seconds)
        self.store.dispatch(PollStarted(self.clock.now(), name))
        await self.poller.poll(name)

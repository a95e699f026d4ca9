"""All parts of a running program over one store, and the one TaskGroup that they live in."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass

from exporters.server import Site
from monitor.accounts.book import AccountBook
from monitor.accounts.credentials import Credentials
from monitor.accounts.learnt import Document, Learnt
from monitor.accounts.logins import LoginWatcher
from monitor.accounts.seams import AccountsFile, LoginSource, Vault
from monitor.api.client import Client
from monitor.app import chores
from monitor.app.telling import Telling
from monitor.clock import Clock
from monitor.core.events import LedgerFailed, PollStarted
from monitor.core.policy import Policy
from monitor.core.state import State
from monitor.history import History
from monitor.ledger import Ledger
from monitor.mute import MuteFile
from monitor.notifier import Notifier
from monitor.poller import Poller
from monitor.settings import ExporterSettings
from monitor.store import Store

STATUS_STAGGER = 0.25


@dataclass(frozen=True, slots=True)
class Places:
    """Where this run keeps things: the real places, or the demo's memory. The first login is the one in use.

    Without a ledger nothing is remembered of alerts; `ledger_failure` says why, where there should be one.
    """

    file: AccountsFile
    vault: Vault
    document: Document
    logins: Callable[[set[str]], Sequence[LoginSource]]
    login_at: Callable[[str], LoginSource]
    mute: MuteFile
    ledger: Ledger | None = None
    ledger_failure: str | None = None
    history: History | None = None


class App:
    """All parts of a running program."""

    def __init__(self, places: Places, client: Client, policy: Policy, clock: Clock) -> None:
        self._places = places
        self._learnt = Learnt(places.document)
        self.clock = clock
        self.mute = places.mute
        record = places.ledger.record if places.ledger else None
        self.store = Store(State(policy=policy), record)
        credentials = Credentials(places.vault, self._learnt, self.store, clock)
        self.book = AccountBook(
            file=places.file,
            credentials=credentials,
            learnt=self._learnt,
            api=client,
            store=self.store,
            clock=clock,
        )
        self.watcher = LoginWatcher(
            sources=self.logins,
            credentials=credentials,
            book=self.book,
            api=client,
            store=self.store,
            clock=clock,
        )
        self.poller = Poller(self.store, clock, credentials, client, random.random)

    def recall(self) -> None:
        """Take up what an earlier run remembered of its alerts, before the accounts are loaded."""
        now = self.clock.now()
        if self._places.ledger is not None:
            self.store.dispatch(self._places.ledger.recalled(now))
        if self._places.ledger_failure is not None:
            self.store.dispatch(LedgerFailed(now, self._places.ledger_failure))

    def logins(self) -> Sequence[LoginSource]:
        """Every place where Claude Code keeps a login that is watched, the one in use first."""
        return self._places.logins(self._learnt.folders())

    def login_at(self, folder: str) -> LoginSource:
        """The login of one configuration folder of Claude Code."""
        return self._places.login_at(folder)

    def state(self) -> State:
        return self.store.state

    def site(self, address: ExporterSettings) -> AbstractAsyncContextManager[Site | None]:
        """The site on this address, for the time of the block; None where nothing is to be served."""
        if address.host is None or address.port is None:
            return nullcontext()
        return Site(self.state, self.clock.now, address.host, address.port)

    async def run(self, front: Callable[[], Awaitable[None]], telling: Telling) -> None:
        """Poll, follow logins, keep alerts and tell them until `front` returns."""
        parts = {
            "poller": self.poller.run(),
            "login watcher": self.watcher.run(),
            "notifier": self._notifier(telling).run(),
            "heartbeat": chores.tick(self.store, self.clock),
            "mute watcher": chores.follow_mute(self.mute, self.store, self.clock),
            "history": chores.keep_samples(self._places.history, self.store),
            "firing alerts": chores.refresh_firing(telling, self.store, self.clock),
        }
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part, name=name) for name, part in parts.items()]
            await front()
            for task in tasks:
                task.cancel()

    def _notifier(self, telling: Telling) -> Notifier:
        return Notifier(
            channels=telling.chains,
            next_effect=self.store.next_effect,
            dispatch=self.store.dispatch,
            clock=self.clock,
            journal=self._places.ledger,
            rules=lambda: self.state().policy.alerts,
            busy=lambda: chores.more_to_come(self.state(), self.clock.now()),
            quiet_until=telling.quiet_until,
            fan_out=telling.fan_out,
            limits=telling.limits,
        )

    async def poll_once(self) -> None:
        """Poll every account once, one shortly after the other, and look who is logged in."""
        await self.watcher.look()
        async with asyncio.TaskGroup() as polls:
            for place, name in enumerate(self.store.state.accounts):
                polls.create_task(self._poll_after(place * STATUS_STAGGER, name))

    async def _poll_after(self, seconds: float, name: str) -> None:
        await self.clock.sleep(seconds)
        self.store.dispatch(PollStarted(self.clock.now(), name))
        await self.poller.poll(name)

"""The composition root: builds every part once, runs them in one TaskGroup, and takes them down in order."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
)
from dataclasses import dataclass
from datetime import timedelta

from exporters.server import Site
from monitor import __version__
from monitor.accounts.book import AccountBook
from monitor.accounts.credentials import Credentials
from monitor.accounts.learnt import Document, Learnt
from monitor.accounts.logins import LoginWatcher
from monitor.accounts.seams import AccountsFile, LoginSource, Vault
from monitor.api.client import Client
from monitor.clock import Clock, SystemClock
from monitor.core.events import PollStarted
from monitor.core.state import Policy, State
from monitor.demo.places import MemoryAccounts, MemoryDocument, MemoryVault, SimulatedLogin
from monitor.demo.scenario import demo_accounts
from monitor.demo.server import SimulatedAccount, SimulatedApi
from monitor.files import JsonFile
from monitor.notifier import Channel, Notifier
from monitor.poller import Poller
from monitor.settings import ApiSettings, ExporterSettings, Settings, SettingsFile, state_folder
from monitor.sources.claude_code import ClaudeCode, installed_version
from monitor.sources.keyring import Keyring
from monitor.store import Store

PINNED_CLAUDE_CODE = "2.1.282"
"""The version that the User-Agent names where no Claude Code is installed."""

DEMO_INTERVAL = timedelta(seconds=5)
STATUS_STAGGER = 0.25


@dataclass(frozen=True, slots=True)
class Places:
    """Where this run keeps things: the real places, or the demo's memory. The first login is the one in use."""

    file: AccountsFile
    vault: Vault
    document: Document
    logins: Callable[[set[str]], Sequence[LoginSource]]
    login_at: Callable[[str], LoginSource]


class App:
    """All parts of a running program, over one store."""

    def __init__(self, places: Places, client: Client, policy: Policy, clock: Clock) -> None:
        learnt = Learnt(places.document)
        self.clock = clock
        self.store = Store(State(policy=policy))
        self.login_at = places.login_at
        self._places = places
        self._learnt = learnt
        credentials = Credentials(places.vault, learnt, self.store, clock)
        self.book = AccountBook(
            file=places.file,
            credentials=credentials,
            learnt=learnt,
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

    def logins(self) -> Sequence[LoginSource]:
        """Every place where Claude Code keeps a login that is watched, the one in use first."""
        return self._places.logins(self._learnt.folders())

    def state(self) -> State:
        return self.store.state

    def site(self, address: ExporterSettings) -> AbstractAsyncContextManager[Site | None]:
        """The site on this address, for the time of the block; None where nothing is to be served."""
        if address.host is None or address.port is None:
            return nullcontext()
        return Site(self.state, self.clock.now, address.host, address.port)

    async def run(self, front: Callable[[], Awaitable[None]], channels: Sequence[Channel]) -> None:
        """Poll, follow logins and notify until `front` returns."""
        notifier = Notifier(
            channels=channels,
            next_effect=self.store.next_effect,
            dispatch=self.store.dispatch,
            clock=self.clock,
        )
        async with asyncio.TaskGroup() as group:
            parts = [
                group.create_task(self.poller.run(), name="poller"),
                group.create_task(self.watcher.run(), name="login watcher"),
                group.create_task(notifier.run(), name="notifier"),
            ]
            await front()
            for part in parts:
                part.cancel()

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


@asynccontextmanager
async def real(settings: Settings, environ: Mapping[str, str] = os.environ) -> AsyncIterator[App]:
    """The program over the user's own settings, keyring and logins."""
    clock = SystemClock()
    async with client_for(settings.api, clock) as client:
        app = App(_real_places(settings, environ), client, _policy(settings), clock)
        app.book.load()
        yield app


@asynccontextmanager
async def demo() -> AsyncIterator[App]:
    """The same program over invented accounts and a simulated API on loopback."""
    clock = SystemClock()
    simulated = demo_accounts(clock.now())
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(SimulatedApi(simulated, clock.now))
        client = await stack.enter_async_context(client_for(ApiSettings(url, url), clock))
        app = App(_demo_places(simulated), client, Policy(interval=DEMO_INTERVAL), clock)
        await app.book.import_from([SimulatedLogin(account) for account in simulated[:-1]])
        yield app


def client_for(api: ApiSettings, clock: Clock) -> Client:
    """A client of the hosts that the settings name."""
    return Client(
        url=api.url,
        web_url=api.web_url,
        timeout_secs=api.timeout_secs,
        user_agent=api.user_agent or user_agent(),
        now=clock.now,
    )


def user_agent() -> str:
    """Accepted by the API, which gives others a far smaller budget, and still honest about who asks."""
    return f"claude-code/{installed_version() or PINNED_CLAUDE_CODE} (claude-tracker/{__version__})"


def _policy(settings: Settings) -> Policy:
    notifications = settings.notifications
    return Policy(
        interval=timedelta(seconds=settings.poll_interval_secs),
        thresholds=notifications.thresholds,
        resets=notifications.reset,
        alerts=notifications.enabled,
    )


def _real_places(settings: Settings, environ: Mapping[str, str]) -> Places:
    def logins(folders: set[str]) -> Sequence[LoginSource]:
        current = ClaudeCode(environ=environ)
        others = sorted(folders - {current.folder})
        return [current, *(ClaudeCode(folder, environ=environ) for folder in others)]

    return Places(
        file=SettingsFile(settings.path),
        vault=Keyring(),
        document=JsonFile(state_folder(environ) / "accounts.json"),
        logins=logins,
        login_at=lambda folder: ClaudeCode(folder, environ=environ),
    )


def _demo_places(simulated: Sequence[SimulatedAccount]) -> Places:
    """The first account is logged in; the last one is not imported yet, and is what `i` brings."""
    current = SimulatedLogin(simulated[0])
    spare = SimulatedLogin(simulated[-1], folder="spare")
    return Places(
        file=MemoryAccounts(),
        vault=MemoryVault(),
        document=MemoryDocument(),
        logins=lambda _: [current, spare],
        login_at=lambda _: spare,
    )

"""The composition root: connects the parts over the user's own settings, keyring and logins, or the demo's memory."""

import os
import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from resource import RLIMIT_CORE, getrlimit, setrlimit

from exporters.web_config import SiteConfig, load_web_config, refuse_plain
from monitor import __version__
from monitor.api.client import ApiHosts, Client
from monitor.api.wire import parse_usage
from monitor.app.app import App, Credentials, Persistence
from monitor.app.past_samples import desktop_rows
from monitor.app.poller import Poller
from monitor.core.model import Storage
from monitor.core.state import Policy, State
from monitor.credentials.account_cache import AccountCache
from monitor.credentials.accounts import AccountService, AccountsFile
from monitor.credentials.claude_code import Discovery, LoginSource, installed_version
from monitor.credentials.keychain import Security
from monitor.credentials.keyring import Keyring
from monitor.credentials.local_usage import LocalUsage
from monitor.credentials.owners import Owners
from monitor.credentials.programs import TokenCommand
from monitor.credentials.resolver import Resolver
from monitor.credentials.stores import CredentialsDirectory, SecretStore, SecretStores
from monitor.credentials.watcher import LoginWatcher, Sources
from monitor.demo.memory import MemoryAccounts, MemorySecretStore, SimulatedLogin
from monitor.demo.scenario import demo_accounts, past_samples
from monitor.demo.server import SimulatedApi
from monitor.notify.channel import ChannelSet
from monitor.notify.channels import build_channel_set
from monitor.notify.channels.terminal import Show
from monitor.paths import instance_key, refuse_missing
from monitor.settings import Address, ApiSettings, Settings, SettingsFile, load, policy_of, state_db
from monitor.storage.db import IN_MEMORY, StateFile
from monitor.storage.recorder import Database, Recorder
from monitor.storage.samples import StoredSample
from monitor.store import Store
from monitor.system.aio import Daemon
from monitor.system.clock import ServerClock

PINNED_CLAUDE_CODE = "2.1.282"
"""The version that the User-Agent names where no Claude Code is installed."""

DEMO_INTERVAL = timedelta(seconds=2)
DEMO_SAMPLES = timedelta(minutes=1)
"""The demo, which may run for days, keeps samples in its memory at this distance."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The sources that a run reads accounts, secrets and logins from: the real ones, or the demo's memory.

    `logins` finds Claude Code's logins, those of these folders too, the one in use first.
    """

    file: AccountsFile
    keyring: SecretStore
    cache: AccountCache
    logins: Sources
    login_at: Callable[[str], LoginSource]
    given: CredentialsDirectory
    storage: Storage | None = None


@asynccontextmanager
async def build(
    settings: Settings,
    *,
    alerts: bool = False,
    stays: bool = False,
    clock: ServerClock | None = None,
) -> AsyncIterator[App]:
    """Build the program over the user's own settings, keyring and logins. With `alerts` it records them.

    One that `stays` polls on.
    """
    with suppress(OSError, ValueError):  # a core dump would put the tokens on the disk
        setrlimit(RLIMIT_CORE, (0, getrlimit(RLIMIT_CORE)[1]))
    clock = clock or ServerClock()
    discovery = Discovery(environ=os.environ, security=Security(clock=clock))
    async with AsyncExitStack() as stack:
        rows, hosts = await Daemon(
            lambda: (instance_key(os.environ, settings.path), hosts_of(settings.api))
        ).future
        path = state_db(os.environ)
        recorder = await stack.enter_async_context(open_recorder(path, rows, alerts=alerts))
        cached = await recorder.load()
        clock.offset = clock.found = cached.clock_offset
        others = partial(desktop_rows, os.environ)
        persistence = Persistence.over(recorder, others, is_brief=not stays)
        dependencies = Dependencies(
            file=SettingsFile(settings.path),
            keyring=Keyring(),
            cache=AccountCache(cached.facts, recorder.record_facts),
            logins=discovery.discover,
            login_at=discovery.source,
            given=CredentialsDirectory(os.environ),
            storage=settings.storage,
        )
        client = await stack.enter_async_context(Client(hosts, clock))
        app = connect(dependencies, persistence, client, policy_of(settings), clock)
        await app.load(settings, cached)
        yield app


def connect(
    dependencies: Dependencies,
    persistence: Persistence,
    client: Client,
    policy: Policy,
    clock: ServerClock,
    chance: Callable[[], float] = random.random,
) -> App:
    """Connect the parts of the program; it has no accounts yet."""
    store = Store(State(policy=policy), persistence.recorder.record)
    cache = dependencies.cache
    stores = SecretStores(
        dependencies.keyring,
        cache,
        dependencies.given,
        lambda argv: TokenCommand(argv, clock),
        dependencies.storage,
    )
    owners = Owners(client, cache, stores, store, clock)
    resolver = Resolver(stores, owners, store, clock)
    watcher = LoginWatcher(dependencies.logins, owners, resolver, store, clock)
    credentials = Credentials(
        stores,
        AccountService(dependencies.file, owners, resolver, stores, store, clock),
        watcher,
        LocalUsage(watcher, cache, store, clock, parse_usage),
        dependencies.login_at,
    )
    poller = Poller(store, clock, watcher, client, chance, persistence.budget)
    return App(store, clock, client, credentials, persistence, poller)


@asynccontextmanager
async def open_recorder(
    path: Path, settings: str = "", *, alerts: bool = True, apart: timedelta = timedelta(0)
) -> AsyncIterator[Recorder]:
    """Open the recorder of a settings file; it writes its last rows at the end of the block."""
    database = Database(StateFile(path))
    recorder = Recorder(database, settings, keeps_alerts=alerts, apart=apart)
    try:
        yield recorder
    finally:
        await recorder.close()
        await database.close()


@asynccontextmanager
async def build_demo() -> AsyncIterator[App]:
    """Build the same program over invented accounts and a simulated API on loopback.

    Claude Code uses the first account now; the last one is not imported yet, and is what `i` brings.
    """
    clock = ServerClock()
    start = clock.now()
    simulated = demo_accounts(start)
    logged_in = [SimulatedLogin(account) for account in simulated]

    async def logins(_: Sequence[str]) -> Sequence[LoginSource]:
        return logged_in

    dependencies = Dependencies(
        file=MemoryAccounts(),
        keyring=MemorySecretStore(),
        cache=AccountCache({}),
        logins=logins,
        login_at=lambda _: logged_in[-1],
        given=CredentialsDirectory({}),
    )

    def others(account: str, _org_id: str, _now: datetime) -> Iterator[StoredSample]:
        return past_samples(simulated, start, account)

    async with AsyncExitStack() as stack:
        recorder = await stack.enter_async_context(open_recorder(IN_MEMORY, apart=DEMO_SAMPLES))
        url = await stack.enter_async_context(SimulatedApi(simulated, clock.now))
        agent = f"claude-code/{PINNED_CLAUDE_CODE}"
        hosts = hosts_of(ApiSettings(url, url, user_agent=agent))
        client = await stack.enter_async_context(Client(hosts, clock))
        persistence = Persistence.over(recorder, others)
        app = connect(dependencies, persistence, client, Policy(interval=DEMO_INTERVAL), clock)
        await app.credentials.accounts.import_all(logged_in[:-1])
        yield app


@dataclass(frozen=True, slots=True)
class CliOptions:
    """The options of a run that polls. `show` reaches the terminal that it has, if it has one."""

    config: Path
    listen: Address | None = None
    web_config: Path | None = None
    metrics_path: str = "/metrics"
    notify: bool = True
    show: Show | None = None
    clock: ServerClock = field(default_factory=ServerClock)


@dataclass(frozen=True, slots=True)
class RunConfig:
    """The settings, and what follows from them: all of it valid, or none of it."""

    settings: Settings
    channels: ChannelSet
    site: SiteConfig | None
    hosts: ApiHosts

    @staticmethod
    def read(options: CliOptions, *, must_exist: bool = False) -> "RunConfig":
        """Read the settings, blocking. Raises SettingsError, also where their file must exist and does not."""
        if must_exist:
            refuse_missing(os.environ, str(options.config))
        settings = load(options.config)
        channels = ChannelSet()
        if options.notify:
            channels = build_channel_set(settings, options.show, options.clock)
        return RunConfig(settings, channels, site_of(settings, options), hosts_of(settings.api))

    def sends_like(self, other: "RunConfig") -> bool:
        """Return whether alerts are sent by the same channels."""
        ours, others = self.settings, other.settings
        return (
            ours.notifications == others.notifications
            and ours.channels == others.channels
            and ours.overrides == others.overrides
        )


def site_of(settings: Settings, options: CliOptions) -> SiteConfig | None:
    """Read how `/metrics` is to be served; None for not at all. Raises SettingsError."""
    exporter = settings.exporter
    address = options.listen or exporter.listen
    if address.host is None or address.port is None:
        return None
    site = SiteConfig(
        address.host,
        address.port,
        exporter.hosts,
        options.metrics_path,
        options.web_config or exporter.web_config_of(settings.path),
        exporter.allow_plain,
    )
    refuse_plain(site)
    if site.web_config is not None:
        load_web_config(site.web_config)
    return site


def hosts_of(api: ApiSettings) -> ApiHosts:
    """Return the hosts that the settings name; blocks."""
    return ApiHosts(api.url, api.web_url, api.timeout_secs, api.user_agent or user_agent())


def user_agent() -> str:
    """Name an agent that the API accepts (it gives others a far smaller budget), and that is honest about us.

    Blocks.
    """
    return f"claude-code/{installed_version() or PINNED_CLAUDE_CODE} (claude-tracker/{__version__})"

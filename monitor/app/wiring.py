"""Where a run keeps things and whom it asks: the user's own settings, keyring and logins, or the demo's memory."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from monitor import __version__
from monitor.api.client import ApiHosts, Client
from monitor.app.app import App, Dependencies
from monitor.core.policy import Policy
from monitor.credentials.claude_code import ClaudeCode, installed_version
from monitor.credentials.command import TokenCommand
from monitor.credentials.discovery import Discovery
from monitor.credentials.keyring import Keyring
from monitor.credentials.ports import LoginSource
from monitor.credentials.systemd import CredentialsDirectory
from monitor.demo.memory import MemoryAccounts, MemoryDocument, MemoryVault, SimulatedLogin
from monitor.demo.scenario import demo_accounts
from monitor.demo.server import SimulatedApi
from monitor.settings import (
    ApiSettings,
    Settings,
    SettingsFile,
    rule_book,
    settings_id,
    state_db,
)
from monitor.storage.cache import FactsDocument
from monitor.storage.db import StateFile
from monitor.storage.mute import Mute
from monitor.storage.recorder import Recorder
from monitor.storage.requests import RequestBudget
from monitor.storage.writer import Database
from monitor.system.clock import Clock, SystemClock
from monitor.system.rlimits import leave_no_core

PINNED_CLAUDE_CODE = "2.1.282"
"""The version that the User-Agent names where no Claude Code is installed."""

DEMO_INTERVAL = timedelta(seconds=5)

SYSTEM_CLOCK: Final = SystemClock()


@asynccontextmanager
async def build(
    settings: Settings,
    *,
    alerts: bool = False,
    stays: bool = False,
    environ: Mapping[str, str] = os.environ,
    clock: Clock = SYSTEM_CLOCK,
) -> AsyncIterator[App]:
    """Build the program over the user's own settings, keyring and logins. With `alerts` it records them.

    One that `stays` polls on.
    """
    leave_no_core()
    async with AsyncExitStack() as stack:
        opened = open_recorder(settings.path, alerts=alerts, environ=environ)
        recorder = await stack.enter_async_context(opened)
        cached = await recorder.load()
        database = recorder.database
        places = replace(
            _real_places(settings, environ, clock),
            document=FactsDocument(cached.facts, recorder.record_facts),
            mute=Mute(database),
            cached=cached if alerts else replace(cached, memories={}, conditions={}),
            recorder=recorder,
            allowance=RequestBudget(database, recorder.record_backoff, is_brief=not stays),
        )
        client = await stack.enter_async_context(client_for(settings.api, clock))
        app = App(places, client, policy_of(settings), clock)
        await app.load(settings)
        yield app


@asynccontextmanager
async def open_recorder(
    config: Path, *, alerts: bool, environ: Mapping[str, str] = os.environ
) -> AsyncIterator[Recorder]:
    """What writes the rows of this settings file; its last words are written at the end of the block."""
    database = Database(StateFile(state_db(environ)))
    recorder = Recorder(database, settings_id(environ, config), keeps_alerts=alerts)
    try:
        yield recorder
    finally:
        await recorder.close()
        await database.close()


@asynccontextmanager
async def build_demo(clock: Clock = SYSTEM_CLOCK) -> AsyncIterator[App]:
    """Build the same program over invented accounts and a simulated API on loopback."""
    simulated = demo_accounts(clock.now())
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(SimulatedApi(simulated, clock.now))
        client = await stack.enter_async_context(client_for(ApiSettings(url, url), clock))
        logged_in = [SimulatedLogin(account) for account in simulated]
        app = App(_demo_places(logged_in), client, Policy(interval=DEMO_INTERVAL), clock)
        await app.book.import_from(logged_in[:-1])
        yield app


def policy_of(settings: Settings) -> Policy:
    """What the core needs of the settings."""
    interval = timedelta(seconds=settings.poll_interval_secs)
    return Policy(interval, rule_book(settings), polls=settings.api.enabled)


def hosts_of(api: ApiSettings) -> ApiHosts:
    """The hosts that the settings name."""
    return ApiHosts(api.url, api.web_url, api.timeout_secs, api.user_agent or user_agent())


def client_for(api: ApiSettings, clock: Clock) -> Client:
    """A client of the hosts that the settings name."""
    return Client(hosts_of(api), clock.now)


def user_agent() -> str:
    """Accepted by the API, which gives others a far smaller budget, and still honest about who asks."""
    return f"claude-code/{installed_version() or PINNED_CLAUDE_CODE} (claude-tracker/{__version__})"


def _real_places(settings: Settings, environ: Mapping[str, str], clock: Clock) -> Dependencies:
    discovery = Discovery(environ=environ, clock=clock)

    async def logins(folders: set[str]) -> Sequence[LoginSource]:
        return await discovery.discovered(sorted(folders))

    return Dependencies(
        file=SettingsFile(settings.path),
        vault=Keyring(),
        document=FactsDocument(),
        logins=logins,
        login_at=lambda folder: ClaudeCode(folder, environ=environ, clock=clock),
        mute=Mute(),
        given=CredentialsDirectory(environ),
        command=lambda argv: TokenCommand(argv, clock),
        storage=settings.storage,
    )


def _demo_places(logged_in: Sequence[LoginSource]) -> Dependencies:
    """Claude Code uses the first one now; the last one is not imported yet, and is what `i` brings."""

    async def logins(_: set[str]) -> Sequence[LoginSource]:
        return logged_in

    return Dependencies(
        file=MemoryAccounts(),
        vault=MemoryVault(),
        document=MemoryDocument(),
        logins=logins,
        login_at=lambda _: logged_in[-1],
        mute=Mute(),
    )

"""Runs every check of this machine, several at once, and puts their results in order. Changes nothing."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from monitor.api.client import Reached, reach
from monitor.app.wiring import CliOptions, site_of, user_agent
from monitor.core.errors import (
    ApiError,
    CredentialError,
    Failure,
    Reason,
    SettingsError,
    TrackerError,
)
from monitor.core.events import AccountsLoaded
from monitor.core.model import Account, AuthMethod, Credential, Profile, Secret, Storage
from monitor.core.state import State
from monitor.credentials.account_cache import AccountCache
from monitor.credentials.claude_code import Discovery, LoginSource
from monitor.credentials.folders import home
from monitor.credentials.keychain import LIMIT_SECS, SECURITY, Security
from monitor.credentials.keyring import Backend, Keyring, system_backend
from monitor.credentials.owners import Owners
from monitor.credentials.programs import TokenCommand
from monitor.credentials.resolver import Resolver, TokenStatus
from monitor.credentials.stores import CredentialsDirectory, SecretStore, SecretStores, storage_of
from monitor.credentials.watcher import LoginWatcher
from monitor.doctor import accounts, channels, files, logins, network
from monitor.doctor.report import Check, Privacy, Question, title
from monitor.notify.channels.desktop import Library
from monitor.paths import instance_key
from monitor.settings import Settings, state_db
from monitor.storage import cache
from monitor.store import Store
from monitor.system.aio import Daemon, DaemonThreads
from monitor.system.clock import Clock

LOGINS_SECS: Final = 20.0
"""All of Claude Code's logins are read within this time: each may hang for some seconds, one after the other."""


@dataclass(frozen=True, slots=True)
class World:
    """All that is examined: this machine, unless a test puts something else in its place."""

    config: Path
    environ: Mapping[str, str]
    clock: Clock
    who: network.AskLeader
    screen: channels.ScreenFacts
    platform: str = sys.platform
    backend: Callable[[], Backend] = system_backend
    security: str = SECURITY
    security_secs: float = LIMIT_SECS
    sender: Callable[[], Library] | None = None
    failures: Callable[[], Mapping[str, Failure]] = dict
    """Returns why the last poll of each account failed, by the running monitor or as the last one saved it; blocks."""

    reach: Callable[[str, float, str], Awaitable[Reached | Failure]] = reach


async def examine(world: World) -> list[Check]:
    """Return the results of all checks, fit to be shown to strangers; takes as long as the slowest of them."""
    usable, checks = await Daemon(lambda: files.settings_checks(world.config)).future
    settings = usable or Settings(world.config)
    examination = await Daemon(lambda: _Examination(world, settings)).future
    checks += await examination.checks()
    if usable is None:
        checks = [check for check in checks if check.name not in _OF_SETTINGS]
    names = {account.name for account in settings.accounts}
    privacy = Privacy(str(home(world.environ)), names)
    return [privacy.check(check) for check in checks]


_OF_SETTINGS: Final = {
    question.name
    for question in (
        accounts.ACCOUNT,
        logins.UNWATCHED,
        network.PORT,
        channels.NOTIFICATIONS,
        channels.CHANNEL,
    )
}
"""Checks that are left out where the settings cannot be read: the defaults may not be what is meant."""


class _Examination:
    """One run. What several checks need is read once, when it is made, which blocks."""

    def __init__(self, world: World, settings: Settings) -> None:
        self._world = world
        self._settings = settings
        rows = instance_key(world.environ, world.config)
        self._facts = cache.read(state_db(world.environ), rows).facts
        self._account_cache = AccountCache(self._facts)
        self._keyring = Keyring(world.backend)

    async def checks(self) -> list[Check]:
        world = self._world
        async with asyncio.TaskGroup() as group:
            state = group.create_task(_answer(files.STATE, Daemon(self._state).future))
            reached = group.create_task(_answer(network.API, self._api()))
            self._running = group.create_task(network.instance_check(world.who))
            keyring_check, failure = await accounts.keyring_check(
                world.backend, world.environ, world.platform, is_needed=self._is_needed()
            )
            login_checks = self._logins_and_accounts(failure)
            logged_in = group.create_task(_answer(logins.LOGIN, login_checks))
            named = channels.Channels(
                self._settings,
                self._keyring,
                world.environ,
                world.platform,
                has_keyring=failure is None,
                sender=world.sender,
            )
            notifying = group.create_task(_answer(channels.NOTIFICATIONS, named.checks()))
        instance, who = self._running.result()
        return [
            *state.result(),
            keyring_check,
            logins.environment_check(world.environ),
            *logged_in.result(),
            *reached.result(),
            instance,
            *await _answer(network.PORT, self._port(who)),
            *notifying.result(),
            *channels.screen_checks(world.screen, world.environ),
        ]

    def _is_needed(self) -> bool:
        """Say whether some secret may only be in the keyring."""
        settings = self._settings
        for account in settings.accounts if settings.api.enabled else ():
            storage = storage_of(account, settings.storage)
            alone = storage is None and account.auth_method is not AuthMethod.OAUTH
            if storage is Storage.KEYRING or alone:
                return True
        return bool(settings.channels.entries)

    def _state(self) -> list[Check]:
        database = state_db(self._world.environ)
        return [files.folder_check(database.parent), *files.database_checks(database)]

    async def _api(self) -> list[Check]:
        settings, world, answer = self._settings.api, self._world, None
        began = world.clock.now()
        if settings.enabled:
            agent = settings.user_agent or await Daemon(user_agent).future
            answer = await world.reach(settings.url, settings.timeout_secs, agent)
        asked_at = began + (world.clock.now() - began) / 2
        return await Daemon(
            lambda: network.api_checks(
                settings.url, answer, asked_at, world.platform, world.environ
            )
        ).future

    async def _port(self, who: Mapping[str, Any] | None) -> list[Check]:
        options = CliOptions(self._world.config)
        try:
            site = await Daemon(lambda: site_of(self._settings, options)).future
        except SettingsError as error:
            fix = error.advice or "correct that file, or the setting that names it"
            return [network.PORT.fail(error.problem, fix)]
        if site is None:
            return [network.PORT.skip('exporter.listen = "off": nothing is served')]
        return [await network.port_check(site, who, self._world.platform)]

    async def _logins_and_accounts(self, keyring: Failure | None) -> list[Check]:
        world, now, asks = self._world, self._world.clock.now, self._settings.api.enabled
        found = await self._logins()
        places = [
            logins.login_check(f, now(), world.platform, world.environ, asks=asks) for f in found
        ]
        unwatched = logins.unwatched_checks(
            found, self._settings.accounts, self._account_cache, now()
        )
        if asks:
            watched = await self._tokens(found, keyring)
        else:
            named = enumerate(self._settings.accounts, 1)
            watched = [
                accounts.unsent_check(title(n, a), a, self._account_cache[a.name]) for n, a in named
            ]
        default = home(world.environ) / ".claude"
        folders = {
            one.place: Path(one.folder or default) for one in found if one.folder is not None
        }
        return [*await logins.override_checks(folders), *places, *unwatched, *watched]

    async def _tokens(
        self, found: Sequence[logins.ReadLogin], keyring: Failure | None
    ) -> list[Check]:
        world, settings = self._world, self._settings
        account_cache = AccountCache(self._facts)  # a copy, since the inspection changes it
        stores = SecretStores(
            ReadOnly(self._keyring, keyring),
            account_cache,
            CredentialsDirectory(world.environ),
            lambda argv: TokenCommand(argv, world.clock),
            settings.storage,
        )
        statuses = await inspect_tokens(
            settings.accounts, account_cache, found, stores, world.clock
        )
        failures: Mapping[str, Failure] = {}
        with suppress(TimeoutError, TrackerError):  # which the check of the instance reports
            failures = await DaemonThreads(network.LEADER_SECS).run(world.failures)
        names = {account.name for account in settings.accounts}
        is_running = (await self._running)[1] is not None
        is_given = "CREDENTIALS_DIRECTORY" in world.environ
        checks = []
        for place, account in enumerate(settings.accounts, 1):
            status, failed = statuses[account.name], failures.get(account.name)
            if status.failure is not None:
                status = replace(status, failure=accounts.mask_names(status.failure, names))
            if failed is not None:
                failed = accounts.mask_names(failed, names)
            facts = accounts.TokenFacts(
                title(place, account), account, status, failed, keyring, is_given
            )
            checks.append(accounts.account_check(facts, world.clock.now(), is_running=is_running))
        return checks

    async def _logins(self) -> list[logins.ReadLogin]:
        """Read each login; those that are not read in time count as silent."""
        world = self._world
        discovery = Discovery(
            environ=world.environ,
            platform=world.platform,
            security=Security(world.security, world.clock, world.security_secs),
        )
        named = (account.config_dir for account in self._settings.accounts)
        folders = dict.fromkeys([*filter(None, named), *sorted(self._account_cache.folders())])
        sources = await discovery.discover(folders)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LOGINS_SECS
        return [
            await logins.read_login(
                source, is_current=place == 0, limit_secs=deadline - loop.time()
            )
            for place, source in enumerate(sources)
        ]


async def _answer(question: Question, checks: Awaitable[list[Check]]) -> list[Check]:
    """Await the checks; a bug in one of them must not hide what the others have found."""
    try:
        return await checks
    except Exception as error:  # noqa: BLE001 - of whatever kind; its text may quote anything
        found = f"this check itself has failed ({type(error).__name__})"
        return [question.fail(found, "please report it, with this page")]


@dataclass(frozen=True, slots=True)
class ReadOnly:
    """A keyring that is read and never written. One that has failed (`failure`) is not asked again."""

    keyring: SecretStore
    failure: Failure | None = None

    async def read(self, name: str) -> Credential | None:
        if self.failure is not None:
            raise CredentialError(self.failure)
        return await self.keyring.read(name)

    async def write(self, name: str, secret: Secret) -> None:
        """Nothing is written."""

    async def delete(self, name: str) -> None:
        """Nothing is deleted."""


class _NoApi:
    async def profile(self, _: Secret) -> Profile:
        raise ApiError(Failure(Reason.SCHEMA, detail="the API was not asked"))


async def inspect_tokens(
    watched: Sequence[Account],
    account_cache: AccountCache,
    sources: Sequence[LoginSource],
    stores: SecretStores,
    clock: Clock,
) -> dict[str, TokenStatus]:
    """Return by account name which source its token comes from, or the cause that forbids it.

    The registry, watcher and resolver of the running program do the work, over a state of their own. The API is not
    asked whose a token is: the cache says so, else what Claude Code notes beside the login. The first of the `sources`
    is the one in use; each is read once, as is each storage, which may take some seconds.
    """
    account_cache.recognise(watched)
    store = Store(State())
    store.dispatch(AccountsLoaded(clock.now(), tuple(watched), 0))
    owners = Owners(_NoApi(), account_cache, stores, store, clock)
    resolver = Resolver(stores, owners, store, clock)

    async def places(_: Sequence[str]) -> Sequence[LoginSource]:
        return sources

    await LoginWatcher(places, owners, resolver, store, clock).look()
    return {account.name: await resolver.inspect(account) for account in watched}

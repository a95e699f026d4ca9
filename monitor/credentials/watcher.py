"""Follows Claude Code's own logins: who is logged in where, and which token was renewed. It only ever reads them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from monitor.core.errors import (
    KEYRINGLESS,
    REJECTED,
    UNLOCKABLE,
    ApiError,
    Cause,
    CredentialError,
    Failure,
    NotLoggedInError,
    Reason,
    TrackerError,
)
from monitor.core.events import LoginSeen
from monitor.core.model import LOGIN_REASONS, Account, AuthMethod, Credential, Login
from monitor.credentials.claude_code import LoginSource
from monitor.credentials.owners import NEVER_LOOKED, Owners, Place
from monitor.credentials.resolver import Resolver
from monitor.store import Store
from monitor.system.aio import DaemonThreads
from monitor.system.clock import Clock

LOOK_EVERY: Final = 5.0
FRESHEN_SECS: Final = 8.0
"""So long a look at Claude Code's places may hold up a poll."""

FIND_SECS: Final = 60.0
"""So long the first look at all places may hold up the polls of accounts of which none is known."""

PEEK_SECS: Final = 2.0
"""So long the disks may take to say which files have changed, before each place is asked on its own."""

AT_ONCE: Final = 8
"""So many places are dealt with at the same time: whose a new token is, the API takes a moment to say."""

ASK_AGAIN: Final = timedelta(minutes=1)
ASK_AGAIN_MOST: Final = timedelta(minutes=30)
RECONNECT: Final = timedelta(seconds=15)
"""A request that reached nobody is sent again soon: at a login the network comes some seconds after the monitor."""

HALF_WRITTEN: Final = timedelta(seconds=1)
"""A file that is being written is whole after this time; a poll waits for it, since its old token may be dead."""

UNANSWERED: Final = frozenset(
    {Reason.RATE_LIMITED, Reason.SERVER, Reason.TIMEOUT, Reason.SCHEMA, Reason.CHALLENGE}
    | {Reason.BLOCKED, Reason.REFUSED}
)
"""With these the profile API does not say whose a token is, and yet the usage API may answer."""

SAID_ITSELF: Final = LOGIN_REASONS | {Reason.BLOCKED, Reason.REFUSED}
"""These are told as the reason for which a token cannot be used; after others, nobody knows whose it is."""

OUT_OF_REACH: Final = frozenset({Reason.CONNECTION, Reason.TIMEOUT, Reason.SERVER})
"""With these no poll would get further: the token itself may be in order."""

_log = logging.getLogger(__name__)

Sources = Callable[[Sequence[str]], Awaitable[Sequence[LoginSource]]]
"""Finds every place that is to be followed, those of these folders too; the one that Claude Code would use first."""


class LoginWatcher:
    """Looks at each place every few seconds and before each poll, and reads one only when it has changed."""

    def __init__(
        self,
        sources: Sources,
        owners: Owners,
        resolver: Resolver,
        store: Store,
        clock: Clock,
        freshen_secs: float = FRESHEN_SECS,
    ) -> None:
        self._sources = sources
        self._owners = owners
        self.registry = resolver.registry
        self._resolver = resolver
        self._store = store
        self._clock = clock
        self._freshen_secs = freshen_secs
        self._threads = DaemonThreads(PEEK_SECS)
        self._current: str | None = None
        self._last_names: tuple[str, ...] = ()
        self._finding = asyncio.Lock()
        self._first_look = asyncio.Lock()
        self._has_looked = False

    async def run(self) -> None:
        """Follow until cancelled."""
        await self.look_once()
        while True:
            await self._clock.sleep(LOOK_EVERY)
            await self.look()

    async def look_once(self) -> None:
        """Look for the first time, once for all who need it. Returns when that look is over."""
        async with self._first_look:
            if not self._has_looked:
                await self.look()

    async def look(self) -> None:
        """Deal with every place that has changed since the last look."""
        await self.find_places()
        stamps = await self._peek()
        some, names = asyncio.Semaphore(AT_ONCE), self._names()

        async def look_at(place: Place) -> None:
            async with some:
                await self._look_at(place)

        async with asyncio.TaskGroup() as group:
            for key, place in list(self.registry.places.items()):
                stamp = stamps.get(key)
                if stamp is None or place.done_for != (stamp, names):
                    group.create_task(look_at(place))
        self._has_looked = True
        await self._resolver.retry_keyring()
        self._resolver.notice_ends()

    async def find_places(self) -> Sequence[LoginSource]:
        """Find the places anew, and return them; the first one is where Claude Code looks."""
        async with self._finding:
            return await self._find_places()

    async def find_places_once(self) -> None:
        """Find the places unless they are known: one search will do for all who ask at the start."""
        if self.registry.places:  # a later search is nothing to wait for
            return
        async with self._finding:
            if not self.registry.places:
                await self._find_places()

    async def _find_places(self) -> Sequence[LoginSource]:
        sources = await self._sources(self._owners.folders())
        self._current = sources[0].key if sources else None
        await self._resolver.settle(self.registry.track(sources))
        return sources

    async def _peek(self) -> dict[str, Hashable]:
        """The stamps of all files by one thread, since most have not changed."""
        sources = [place.source for place in self.registry.places.values()]
        with suppress(TimeoutError):
            return await self._threads.run(lambda: {s.key: s.peek() for s in sources})
        return {}

    def invalidate(self) -> None:
        """Have the next look read every place, changed or not: what is known of the accounts has changed."""
        for place in self.registry.places.values():
            place.done_for, place.not_before = NEVER_LOOKED, None

    def _names(self) -> tuple[str, ...]:
        """Return the names of all accounts: the same object until they change, so that it is compared at once."""
        names = tuple(self._store.state.accounts)
        if names != self._last_names:
            self._last_names = names
        return self._last_names

    # The poller's credentials

    async def credential(self, account: Account, rejected: Credential | None = None) -> Credential:
        """Return a credential worth sending, after a look whether Claude Code has renewed it; after a refusal the
        `rejected` one where there is no other.

        The look is bounded in time, and what fails in it fails no poll. Raises CredentialError where there is no
        credential, or only a dead one.
        """
        name = account.name
        if rejected is not None:
            self.registry.refuse(rejected)
        if account.auth_method is AuthMethod.OAUTH:
            try:
                async with asyncio.timeout(FIND_SECS):
                    await self.find_places_once()
                    places = self.registry.places_of(name, self._owners.folders_of(account))
                    if not places:
                        await self.look_once()
                        places = self.registry.places_of(name, self._owners.folders_of(account))
                async with asyncio.timeout(self._freshen_secs):
                    for place in places:
                        # What was refused is read again though it looks unchanged.
                        await self._look_at(place, again=rejected is not None)
                        failure = place.failure
                        if failure and failure.cause is Cause.DAMAGED and place.failures == 1:
                            await self._clock.sleep(HALF_WRITTEN.total_seconds())
                            await self._look_at(place)
            except (TrackerError, TimeoutError) as error:
                _log.info("%s: Claude Code's login could not be looked at: %s", name, error)
        return await self._resolver.credential(account, rejected)

    async def confirm(self, account: Account, credential: Credential) -> None:
        """Take a token for the account's that was only assumed to be: the API has answered it with its usage."""
        await self._resolver.settle(self.registry.confirm(credential, account.name))

    async def _look_at(self, place: Place, *, again: bool = False) -> None:
        async with place.turn:
            # The stamp is taken first: a login that is rewritten while we read it is then read once more.
            stamp = await place.source.stamp()
            if stamp != place.stamp:
                place.failures, place.not_before = 0, None
            seen = stamp, self._names()
            waits = place.not_before is not None and self._clock.now() < place.not_before
            if waits or (seen == place.done_for and not again):
                return
            place.stamp = stamp
            try:
                await self._read_place(place)
            except (ApiError, CredentialError) as error:
                place.not_before = self._retry_time(place.failures, error)
                place.failures += 1
            else:
                place.done_for, place.failures, place.not_before = seen, 0, None

    async def _read_place(self, place: Place) -> None:
        """Read the place, and note whose login it has. Raises ApiError or CredentialError to have that tried again."""
        source, stamp = place.source, place.stamp
        login: Login | None = None
        name: str | None = None
        try:
            with suppress(NotLoggedInError):
                login = await source.read()
        except CredentialError as error:
            self.registry.fail(source, error.failure)
            raise
        place.read_stamp = stamp
        if login is None:
            await self._resolver.settle(self.registry.assign(source, None, None))
        else:
            try:
                name = await self._assign(source, login)
            except (ApiError, CredentialError) as error:
                await self._assume(source, login, error)
                if error.reason not in LOGIN_REASONS:
                    raise
        if source.key == self._current and self._store.state.logged_in != name:
            self._store.dispatch(LoginSeen(self._clock.now(), name))

    async def _assign(self, source: LoginSource, login: Login) -> str | None:
        """Find out whose the login is, and have that account use it; None is a stranger, or nobody known.

        Raises ApiError or CredentialError where it cannot be found out.
        """
        name = await self._owners.owner_of(login.credential.secret)
        if name is None and login.credential.is_dead(self._clock.now()):
            await self._resolver.settle(self.registry.keep_expired(source, login))
            return None
        if name is None:
            profile = await self._owners.identify_login(login, source)
            account = await self._owners.account_of(profile, source.folder)
            if account is not None:
                name = account.name
                self._owners.learn_profile(name, profile)
                self._resolver.announce(name)
        await self._resolver.settle(self.registry.assign(source, login, name))
        return name

    async def _assume(
        self, source: LoginSource, login: Login, error: ApiError | CredentialError
    ) -> None:
        """Assume whose login it is while nobody can be asked: the first answer about usage names its organization."""
        says_itself = isinstance(error, CredentialError) or error.reason in SAID_ITSELF
        reason = error.reason if error.reason in OUT_OF_REACH else Reason.CREDENTIALS
        unknown = Failure(reason, Cause.UNIDENTIFIED, detail=str(error))
        failure = error.failure if says_itself else unknown
        name = await self._owners.presume(source) if error.reason in UNANSWERED else None
        if name is None:
            self.registry.fail(source, failure)
        else:
            await self._resolver.settle(self.registry.assume(source, login, name, failure))

    def _retry_time(self, failures: int, error: ApiError | CredentialError) -> datetime:
        """Return when it is tried again, unless the place changes before."""
        now, wait = self._clock.now(), min(ASK_AGAIN * (1 << min(failures, 10)), ASK_AGAIN_MOST)
        if isinstance(error, ApiError):
            if error.reason is Reason.CONNECTION:
                return now + RECONNECT
            return now + max(wait, error.failure.retry_after or wait)
        if error.cause in REJECTED:  # asking again would ask somebody anew
            return now + timedelta(days=1)
        if error.cause is Cause.DAMAGED and not failures:
            return now + HALF_WRITTEN
        if error.cause in UNLOCKABLE | KEYRINGLESS:  # this asks nobody on any screen
            return now + min(wait / 6, ASK_AGAIN)
        return now + wait

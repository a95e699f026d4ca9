"""Follows Claude Code's own logins: who is logged in where, and which token was renewed. It only ever reads them."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from monitor.core.errors import (
    KEYRINGLESS,
    UNLOCKABLE,
    ApiError,
    Cause,
    CredentialError,
    Failure,
    NotLoggedInError,
    Reason,
    SettingsError,
)
from monitor.core.events import LoginSeen
from monitor.core.model import LOGIN_REASONS, Account, Login
from monitor.credentials.account_service import AccountService
from monitor.credentials.login_registry import LoginRegistry
from monitor.credentials.ports import LoginSource, folder_of
from monitor.credentials.profiles import Profiles
from monitor.credentials.resolver import Resolver
from monitor.store import Store
from monitor.system.clock import Clock

LOOK_EVERY: Final = 5.0
ASK_AGAIN: Final = timedelta(minutes=1)
ASK_AGAIN_MOST: Final = timedelta(minutes=30)
RECONNECT: Final = timedelta(seconds=15)
"""What reached nobody is tried again soon: at a login the network comes some seconds after us."""

HALF_WRITTEN: Final = timedelta(seconds=1)
"""A file that is being written is whole after this time; a poll waits for it, since its old token may be dead."""

UNANSWERED: Final = frozenset(
    {Reason.RATE_LIMITED, Reason.SERVER, Reason.TIMEOUT, Reason.SCHEMA, Reason.CHALLENGE}
)
"""The profile API does not say whose a token is, and yet the usage API may answer."""

OUT_OF_REACH: Final = frozenset({Reason.CONNECTION, Reason.TIMEOUT, Reason.SERVER})
"""No poll would get further: what keeps the token from use is not the token."""

_NEVER_LOOKED: Final = object()

Sources = Callable[[], Awaitable[Sequence[LoginSource]]]
"""Every place that is to be followed now, the one that Claude Code would use first."""


@dataclass(slots=True)
class _Followed:
    """Where we are with one place: `stamp` is what was seen last, `read` what could be read last, and `dealt_with`
    what needs no more attention.
    """

    source: LoginSource
    stamp: Hashable = _NEVER_LOOKED
    read: Hashable = _NEVER_LOOKED
    dealt_with: Hashable = _NEVER_LOOKED
    failures: int = 0
    cause: Cause | None = None
    not_before: datetime | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def is_rewritten(self) -> bool:
        """Whether it has changed since it could be read."""
        return self.read not in (_NEVER_LOOKED, self.stamp)

    @property
    def is_half_written(self) -> bool:
        """Whether it was so at the last look, and not at the one before."""
        return self.cause is Cause.DAMAGED and self.failures == 1


class LoginWatcher:
    """Looks at each place every few seconds and before each poll, and reads one only when it has changed."""

    def __init__(
        self,
        *,
        sources: Sources,
        credentials: Resolver,
        offers: LoginRegistry,
        book: AccountService,
        profiles: Profiles,
        store: Store,
        clock: Clock,
    ) -> None:
        self._sources = sources
        self._credentials = credentials
        self._offers = offers
        self._book = book
        self._profiles = profiles
        self._store = store
        self._clock = clock
        self._followed: dict[str, _Followed] = {}
        self._current: str | None = None
        credentials.freshened_by(self.freshen)

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(LOOK_EVERY)

    async def look(self) -> None:
        """Deal with every place that has changed since the last look; the first one is where Claude Code looks."""
        sources = await self._sources()
        self._current = sources[0].key if sources else None
        await self._forget_all_but({source.key for source in sources})
        # All at once: a poll that starts meanwhile has to know of its own place, too.
        followed = [self._followed.setdefault(s.key, _Followed(s)) for s in sources]
        for one in followed:
            await self._look_at(one)
        await self._credentials.mend()

    async def freshen(self, account: Account, again: bool = False) -> None:
        """Look whether the account's token was renewed; `again` reads its places though they look unchanged."""
        if not self._followed:
            await self.look()
        known = self._followed.values()
        # Its own first: another one may hold up the rest of the look.
        for followed in sorted(known, key=lambda one: not self._is_place_of(one.source, account)):
            is_its_place = self._is_place_of(followed.source, account)
            if is_its_place or followed.stamp is _NEVER_LOOKED:
                await self._look_at(followed, again=again and is_its_place)
            if is_its_place and followed.is_half_written:
                await self._clock.sleep(HALF_WRITTEN.total_seconds())
                await self._look_at(followed)

    def _is_place_of(self, source: LoginSource, account: Account) -> bool:
        if self._offers.owner(source.key) == account.name:
            return True
        folder = folder_of(source)
        return folder is not None and folder in self._book.folders_of(account)

    async def _forget_all_but(self, keys: set[str]) -> None:
        self._followed = {key: f for key, f in self._followed.items() if key in keys}
        await self._credentials.settle(self._offers.keep_only(keys))

    async def _look_at(self, followed: _Followed, *, again: bool = False) -> None:
        async with followed.turn:
            # The stamp is taken first: a login that is rewritten while we read it is then read once more.
            stamp = await followed.source.stamp()
            if stamp != followed.stamp:
                followed.failures, followed.cause, followed.not_before = 0, None, None
            seen = stamp, tuple(self._store.state.accounts)
            waits = followed.not_before is not None and self._clock.now() < followed.not_before
            if waits or (seen == followed.dealt_with and not again):
                return
            followed.stamp = stamp
            try:
                await self._deal_with(followed)
            except (ApiError, CredentialError, SettingsError) as error:
                self._ask_again(followed, error)
            else:
                followed.dealt_with, followed.not_before = seen, None
                followed.failures, followed.cause = 0, None

    async def _deal_with(self, followed: _Followed) -> None:
        """Raises an error where that is to be tried again, a SettingsError while somebody edits the settings."""
        source, stamp = followed.source, followed.stamp
        try:
            login = await source.read()
        except NotLoggedInError:
            followed.read = stamp
            await self._nobody(source)
            return
        except CredentialError as error:
            self._offers.fails(source, error.failure, is_rewritten=followed.is_rewritten)
            raise
        followed.read = stamp
        try:
            await self._somebody(source, login)
        except (ApiError, CredentialError) as error:
            await self._unidentified(source, login, error)
            if error.reason not in LOGIN_REASONS:
                raise
            self._seen(source, None)

    async def _unidentified(
        self, source: LoginSource, login: Login, error: ApiError | CredentialError
    ) -> None:
        """Whose login it is cannot be asked now: the organization in the first answer about usage may tell."""
        failure = _unknown(error)
        name = await self._presumed(source) if error.reason in UNANSWERED else None
        if name is None:
            self._offers.fails(source, failure)
        else:
            touched = self._offers.assume(source, login, name, failure)
            await self._credentials.settle(touched)

    async def _presumed(self, source: LoginSource) -> str | None:
        noted = None
        if source.facts is not None:
            with suppress(CredentialError):
                noted = (await source.facts.read()).identity
        return self._book.presumed(folder_of(source), noted)

    async def _somebody(self, source: LoginSource, login: Login) -> None:
        accounts = [state.account for state in self._store.state.accounts.values()]
        name = await self._credentials.owner_of(login.credential.secret, accounts)
        if name is None and login.credential.is_dead(self._clock.now()):
            touched = self._offers.keep_expired(source, login)
        else:
            if name is None:
                profile = await self._profiles.of_login(login, source)
                name = await self._book.identified(profile, folder_of(source))
            touched = self._moved(source, login, name)
        await self._credentials.settle(touched)
        self._seen(source, name)

    def _moved(self, source: LoginSource, login: Login, name: str | None) -> set[str]:
        if name is None:
            return self._offers.unassign(source, login)
        return self._offers.assign(source, login, name)

    async def _nobody(self, source: LoginSource) -> None:
        await self._credentials.settle(self._offers.unassign(source))
        self._seen(source, None)

    def _seen(self, source: LoginSource, name: str | None) -> None:
        if source.key == self._current and self._store.state.logged_in != name:
            self._store.dispatch(LoginSeen(self._clock.now(), name))

    def _ask_again(
        self, followed: _Followed, error: ApiError | CredentialError | SettingsError
    ) -> None:
        followed.not_before = self._later(followed.failures, error)
        followed.failures += 1
        followed.cause = error.cause if isinstance(error, CredentialError) else None

    def _later(self, failures: int, error: ApiError | CredentialError | SettingsError) -> datetime:
        """When it is tried again, unless the place changes before."""
        now, wait = self._clock.now(), min(ASK_AGAIN * (1 << min(failures, 10)), ASK_AGAIN_MOST)
        if isinstance(error, ApiError) and error.reason is Reason.CONNECTION:
            return now + RECONNECT
        if isinstance(error, ApiError):
            return now + max(wait, error.failure.retry_after or wait)
        match error.cause if isinstance(error, CredentialError) else None:
            case Cause.DENIED | Cause.CANCELLED:  # asking again would ask somebody anew
                return now + timedelta(days=1)
            case Cause.DAMAGED if not failures:
                return now + HALF_WRITTEN
            case cause if cause in UNLOCKABLE | KEYRINGLESS:
                return now + min(wait / 6, ASK_AGAIN)  # this asks nobody on any screen
        return now + wait


def _unknown(error: ApiError | CredentialError) -> Failure:
    """Why the token that is there cannot be used."""
    if isinstance(error, CredentialError) or error.reason in LOGIN_REASONS:
        return error.failure
    reason = error.reason if error.reason in OUT_OF_REACH else Reason.CREDENTIALS
    return Failure(reason, Cause.UNIDENTIFIED, detail=str(error))

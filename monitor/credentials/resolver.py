"""The credentials in use: for each account the freshest token that is known, and never one that is known dead."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from monitor.core.errors import (
    KEYRINGLESS,
    UNLOCKABLE,
    Cause,
    CredentialError,
    Failure,
    Reason,
    TrackerError,
)
from monitor.core.events import CredentialSeen
from monitor.core.model import Account, AuthMethod, Credential, Secret, Storage
from monitor.credentials.account_cache import AccountCache, digest
from monitor.credentials.login_registry import LoginRegistry
from monitor.credentials.missing_credential import folder_of_token, missing_credential
from monitor.credentials.secret_stores import GIVEN, NOT_OURS, SecretStores, Stored
from monitor.credentials.verify_owner import OwnerVerifier
from monitor.store import Store
from monitor.system.clock import Clock

FRESHEN_SECS: Final = 8.0
"""How long a look at Claude Code's places may hold up a poll."""

MEND_EVERY: Final = timedelta(seconds=15)
"""How often a keyring that was locked is asked again, beside the polls that ask it."""

MENDABLE: Final = UNLOCKABLE | KEYRINGLESS

Freshen = Callable[[Account, bool], Awaitable[None]]
"""Looks whether Claude Code has renewed the account's token; True reads its places though they look unchanged."""

_log = logging.getLogger(__name__)


class Resolver:
    """One credential for each account; the poller's source of them."""

    def __init__(
        self,
        stores: SecretStores,
        offers: LoginRegistry,
        learnt: AccountCache,
        provenance: OwnerVerifier,
        store: Store,
        clock: Clock,
        freshen_secs: float = FRESHEN_SECS,
    ) -> None:
        self._stores = stores
        self._offers = offers
        self._learnt = learnt
        self._provenance = provenance
        self._store = store
        self._clock = clock
        self._freshen_secs = freshen_secs
        self._freshen: Freshen | None = None
        self._unreadable: set[str] = set()
        self._unsaved: set[str] = set()
        self._mend_at: datetime | None = None

    def freshened_by(self, freshen: Freshen) -> None:
        """Have this done before each poll; it is bounded in time, and what fails in it fails no poll."""
        self._freshen = freshen

    async def credential(self, account: Account, rejected: Credential | None = None) -> Credential:
        """A credential worth sending; after a refusal the `rejected` one where there is no other.

        Raises CredentialError where there is none, or only a dead one.
        """
        if rejected is not None:
            self._offers.refuse(rejected)
        await self._freshened(account, again=rejected is not None)
        chosen = await self._chosen(account, rejected)
        credential = chosen.credential
        if rejected is not None and credential is not None and _same(credential, rejected):
            return rejected
        if credential is None or self._is_dead(account, credential):
            facts, now = self._learnt[account.name], self._clock.now()
            raise CredentialError(missing_credential(account, chosen, facts, self._offers, now))
        if chosen.storage in GIVEN:
            return await self._provenance.checked(account, credential)
        return credential

    async def accepted(self, account: Account, credential: Credential) -> None:
        """The API has answered with the account's usage, so a token that was only presumed to be its own is."""
        if not credential.proven:
            await self.settle(self._offers.confirm(credential, account.name))

    def _is_dead(self, account: Account, credential: Credential) -> bool:
        """What was refused, or rewritten in its place, was renewed there if that cannot be read now."""
        if credential.is_dead(self._clock.now()):
            return True
        unread = self._offers.failure_of(account.name, self._learnt[account.name].folders)
        return unread is not None and not self._offers.is_good(credential.secret)

    async def held(self, account: Account) -> Credential | None:
        """The best credential that is known, dead or not; None where there is none. Raises CredentialError."""
        return (await self._chosen(account)).credential

    async def kept(self, account: Account) -> Credential | None:
        """What the keyring holds for the account. Raises CredentialError."""
        stored = await self._stores.read(account)
        return stored.credential if stored.storage is Storage.KEYRING else None

    async def keep(self, account: Account, credential: Credential) -> Storage:
        """Keep a new credential where the account's belong, and use it from now on. Raises CredentialError."""
        return await self._stores.keep(account, credential)

    @asynccontextmanager
    async def kept_for(self, account: Account, credential: Credential) -> AsyncIterator[Storage]:
        """Keep the credential; where the block fails, what was kept under that name before is there again.

        Raises CredentialError.
        """
        before = await self.kept(account)
        storage = await self.keep(account, credential)
        try:
            yield storage
        except TrackerError:
            if before is None:
                await self.drop(account)
            else:
                await self.keep(account, before)
            raise

    async def drop(self, account: Account) -> None:
        """Delete what is kept for an account, in the keyring too. Raises CredentialError."""
        await self._stores.drop(account)

    async def owner_of(self, secret: Secret, accounts: Iterable[Account]) -> str | None:
        """The account that this token is known to be of, without asking anybody."""
        oauth = [a for a in accounts if a.auth_method is AuthMethod.OAUTH]
        for account in oauth:
            if self._learnt[account.name].token_digest == digest(secret):
                return account.name
        for account in oauth:
            if self._learnt[account.name].identity is None and await self._keeps(account, secret):
                return account.name
        return None

    async def _keeps(self, account: Account, secret: Secret) -> bool:
        with suppress(CredentialError):
            kept = await self.kept(account)
            return kept is not None and kept.secret == secret
        return False

    async def settle(self, names: Iterable[str]) -> None:
        """Use the best of what Claude Code's places hold now, and keep it where the keyring has the account's."""
        for name in sorted(names):
            state = self._store.state.accounts.get(name)
            if state is not None:
                await self._settle(state.account)

    async def mend(self) -> None:
        """Try again what a full disk or a locked keyring did not let us do; then the account is polled at once."""
        self._learnt.save_owed()
        now, names = self._clock.now(), sorted(self._unreadable | self._unsaved)
        if not names or (self._mend_at is not None and now < self._mend_at):
            return
        self._mend_at = now + MEND_EVERY
        for name in names:
            state = self._store.state.accounts.get(name)
            if state is None:
                self._unreadable.discard(name)
                self._unsaved.discard(name)
            elif not await self._settle(state.account):
                return

    async def _settle(self, account: Account) -> bool:
        """False where the keyring does not let us."""
        try:
            chosen = await self._chosen(account)
        except CredentialError:
            return False
        if chosen.credential is None or account.auth_method is not AuthMethod.OAUTH:
            return True
        if not chosen.credential.proven:
            self._seen(account.name, chosen.credential.expires_at, renewed=True)
            return True
        self.in_use(account.name, chosen.credential)
        return await self._saved(account, chosen)

    def in_use(self, name: str, credential: Credential) -> None:
        """This is the account's token from now on."""
        facts = self._learnt[name]
        renewed = facts.token_digest != digest(credential.secret)
        login = self._offers.login_of(name, self._clock.now())
        ends = login.login_expires_at if login else facts.login_expires_at
        self._learnt[name] = replace(facts.of_expiry(credential), login_expires_at=ends)
        self._seen(name, credential.expires_at, renewed=renewed)

    async def _saved(self, account: Account, chosen: Stored) -> bool:
        """Keep the token in the keyring where it is not in it yet; it is used all the same."""
        credential = chosen.credential
        if chosen.storage is not Storage.KEYRING or credential is None:
            return True
        try:
            await self._save(account, credential)
        except CredentialError as error:
            if account.name not in self._unsaved:
                words = "%s: the token is used, but not kept in the keyring: %s"
                _log.warning(words, account.name, error)
            if error.cause in MENDABLE:
                self._unsaved.add(account.name)
            return False
        self._unsaved.discard(account.name)
        return True

    async def _save(self, account: Account, credential: Credential) -> None:
        kept = await self.kept(account)
        if kept is not None and _same(kept, credential):
            return
        if await self._stores.keep(account, credential) is not Storage.KEYRING:
            raise CredentialError(Failure(Reason.CREDENTIALS, Cause.NO_KEYRING))

    async def _chosen(self, account: Account, rejected: Credential | None = None) -> Stored:
        """What the storage holds, or Claude Code's own login where that is fresher."""
        stored = await self._stored(account, rejected)
        if stored.storage is None and not stored.has_keyring:
            self._unreadable.add(account.name)
        best = self._best(account, stored)
        if best is not None:
            self._note(account.name, best)
        return replace(stored, credential=best)

    def _note(self, name: str, credential: Credential) -> None:
        """An entry of an older version says when it ends; one that could not be read before is news."""
        facts, recovered = self._learnt[name], name in self._unreadable
        dated = credential.expires_at is not None and credential.proven
        if dated and facts.token_digest is None:
            self._learnt[name] = facts.of_expiry(credential)
        self._unreadable.discard(name)
        self._seen(name, credential.expires_at, renewed=recovered)

    async def _stored(self, account: Account, rejected: Credential | None) -> Stored:
        try:
            return await self._stores.read(account, rejected)
        except CredentialError as error:
            logged_in = self._is_logged_in(account)
            if error.cause in MENDABLE:
                (self._unsaved if logged_in else self._unreadable).add(account.name)
            if not logged_in or self._stores.wanted(account) in NOT_OURS:
                raise
        return Stored(Storage.KEYRING)  # Claude Code's login is at hand, and needs no keyring

    def _is_logged_in(self, account: Account) -> bool:
        """Whether Claude Code has, or had last, a token of the account that could be sent."""
        if account.auth_method is not AuthMethod.OAUTH:
            return False
        now = self._clock.now()
        return any(not token.is_dead(now) for token in self._offers.tokens_of(account.name))

    def _best(self, account: Account, stored: Stored) -> Credential | None:
        own, now = stored.credential, self._clock.now()
        followed = stored.storage in (Storage.KEYRING, Storage.LINKED)
        if not followed or account.auth_method is not AuthMethod.OAUTH:
            return own
        tokens = self._offers.tokens_of(account.name)
        known = [*tokens, own] if own is not None else tokens
        return max(known, key=lambda credential: self._offers.rank(credential, now), default=None)

    def tell(self, name: str) -> None:
        """Bring what is known of the account's token into the state, where it is news there."""
        self._seen(name, self._learnt[name].token_expires_at)

    def _seen(self, name: str, expires_at: datetime | None, *, renewed: bool = False) -> None:
        """Views are drawn at each event, so there is none for what is known already."""
        state, ends = self._store.state.accounts.get(name), self._learnt[name].login_expires_at
        if state is None:
            return
        folder = folder_of_token(self._learnt[name], name, self._offers, self._clock.now())
        news = (
            expires_at != state.token_expires_at,
            ends != state.login_expires_at,
            folder != state.config_dir,
        )
        if renewed or any(news):
            now = self._clock.now()
            self._store.dispatch(
                CredentialSeen(now, name, expires_at, ends, renewed=renewed, config_dir=folder)
            )

    async def _freshened(self, account: Account, *, again: bool) -> None:
        if self._freshen is None or account.auth_method is not AuthMethod.OAUTH:
            return
        try:
            async with asyncio.timeout(self._freshen_secs):
                await self._freshen(account, again)
        except (TrackerError, TimeoutError) as error:
            _log.info("%s: Claude Code's login could not be looked at: %s", account.name, error)


def _same(one: Credential, other: Credential) -> bool:
    return one.secret == other.secret

"""The credentials in use: for each account the freshest token that is known, and never one that is known dead.

Where there is none to be sent, one Failure says why: what the table, the log and the doctor tell of it.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from monitor.core.errors import (
    KEYRINGLESS,
    UNLOCKABLE,
    ApiError,
    Cause,
    CredentialError,
    Failure,
    Reason,
    Source,
)
from monitor.core.events import AccountIdentified, CredentialSeen
from monitor.core.model import LOGIN_REASONS, Account, AuthMethod, Credential, Storage
from monitor.credentials.account_cache import digest
from monitor.credentials.folders import for_claude_code
from monitor.credentials.owners import LoginRegistry, Owners
from monitor.credentials.programs import program_name
from monitor.credentials.stores import GIVEN, NOT_OURS, SecretStores, Stored, no_keyring, storage_of
from monitor.store import Store
from monitor.system.clock import Clock

ASK_AGAIN: Final = timedelta(minutes=5)
"""Between two questions whose a token is that the user has handed over, while nobody answers them."""

RETRY_EVERY: Final = timedelta(seconds=15)
"""So often a keyring that was locked is asked again, beside the polls that ask it."""

MENDABLE: Final = UNLOCKABLE | KEYRINGLESS

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TokenStatus:
    """The source of an account's token, or (`failure`) why it has none that could be sent.

    `storage` is None where it comes from nowhere. `folder` is Claude Code's folder that renews the token: "" is the
    default one, None that nobody knows.
    """

    storage: Storage | None
    folder: str | None = None
    expires_at: datetime | None = None
    failure: Failure | None = None


class Resolver:
    """One credential for each account, of what its storage holds and of Claude Code's logins in the registry."""

    def __init__(
        self,
        stores: SecretStores,
        owners: Owners,
        store: Store,
        clock: Clock,
    ) -> None:
        self.registry = LoginRegistry(owners.cache)
        self._stores = stores
        self._owners = owners
        self._cache = owners.cache
        self._store = store
        self._clock = clock
        self._unreadable: set[str] = set()
        self._unsaved: set[str] = set()
        self._retry_at: datetime | None = None
        self._verify_at: dict[str, datetime] = {}

    async def credential(self, account: Account, rejected: Credential | None = None) -> Credential:
        """Return a credential worth sending; after a refusal the `rejected` one where there is no other.

        Raises CredentialError where there is none, or only a dead one.
        """
        chosen = await self._choose(account, rejected)
        credential = chosen.credential
        if rejected and credential and credential.secret == rejected.secret:
            return rejected
        if credential is None or self._is_dead(account, credential):
            raise CredentialError(await self._failure(account, chosen))
        if chosen.storage in GIVEN:
            return await self._verify(account, credential)
        return credential

    async def inspect(self, account: Account) -> TokenStatus:
        """Say which source the account's token comes from, or what forbids it; asks nobody whose it is."""
        is_login = account.auth_method is AuthMethod.OAUTH
        folder = self._folder_of_token(account.name) if is_login else None
        try:
            chosen = await self._choose(account)
        except CredentialError as error:
            storage = storage_of(account, self._stores.default)
            return TokenStatus(storage, folder, failure=error.failure)
        credential = chosen.credential
        if credential is not None and not self._is_dead(account, credential):
            return TokenStatus(chosen.storage, folder, credential.expires_at)
        failure = await self._failure(account, chosen)
        ends = credential.expires_at if credential else None
        return TokenStatus(chosen.storage, folder, ends, failure)

    async def _choose(self, account: Account, rejected: Credential | None = None) -> Stored:
        """Read what the storage holds, or Claude Code's own login where that is fresher."""
        name, unread = account.name, None
        try:
            stored = await self._stores.read(account, rejected)
        except CredentialError as error:
            stored, unread = Stored(Storage.KEYRING), error
        now = self._clock.now()
        tokens = self.registry.tokens_of(name) if account.auth_method is AuthMethod.OAUTH else []
        if unread is not None:
            is_logged_in = any(not token.is_dead(now) for token in tokens)
            if unread.cause in MENDABLE:
                (self._unsaved if is_logged_in else self._unreadable).add(name)
            # Else Claude Code's login is at hand, and needs no keyring.
            if not is_logged_in or storage_of(account, self._stores.default) in NOT_OURS:
                raise unread
        if stored.storage is None and tokens:
            stored = replace(stored, storage=Storage.LINKED)
        best = stored.credential
        if stored.storage in (Storage.KEYRING, Storage.LINKED):
            known = [*tokens, *([best] if best is not None else [])]
            best = max(known, key=partial(self.registry.rank, now=now), default=None)
        if best is not None:
            # An older version kept the date beside the token, and nowhere else.
            if best.expires_at is not None and best.proven and not self._cache[name].token_digest:
                self._cache[name] = self._cache[name].with_token(best)
            recovered = name in self._unreadable
            self._unreadable.discard(name)
            self._announce_token(name, best.expires_at, renewed=recovered)
        elif not stored.has_keyring:
            self._unreadable.add(name)
        return replace(stored, credential=best)

    def _is_dead(self, account: Account, credential: Credential) -> bool:
        """Say whether the token has ended, or is no good while the place of a newer one cannot be read."""
        if credential.is_dead(self._clock.now()):
            return True
        if self.registry.is_good(credential.secret):
            return False
        return self.registry.failure_of(account.name, self._cache[account.name].folders) is not None

    # Why there is none

    async def _failure(self, account: Account, chosen: Stored) -> Failure:
        """Say why the account has no token that could be sent: `chosen` holds one that has ended, or none."""
        if chosen.storage is Storage.SYSTEMD:
            return Failure(Reason.AUTH, Cause.EXPIRED, Source.SYSTEMD)
        if chosen.storage is Storage.COMMAND:
            name = program_name(account.token_command)
            return Failure(Reason.AUTH, Cause.EXPIRED, Source.COMMAND, name)
        name, now, registry = account.name, self._clock.now(), self.registry
        facts = self._cache[name]
        failure = registry.failure_of(name, self._owners.folders_of(account, former=False))
        if failure is not None:
            return failure
        login, ends = registry.login_of(name, now), facts.login_expires_at
        if facts.folders or login:
            has_ended = (login and not login.renewable) or (ends is not None and ends <= now)
            cause = Cause.LOGIN_ENDED if has_ended else Cause.WAITING
            return Failure(Reason.AUTH, cause, folder=self._folder_of_token(name))
        if facts.left or chosen.credential is not None:
            empty = [folder for folder in facts.left if registry.is_empty(folder)]
            return Failure(Reason.AUTH, Cause.LOGGED_OUT, folder=empty[-1] if empty else None)
        # It never had one.
        is_login = account.auth_method is AuthMethod.OAUTH
        folder = None if account.config_dir is None else for_claude_code(account.config_dir)
        others = await registry.places_at(folder) if is_login and folder is not None else []
        if any(place.login for place in others):
            owner = next((place.owner for place in others if place.owner), None)
            return Failure(Reason.CREDENTIALS, Cause.OTHER_LOGIN, folder=folder, owner=owner)
        unowned = (place.failure for place in registry.places.values() if place.owner is None)
        unidentified = next((f for f in unowned if f and f.cause is Cause.UNIDENTIFIED), None)
        if is_login and unidentified is not None:
            return unidentified
        # Without a token to keep, a keyring would not help: a login will do without one.
        if not chosen.has_keyring and (not is_login or facts.token_digest is not None):
            return no_keyring(account)
        source = Source.LOGIN if is_login else Source.SESSION_KEY
        return Failure(Reason.CREDENTIALS, Cause.ABSENT, source, folder=folder)

    def _folder_of_token(self, name: str) -> str | None:
        """Return the folder where Claude Code would renew the account's token; None where that is not known."""
        best, folders = self.registry.best_place(name, self._clock.now()), self._cache[name].folders
        folder = best.source.folder if best else None
        return folders[-1] if folder is None and folders else folder

    # Tokens that the user hands over: the API alone can tell whose one is, and is asked once for each

    async def _verify(self, account: Account, credential: Credential) -> Credential:
        """Return the credential, unproven where nobody can be asked. Raises CredentialError for another account's."""
        facts, key, now = self._cache[account.name], digest(credential.secret), self._clock.now()
        if facts.identity is not None and facts.token_digest == key:
            return credential
        # The answer about usage has to name the account's organization then, where that is known.
        unproven = replace(credential, proven=not account.org_id)
        if now < self._verify_at.get(key, now):
            return unproven
        try:
            profile = await self._owners.identify_token(credential.secret)
        except ApiError as error:
            if error.reason in LOGIN_REASONS:
                return credential  # the poll is answered the same, and says what helps
            self._verify_at[key] = self._clock.now() + ASK_AGAIN
            return unproven
        facts, identity = self._cache[account.name], profile.identity
        same_organization = account.org_id in ("", identity.org_uuid)
        if facts.identity not in (None, identity) or not same_organization:
            failure = Failure(Reason.CREDENTIALS, Cause.WRONG_ACCOUNT, name=account.name)
            raise CredentialError(replace(failure, owner=profile.email))
        self._cache[account.name] = facts.with_profile(profile).with_token(credential)
        self.announce(account.name)
        return credential

    # What is kept, and what is known of it

    async def settle(self, names: Iterable[str]) -> None:
        """Use the best of what Claude Code's places hold now, and keep it where the keyring has the account's."""
        for name in sorted(names):
            await self._settle(name)

    def notice_ends(self) -> None:
        """Have each account whose token has ended polled now: nothing is sent, and it says so at once."""
        now = self._clock.now()
        for name, state in self._store.state.accounts.items():
            ends, is_down = state.token_expires_at, state.down is not None
            if ends is not None and ends <= now < state.next_poll_at and not is_down:
                self._announce_token(name, ends, renewed=True)

    async def retry_keyring(self) -> None:
        """Read and write again what a locked keyring has refused; where that works, the account is polled at once."""
        now, names = self._clock.now(), sorted(self._unreadable | self._unsaved)
        if not names or (self._retry_at is not None and now < self._retry_at):
            return
        self._retry_at = now + RETRY_EVERY
        for name in names:
            if not await self._settle(name):
                return

    async def _settle(self, name: str) -> bool:
        """Do so for one account. Returns false where the keyring refuses."""
        if name not in self._store.state.accounts:
            self._unreadable.discard(name)
            self._unsaved.discard(name)
            return True
        account = self._store.state.accounts[name].account
        try:
            chosen = await self._choose(account)
        except CredentialError:
            return False
        credential = chosen.credential
        if credential is None or account.auth_method is not AuthMethod.OAUTH:
            return True
        if not credential.proven:
            self._announce_token(name, credential.expires_at, renewed=True)
            return True
        self.use(name, credential)
        if chosen.storage is not Storage.KEYRING:
            return True
        try:
            kept = await self._stores.read_kept(account)
            storage = Storage.KEYRING
            if kept is None or kept.secret != credential.secret:
                storage = await self._stores.write(account, credential)
            if storage is not Storage.KEYRING:
                raise CredentialError.of(Cause.NO_KEYRING)
        except CredentialError as error:
            if name not in self._unsaved:
                words = "%s: the token is used, but not kept in the keyring: %s"
                _log.warning(words, name, error)
            if error.cause in MENDABLE:
                self._unsaved.add(name)
            return False
        self._unsaved.discard(name)
        return True

    def use(self, name: str, credential: Credential) -> None:
        """Use this token for the account from now on."""
        facts = self._cache[name]
        renewed = facts.token_digest != digest(credential.secret)
        login = self.registry.login_of(name, self._clock.now())
        ends = login.login_expires_at if login else facts.login_expires_at
        self._cache[name] = replace(facts.with_token(credential), login_expires_at=ends)
        self._announce_token(name, credential.expires_at, renewed=renewed)

    def announce(self, name: str) -> None:
        """Bring what is known of the account and its token into the state, where it is news there."""
        state, facts = self._store.state.accounts.get(name), self._cache[name]
        if state is None:
            return
        if facts.identity not in (None, state.identity) or facts.plan not in (None, state.plan):
            event = AccountIdentified(self._clock.now(), name, facts.identity, facts.plan)
            self._store.dispatch(event)
        self._announce_token(name, facts.token_expires_at)

    def _announce_token(
        self, name: str, expires_at: datetime | None, *, renewed: bool = False
    ) -> None:
        """Dispatch what is known of the account's token, if it has changed: views are drawn at each event."""
        state = self._store.state.accounts.get(name)
        if state is None:
            return
        ends, folder = self._cache[name].login_expires_at, self._folder_of_token(name)
        known = state.token_expires_at, state.login_expires_at, state.config_dir
        if renewed or (expires_at, ends, folder) != known:
            now = self._clock.now()
            self._store.dispatch(
                CredentialSeen(now, name, expires_at, ends, renewed=renewed, config_dir=folder)
            )

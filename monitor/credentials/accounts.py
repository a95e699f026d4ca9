"""The operations of the keys `i a e d s` and of `monitor accounts`.

Nothing is lost half-way: what is new is written first, what is old deleted last, and a failure in between is undone or
named.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Protocol, TypeVar

from monitor.core.alerts.rules import Override
from monitor.core.commands import AddAccount, EditAccount
from monitor.core.errors import (
    Cause,
    CredentialError,
    Failure,
    NotLoggedInError,
    Reason,
    Source,
    TrackerError,
)
from monitor.core.events import AccountsLoaded, CredentialSeen
from monitor.core.model import Account, AuthMethod, Credential, Identity, Profile, Storage
from monitor.credentials.claude_code import LoginSource, place_name
from monitor.credentials.owners import Owners, is_of_email
from monitor.credentials.programs import SwapAccount
from monitor.credentials.resolver import Resolver
from monitor.credentials.stores import SecretStores
from monitor.store import Store
from monitor.system.aio import DaemonThreads
from monitor.system.clock import Clock

T = TypeVar("T")

FILE_SECS: Final = 30.0
"""So long the settings file may take: it may be locked, or on a disk that is silent."""


class Listing(Protocol):
    """The accounts that the settings name; `active_account` is an index into them."""

    @property
    def accounts(self) -> tuple[Account, ...]: ...
    @property
    def active_account(self) -> int: ...


class AccountsFile(Protocol):
    """The accounts in the settings file. Methods may wait for a lock, and change nothing if they raise TrackerError."""

    def read(self) -> Listing: ...
    def check(self, account: Account, instead_of: str | None = None) -> None:
        """Raise what adding the account (or putting it in the place of that one) would raise, and change nothing."""

    def add_account(self, account: Account) -> None: ...
    def replace_account(
        self, name: str, account: Account, override: Override | None = None
    ) -> None:
        """Put the account in the place of that one, and `override` in that of its own alert rules; None keeps these."""

    def remove_account(self, name: str) -> None: ...
    def set_active(self, name: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Imported:
    """The account whose login was in a place, and whether the account is new, or at least its token."""

    name: str
    is_new: bool
    is_renewed: bool = False
    storage: Storage | None = None

    @property
    def words(self) -> str:
        """One line for the user."""
        if self.is_new:
            linked = ", read live from Claude Code" if self.storage is Storage.LINKED else ""
            return f"{self.name}: imported{linked}"
        return f"{self.name}: {'token renewed' if self.is_renewed else 'already imported'}"


@dataclass(frozen=True, slots=True)
class NotImported:
    """A place from which no login was imported, and why."""

    place: str
    error: TrackerError

    @property
    def is_empty(self) -> bool:
        """Say whether there is just no login, which is not a failure."""
        return isinstance(self.error, NotLoggedInError)

    @property
    def words(self) -> str:
        """One line for the user."""
        return f"{self.place}: {'not logged in' if self.is_empty else self.error}"


@dataclass(frozen=True, slots=True)
class Imports:
    """The results of all places, in their order."""

    imported: tuple[Imported, ...] = ()
    failed: tuple[NotImported, ...] = ()

    @property
    def words(self) -> str:
        """One line for the user, of the news alone."""
        news = [i.name for i in self.imported if i.is_new]
        renewed = [i.name for i in self.imported if i.is_renewed and not i.is_new]
        parts = [f"imported {', '.join(news)}"] if news else []
        parts += [f"token renewed: {', '.join(renewed)}"] if renewed else []
        parts += [failure.words for failure in self.failed if not failure.is_empty]
        return "; ".join(parts) or "nothing new: all logins found are already imported"

    def or_raise(self) -> "Imports":
        """Return itself. Raises the first failure where nothing at all was imported."""
        if self.failed and not self.imported:
            raise min(self.failed, key=lambda failure: failure.is_empty).error
        return self


class AccountService:
    """Changes accounts in the settings file, the keyring, the cache and the state, and keeps these in step."""

    def __init__(
        self,
        file: AccountsFile,
        owners: Owners,
        resolver: Resolver,
        stores: SecretStores,
        store: Store,
        clock: Clock,
    ) -> None:
        self._file = file
        self._owners = owners
        self._resolver = resolver
        self._stores = stores
        self._cache = owners.cache
        self._store = store
        self._clock = clock
        self._threads = DaemonThreads(FILE_SECS)
        self._turn = asyncio.Lock()
        """Several tables may send commands at once, each of which reads before it writes."""

    def load(self, listing: Listing, renamed: Mapping[str, str] = MappingProxyType({})) -> None:
        """Bring the settings' accounts, and what is known of them, into the state; `renamed` has new names by old."""
        now, active = self._clock.now(), listing.active_account
        self._cache.recognise(listing.accounts)
        self._store.dispatch(AccountsLoaded(now, listing.accounts, active, renamed))
        for account in listing.accounts:
            self._resolver.announce(account.name)

    async def _reload(self) -> None:
        self.load(await self._in_thread(self._file.read))

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        try:
            return await self._threads.run(lambda: work(*arguments))
        except TimeoutError:
            words = "the settings file cannot be reached: its lock, or its disk, does not answer"
            raise TrackerError(words) from None

    @asynccontextmanager
    async def _exclusive(self) -> AsyncIterator[None]:
        """Wait for other commands to end, and read again which accounts the settings name."""
        async with self._turn:
            await self._reload()
            yield

    # Accounts with a session key

    async def add(self, command: AddAccount) -> str:
        """Add an account that is read with a claude.ai session key."""
        key = command.session_key
        _check_filled(name=command.name, session_key=key.reveal(), org_id=command.org_id)
        account = Account(command.name, command.org_id, AuthMethod.SESSION_KEY)
        async with self._exclusive():
            await self._in_thread(self._file.check, account)
            async with self._keep(account, Credential(key, AuthMethod.SESSION_KEY)):
                await self._add(account)
        return f"added {command.name}"

    async def _add(self, account: Account) -> None:
        """Add the account to the settings. Raises TrackerError, and then forgets what was learnt of it."""
        try:
            await self._in_thread(self._file.add_account, account)
        except TrackerError:
            self._forget(account.name)
            raise
        await self._reload()

    def _forget(self, name: str) -> None:
        self._resolver.registry.rename(name, None)
        self._cache.forget(name)

    @asynccontextmanager
    async def _keep(self, account: Account, credential: Credential) -> AsyncIterator[None]:
        """Keep in the keyring, or raise TrackerError: what was typed must not vanish."""
        async with self._stores.keep(account, credential) as storage:
            if storage is not Storage.KEYRING:
                raise TrackerError(
                    f"{account.name} has its key from elsewhere ({storage}): renew it there; nothing was changed"
                )
            yield

    # Changes

    async def edit(self, command: EditAccount) -> str:
        """Rename an account, and change its session key, organization, label, reserve and alerts."""
        _check_filled(name=command.new_name)
        name, new_name, key = command.name, command.new_name, command.session_key
        async with self._exclusive():
            account = self._owners.account(name)
            edited = _edit(account, command)
            await self._in_thread(self._file.check, edited, name)
            credential = Credential(key, AuthMethod.SESSION_KEY) if key else None
            if key is None and new_name != name:
                credential = await self._stores.read_kept(account)
            async with self._keep(edited, credential) if credential else nullcontext():
                await self._in_thread(self._file.replace_account, name, edited, command.override)
            if new_name == name:
                await self._reload()
            else:
                self._cache.rename(name, new_name)
                self._resolver.registry.rename(name, new_name)
                self.load(await self._in_thread(self._file.read), {name: new_name})
                await self._stores.delete(account)
            if key is not None:
                seen = CredentialSeen(self._clock.now(), new_name, None, renewed=True)
                self._store.dispatch(seen)
        return f"saved {new_name}"

    async def remove(self, name: str) -> str:
        """Remove an account, its entry in the keyring last."""
        async with self._exclusive():
            account = self._owners.account(name)
            await self._in_thread(self._file.remove_account, name)
            self._forget(name)
            await self._reload()
            await self._stores.delete(account)
        return f"removed {name}"

    async def use(self, name: str) -> str:
        """Mark an account as the active one."""
        async with self._exclusive():
            self._owners.account(name)
            await self._in_thread(self._file.set_active, name)
            await self._reload()
        return f"{name} is the active account"

    # Claude Code's logins

    async def import_all(self, sources: Sequence[LoginSource]) -> Imports:
        """Import the login of each source; what failed is reported beside what was imported."""
        imported, failed = [], []
        async with self._exclusive():
            for source in sources:
                try:
                    imported.append(await self._import(source))
                except TrackerError as error:
                    failed.append(NotImported(place_name(source), error))
        return Imports(tuple(imported), tuple(failed))

    async def _import(self, source: LoginSource) -> Imported:
        """Import the login of one source. A token of another place of the account that ends later stays in use.

        Where the API may not be asked, any token will do and none is kept.
        """
        login, owners, now = await source.read(), self._owners, self._clock.now()
        asks = owners.asks
        if asks and login.credential.is_dead(now):
            failure = Failure(Reason.AUTH, Cause.EXPIRED, Source.LOGIN, folder=source.folder)
            raise CredentialError(failure)
        profile = await owners.identify_login(login, source)
        known = await owners.account_of(profile, source.folder)
        account = known or owners.new_account(profile)
        name, registry = account.name, self._resolver.registry
        before, best = self._cache[name].token_digest, login
        if known is None:
            await self._in_thread(self._file.check, account)
        else:
            registry.assign(source, login, name)
            best = registry.login_of(name, now) or login
        kept = self._stores.keep(account, best.credential) if asks else nullcontext()
        async with kept as storage:
            registry.assign(source, login, name)
            owners.learn_profile(name, profile, login)
            self._resolver.announce(name)
            self._resolver.use(name, best.credential)
            if known is None and storage is Storage.LINKED:
                account = replace(account, storage=storage, config_dir=source.folder or None)
            if known is None:
                await self._add(account)
        is_renewed = asks and before != self._cache[name].token_digest
        return Imported(name, known is None, is_renewed, storage)

    # claude-swap's list, which has no tokens

    async def add_known(self, rows: Sequence[SwapAccount]) -> list[str]:
        """Add the accounts of those rows that are none yet, and learn when each one's login ends.

        Returns the names of those that are new.
        """
        listed = {(row.email, row.org_uuid) for row in rows}
        met: set[str] = set()
        added: list[str] = []
        async with self._exclusive():
            for row in rows:
                name = self._name_of(row, listed, met)
                if name is None:
                    identity = Identity(row.account_uuid, row.org_uuid)
                    profile = Profile(identity, row.email, row.org_name)
                    account = self._owners.new_account(profile)
                    name = account.name
                    if row.account_uuid and row.org_uuid:
                        self._owners.learn_profile(name, profile)
                    await self._add(account)
                    added.append(name)
                met.add(name)
                self._cache[name] = self._cache[name].learn_swap(row.login_expires_at)
                self._resolver.announce(name)
        return added

    def _name_of(self, row: SwapAccount, listed: set[tuple[str, str]], met: set[str]) -> str | None:
        """Return the account that this row is of, and no other row; None where there is none yet.

        An e-mail address in two organizations is two accounts. Of a row, and of an account, the organization may not
        be known: then the one may be the other, unless the listing has a row that is it to the letter.
        """
        alike: list[str] = []
        for account in self._owners.accounts():
            if account.auth_method is not AuthMethod.OAUTH or account.name in met:
                continue
            identity = self._cache[account.name].identity
            if identity == Identity(row.account_uuid, row.org_uuid):
                return account.name
            organization = self._owners.organization(account)
            if is_of_email(account, row.email):
                if organization == row.org_uuid:
                    return account.name
                is_open = "" in (organization, row.org_uuid)
                if is_open and (row.email, organization) not in listed:
                    alike.append(account.name)
        return alike[0] if alike else None


def _edit(account: Account, command: EditAccount) -> Account:
    """Return the account with the changes. One that gets a session key is no longer linked to a login."""
    edited = replace(account, name=command.new_name, org_id=command.org_id)
    if command.label is not None:
        edited = replace(edited, label=command.label or None)
    if command.reserve is not None:
        edited = replace(edited, reserve=command.reserve)
    if command.session_key is None:
        return edited
    linked = account.storage is Storage.LINKED
    return replace(
        edited,
        auth_method=AuthMethod.SESSION_KEY,
        storage=None if linked else account.storage,
        config_dir=None if linked else account.config_dir,
    )


def _check_filled(**fields: str) -> None:
    for field, value in fields.items():
        if not value.strip():
            raise TrackerError(f"the {field.replace('_', ' ')} is empty: nothing was changed")

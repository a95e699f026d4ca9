"""What the keys `i a e d s` and `monitor accounts` do. Nothing is lost half-way: what is new is written first,
what is old deleted last, and a failure in between is undone or named.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from monitor.core.errors import KEYRINGLESS, CredentialError, TrackerError
from monitor.core.events import CredentialSeen
from monitor.core.model import Account, AuthMethod, Credential, Identity, Profile, Secret, Storage
from monitor.credentials.account_cache import AccountCache
from monitor.credentials.account_repository import AccountRepository
from monitor.credentials.cswap_import import CswapImport
from monitor.credentials.login_import import Imported, Importing, Imports
from monitor.credentials.login_registry import LoginRegistry
from monitor.credentials.ports import AccountsFile, KnownLogin, Listing, LoginSource
from monitor.credentials.profiles import Profiles
from monitor.credentials.resolver import Resolver
from monitor.store import Store
from monitor.system.clock import Clock


class AccountService:
    """The accounts: settings, credentials and what was learnt of them, kept in step.

    `asks` says whether their tokens are for anything: whether the API may be asked at all.
    """

    def __init__(
        self,
        *,
        file: AccountsFile,
        credentials: Resolver,
        offers: LoginRegistry,
        learnt: AccountCache,
        profiles: Profiles,
        store: Store,
        clock: Clock,
        asks: bool = True,
    ) -> None:
        self._file = file
        self._credentials = credentials
        self._offers = offers
        self._learnt = learnt
        self._store = store
        self._clock = clock
        self._register = AccountRepository(
            file, credentials, offers, learnt, profiles, store, clock
        )
        self._importing = Importing(
            self._register, credentials, offers, learnt, profiles, clock, asks=asks
        )
        self._known = CswapImport(self._register, learnt)
        self._turn = asyncio.Lock()
        """Several tables may order at once, and each order looks first and writes then."""

    def load(self, listing: Listing | None = None) -> None:
        """Bring the settings' accounts, and what was learnt of them, into the state; `listing` saves reading them."""
        self._register.load(listing)

    async def import_from(self, sources: Sequence[LoginSource]) -> list[Imported]:
        """Import the login of each source. Raises the first failure, where nothing could be imported."""
        return list((await self.import_all(sources)).or_raise().imported)

    async def import_all(self, sources: Sequence[LoginSource]) -> Imports:
        """Import the login of each source; what failed is told beside what was imported."""
        async with self._turn:
            return await self._importing.import_all(sources)

    async def add_known(self, known: Sequence[KnownLogin]) -> list[str]:
        """Add the accounts that another program knows, without tokens. Returns the names of those that are new."""
        async with self._turn:
            return self._known.add(known)

    async def identified(self, profile: Profile, folder: str | None) -> str | None:
        """The account whose login in this folder the profile speaks of, which is then known by it; None for a
        stranger's.
        """
        return await self._register.identified(profile, folder)

    def presumed(self, folder: str | None, noted: Identity | None) -> str | None:
        """The account whose login this most likely is, where an answer's organization can prove it."""
        return self._register.presumed(folder, noted)

    def folders_of(self, account: Account) -> tuple[str, ...]:
        """Where the account's login lives, has lived, or is said to live."""
        return self._register.folders_of(account)

    def account(self, name: str) -> Account:
        """The account of that name. Raises TrackerError where there is none."""
        return self._register.account(name)

    async def add(self, name: str, session_key: Secret, org_id: str) -> str:
        """Add an account that is read with a claude.ai session key."""
        _check_filled(name=name, session_key=session_key.reveal(), org_id=org_id)
        account = Account(name, org_id, AuthMethod.SESSION_KEY)
        async with self._turn:
            self._register.check(account)
            async with self._kept(account, Credential(session_key, AuthMethod.SESSION_KEY)):
                self._register.add(account)
        return f"{name} added"

    @asynccontextmanager
    async def _kept(self, account: Account, credential: Credential | None) -> AsyncIterator[None]:
        """In the keyring, or not at all: what was typed must not vanish."""
        if credential is None:
            yield
            return
        async with self._credentials.kept_for(account, credential) as storage:
            if storage is not Storage.KEYRING:
                raise TrackerError(
                    f"{account.name} has its key from elsewhere ({storage}): renew it there; nothing was changed"
                )
            yield

    async def edit(
        self,
        name: str,
        new_name: str,
        session_key: Secret | None,
        org_id: str,
        label: str | None = None,
    ) -> str:
        """Rename an account, and change its session key, organization and label.

        None keeps the key or the label; an empty label removes it.
        """
        _check_filled(name=new_name)
        async with self._turn:
            account = self.account(name)
            labelled = account if label is None else replace(account, label=label or None)
            edited = _edited(labelled, new_name, session_key, org_id)
            self._register.check(edited, instead_of=name)
            credential = await self._edited_credential(account, new_name, session_key)
            async with self._kept(edited, credential):
                self._file.replace_account(name, edited)
            await self._after_edit(account, new_name, has_new_key=session_key is not None)
        return f"{new_name} saved"

    async def _edited_credential(
        self, account: Account, new_name: str, session_key: Secret | None
    ) -> Credential | None:
        """What is to be written under the new name; None where nothing is."""
        if session_key:
            return Credential(session_key, AuthMethod.SESSION_KEY)
        if new_name == account.name:
            return None
        try:
            return await self._credentials.kept(account)
        except CredentialError as error:
            if error.cause in KEYRINGLESS:
                return None
            raise

    async def _after_edit(self, account: Account, new_name: str, *, has_new_key: bool) -> None:
        if new_name != account.name:
            self._learnt.rename(account.name, new_name)
            self._offers.rename(account.name, new_name)
            self._register.load(renamed=(account.name, new_name))
            await self._credentials.drop(account)
        else:
            self.load()
        if has_new_key:
            self._store.dispatch(CredentialSeen(self._clock.now(), new_name, None, renewed=True))

    async def remove(self, name: str) -> str:
        """Remove an account, its entry in the keyring last."""
        async with self._turn:
            account = self.account(name)
            self._file.remove_account(name)
            self._register.forget(name)
            self.load()
            await self._credentials.drop(account)
        return f"{name} removed"

    async def use(self, name: str) -> str:
        """Mark an account as the active one."""
        self.account(name)
        self._file.set_active(name)
        self.load()
        return f"{name} is the active account"


def _edited(account: Account, new_name: str, session_key: Secret | None, org_id: str) -> Account:
    """A session key is no login of Claude Code: an account that gets one is linked to none."""
    edited = replace(account, name=new_name, org_id=org_id)
    if session_key is None:
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

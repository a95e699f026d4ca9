"""Accounts in the settings, in the state and in what was learnt of them, kept in step; and which one is meant."""

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import Final

from monitor.core.errors import ApiError, CredentialError, TrackerError
from monitor.core.events import AccountIdentified, AccountsLoaded
from monitor.core.model import Account, AuthMethod, Identity, Login, Profile
from monitor.credentials.account_cache import AccountCache
from monitor.credentials.config_dir import remembered
from monitor.credentials.login_registry import LoginRegistry
from monitor.credentials.ports import AccountsFile, Listing
from monitor.credentials.profiles import Profiles
from monitor.credentials.resolver import Resolver
from monitor.store import Store
from monitor.system.clock import Clock

PERSONAL: Final = "personal"
"""Stands for the organization in the name of an account that is in none, or in one that nobody knows."""


class AccountRepository:
    """Knows the accounts, and whose account a profile speaks of."""

    def __init__(
        self,
        file: AccountsFile,
        credentials: Resolver,
        offers: LoginRegistry,
        learnt: AccountCache,
        profiles: Profiles,
        store: Store,
        clock: Clock,
    ) -> None:
        self._file = file
        self._credentials = credentials
        self._offers = offers
        self._learnt = learnt
        self._profiles = profiles
        self._store = store
        self._clock = clock

    def load(
        self, listing: Listing | None = None, *, renamed: tuple[str, str] | None = None
    ) -> None:
        """Bring the settings' accounts, and what was learnt of them, into the state; `listing` saves reading them."""
        now = self._clock.now()
        listing = listing or self._file.read()
        self._learnt.recognise(listing.accounts)
        names = dict([renamed]) if renamed else {}
        self._store.dispatch(AccountsLoaded(now, listing.accounts, listing.active_account, names))
        for account in listing.accounts:
            self.tell(account.name)

    def tell(self, name: str) -> None:
        """Bring what was learnt of the account into the state."""
        facts = self._learnt[name]
        event = AccountIdentified(self._clock.now(), name, facts.identity, facts.plan)
        self._store.dispatch(event)
        self._credentials.tell(name)

    def accounts(self) -> tuple[Account, ...]:
        return self._file.read().accounts

    def account(self, name: str) -> Account:
        """The account of that name. Raises TrackerError where there is none."""
        found = next((a for a in self.accounts() if a.name == name), None)
        if found is None:
            raise TrackerError(f"there is no account {name!r}: see `monitor accounts list`")
        return found

    def check(self, account: Account, instead_of: str | None = None) -> None:
        """Raises TrackerError where the settings would refuse it: to be known before its token is kept."""
        self._file.check(account, instead_of)

    def add(self, account: Account) -> None:
        """One more account. Raises TrackerError, and then nothing that was learnt of it is remembered."""
        try:
            self._file.add_account(account)
        except TrackerError:
            self.forget(account.name)
            raise
        self.load()

    def forget(self, name: str) -> None:
        """Nothing that was learnt of the account is remembered."""
        self._offers.forget(name)
        self._learnt.forget(name)

    def identify(self, name: str, profile: Profile, login: Login | None = None) -> None:
        """Remember whose account it is, and its plan, as far as either the API or Claude Code says it."""
        facts = self._learnt[name].of_profile(profile)
        plan = facts.plan or (login.plan if login else None)
        self._learnt[name] = replace(facts, plan=plan)

    async def identified(self, profile: Profile, folder: str | None) -> str | None:
        """The account that the profile of the login in this folder speaks of, which is then known by it.

        None for a stranger's.
        """
        account = await self.account_of(profile, folder)
        if account is None:
            return None
        self.identify(account.name, profile)
        self.tell(account.name)
        return account.name

    def presumed(self, folder: str | None, noted: Identity | None) -> str | None:
        """The account whose login in this folder it most likely is: that which Claude Code has `noted`, else who lives
        there. None where that is not one, or where another account of the same organization could be meant.
        """
        oauth = [a for a in self.accounts() if a.auth_method is AuthMethod.OAUTH]
        organizations = Counter(self.organization(account) for account in oauth)
        likely = [
            account.name
            for account in oauth
            if organizations[self.organization(account)] == 1
            and self._may_be(account, folder, noted)
        ]
        return likely[0] if len(likely) == 1 else None

    def organization(self, account: Account) -> str:
        """As the settings say it, else as it was learnt; empty where nobody knows."""
        identity = self._learnt[account.name].identity
        return account.org_id or (identity.org_uuid if identity else "")

    def _may_be(self, account: Account, folder: str | None, noted: Identity | None) -> bool:
        known, lives_there = self._learnt[account.name].identity, folder in self._homes(account)
        organization = self.organization(account)
        if noted is None or not organization:
            return lives_there and bool(organization)
        if noted.org_uuid not in ("", organization):
            return False
        return lives_there if known is None else known.account_uuid == noted.account_uuid

    def folders_of(self, account: Account) -> tuple[str, ...]:
        """Where the account's login lives, has lived, or is said to live."""
        return (*self._homes(account), *self._learnt[account.name].left)

    def _homes(self, account: Account) -> tuple[str, ...]:
        """Where the account's login lives, or is said to live."""
        return (*self._learnt[account.name].folders, *remembered(account.config_dir))

    async def account_of(self, profile: Profile, folder: str | None) -> Account | None:
        """The account that the profile of the login in this folder speaks of: by its identity, or for one that was
        never identified, by its name, by the folder that the settings give it, or by asking.
        """
        accounts = [a for a in self.accounts() if a.auth_method is AuthMethod.OAUTH]
        for account in accounts:
            if self._learnt[account.name].identity == profile.identity:
                return account
        for account in sorted(accounts, key=lambda account: not account.org_id):
            if await self._is_unidentified_twin(account, profile, folder):
                return account
        return None

    async def _is_unidentified_twin(
        self, account: Account, profile: Profile, folder: str | None
    ) -> bool:
        """Whether an account from an older settings file, of which only the organization is known, is meant."""
        if self._learnt[account.name].identity is not None:
            return False
        if account.org_id not in ("", profile.identity.org_uuid):
            return False
        if is_of_email(account, profile.email) and not self._is_told_from(account, profile):
            return True
        if folder in remembered(account.config_dir):
            return True
        stored = await self._credentials.held(account)
        if stored is None or stored.is_dead(self._clock.now()):
            return False
        with suppress(ApiError, CredentialError):
            return (await self._profiles.of_token(stored.secret)).identity == profile.identity
        return False

    def _is_told_from(self, account: Account, profile: Profile) -> bool:
        """Whether it is of no known organization, while another account of the e-mail is of this one."""
        if account.org_id:
            return False
        others = (a for a in self.accounts() if a.org_id == profile.identity.org_uuid)
        return any(is_of_email(other, profile.email) for other in others)

    def new_account(self, profile: Profile) -> Account:
        """An account of a name that is free, not yet in the settings."""
        taken = {account.name for account in self.accounts()}
        organization = profile.organization_name or profile.identity.org_uuid[:8] or PERSONAL
        wanted = [profile.email, f"{profile.email} ({organization})"]
        wanted += [f"{profile.email} ({organization} {n})" for n in range(2, len(taken) + 3)]
        name = next(name for name in wanted if name not in taken)
        return Account(name, profile.identity.org_uuid, AuthMethod.OAUTH)


def is_of_email(account: Account, email: str) -> bool:
    """Whether it is an account of this e-mail: the first one, or one of several, `user@example.com (Organization)`."""
    several = f"{email} (" if account.org_id else f"{email} ({PERSONAL}"
    return account.name == email or account.name.startswith(several)

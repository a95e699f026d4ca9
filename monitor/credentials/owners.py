"""The owners of tokens, and the watched accounts that logins are of.

The accounts are those of the state: nothing here reads the settings file.
"""

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import Final, Protocol

from monitor.core.errors import (
    ApiError,
    Cause,
    CredentialError,
    Reason,
    Source,
    TrackerError,
)
from monitor.core.model import Account, AuthMethod, Login, Profile, Secret
from monitor.credentials.account_cache import AccountCache
from monitor.credentials.claude_code import LoginSource
from monitor.credentials.folders import aliases
from monitor.credentials.stores import SecretStores
from monitor.store import Store
from monitor.system.clock import Clock

PERSONAL: Final = "personal"
"""Stands for the organization in the name of an account that is in none, or in one that nobody knows."""


class ProfileSource(Protocol):
    async def profile(self, token: Secret) -> Profile:
        """Ask whose token it is. Raises ApiError."""


class Owners:
    """Says whose a token is: the API is asked once for each, and the answer is remembered.

    Where the API may not be asked, what Claude Code notes beside a login is believed.
    """

    def __init__(
        self,
        api: ProfileSource,
        cache: AccountCache,
        stores: SecretStores,
        store: Store,
        clock: Clock,
    ) -> None:
        self._api = api
        self.cache = cache
        self._stores = stores
        self._store = store
        self._clock = clock

    @property
    def asks(self) -> bool:
        """Say whether the API may be asked, by the policy of now."""
        return self._store.state.policy.polls

    # Whose a token is

    async def of_login(self, login: Login, source: LoginSource) -> Profile:
        """Find out whose login it is. Raises ApiError, or CredentialError where it cannot be found out."""
        if self.asks and login.is_setup_token:
            raise CredentialError.of(Cause.NO_SCOPE, reason=Reason.SCOPE)
        if self.asks:
            return await self.of_token(login.credential.secret)
        facts = await source.facts.read() if source.facts is not None else None
        if facts is None or facts.profile is None:
            raise CredentialError.of(Cause.NOT_ASKED, Source.CLAUDE_JSON)
        return facts.profile

    async def of_token(self, secret: Secret) -> Profile:
        """Find out whose token it is. Raises ApiError, or CredentialError where the API may not be asked."""
        known = self.cache.profile_of(secret)
        if known is not None:
            return known
        if not self.asks:
            raise CredentialError.of(Cause.NOT_ASKED)
        profile = await self._api.profile(secret)
        self.cache.remember(secret, profile)
        return profile

    # The watched accounts

    def all(self) -> list[Account]:
        return [state.account for state in self._store.state.accounts.values()]

    def _oauth(self) -> list[Account]:
        return [account for account in self.all() if account.auth_method is AuthMethod.OAUTH]

    def account(self, name: str) -> Account:
        """The account of that name. Raises TrackerError where there is none."""
        state = self._store.state.accounts.get(name)
        if state is None:
            raise TrackerError(f"there is no account {name!r}: see `monitor accounts list`")
        return state.account

    def organization(self, account: Account) -> str:
        """As the settings say it, else as it was learnt; empty where nobody knows."""
        identity = self.cache[account.name].identity
        return account.org_id or (identity.org_uuid if identity else "")

    def folders_of(self, account: Account, *, former: bool = True) -> tuple[str, ...]:
        """The folders where the account's login lives, or is said to live, and with `former` those that it has left."""
        facts = self.cache[account.name]
        return (*facts.folders, *aliases(account.config_dir), *(facts.left if former else ()))

    def folders(self) -> list[str]:
        """Every folder in which a login was found, or is said to be; the default one is left out."""
        named = {account.config_dir for account in self.all() if account.config_dir}
        return sorted(self.cache.folders() | named)

    # Which account a login is of

    async def owner_of(self, secret: Secret) -> str | None:
        """The account that this token is known to be of, without asking anybody."""
        oauth = self._oauth()
        known = self.cache.owner_of(secret, (account.name for account in oauth))
        if known is not None:
            return known
        for account in oauth:
            if self.cache[account.name].identity is None:
                with suppress(CredentialError):
                    kept = await self._stores.read_kept(account)
                    if kept is not None and kept.secret == secret:
                        return account.name
        return None

    def learn(self, name: str, profile: Profile, login: Login | None = None) -> None:
        """Remember whose account it is, and its plan, as far as either the API or Claude Code says it."""
        facts = self.cache[name].with_profile(profile)
        plan = facts.plan or (login.plan if login else None)
        self.cache[name] = replace(facts, plan=plan)

    async def presume(self, source: LoginSource) -> str | None:
        """The account whose login in this place it most likely is: that which Claude Code has noted beside it, else
        who lives there. None where that is not one, or where another account of its organization could be meant.
        """
        noted = None
        if source.facts is not None:
            with suppress(CredentialError):
                noted = (await source.facts.read()).identity
        oauth = self._oauth()
        organizations = Counter(map(self.organization, oauth))

        def may_be(account: Account) -> bool:
            known, organization = self.cache[account.name].identity, self.organization(account)
            if not organization or organizations[organization] > 1:
                return False
            if noted is not None and noted.org_uuid not in ("", organization):
                return False
            if noted is not None and known is not None:
                return known.account_uuid == noted.account_uuid
            return source.folder in self.folders_of(account, former=False)

        likely = [account.name for account in oauth if may_be(account)]
        return likely[0] if len(likely) == 1 else None

    async def account_of(self, profile: Profile, folder: str | None) -> Account | None:
        """The account that the profile of the login in this folder speaks of: by its identity, or for one that was
        never identified, by its name, by the folder that the settings give it, or by asking.
        """
        accounts = self._oauth()
        for account in accounts:
            if self.cache[account.name].identity == profile.identity:
                return account
        for account in sorted(accounts, key=lambda account: not account.org_id):
            may_be = account.org_id in ("", profile.identity.org_uuid)
            if not may_be or self.cache[account.name].identity is not None:
                continue
            if is_of_email(account, profile.email) and not self._is_told_from(account, profile):
                return account
            if folder in aliases(account.config_dir):
                return account
            if await self._keeps_token_of(account, profile):
                return account
        return None

    async def _keeps_token_of(self, account: Account, profile: Profile) -> bool:
        """Ask whether the token that is kept for the account is of that profile."""
        with suppress(ApiError, CredentialError):
            kept = (await self._stores.read(account)).credential
            if kept is not None:
                kept = replace(kept, expires_at=self.cache[account.name].expiry_of(kept))
            if kept is not None and not kept.is_dead(self._clock.now()):
                return (await self.of_token(kept.secret)).identity == profile.identity
        return False

    def _is_told_from(self, account: Account, profile: Profile) -> bool:
        """Say whether it is of no known organization, while another account of the e-mail is of this one."""
        if account.org_id:
            return False
        others = (a for a in self.all() if a.org_id == profile.identity.org_uuid)
        return any(is_of_email(other, profile.email) for other in others)

    def new_account(self, profile: Profile) -> Account:
        """An account of a name that is free, not yet in the settings."""
        taken = self._store.state.accounts
        organization = profile.organization_name or profile.identity.org_uuid[:8] or PERSONAL
        wanted = [profile.email, f"{profile.email} ({organization})"]
        wanted += [f"{profile.email} ({organization} {n})" for n in range(2, len(taken) + 3)]
        name = next(name for name in wanted if name not in taken)
        return Account(name, profile.identity.org_uuid, AuthMethod.OAUTH)


def is_of_email(account: Account, email: str) -> bool:
    """Say whether it is an account of this e-mail: the first, or one of several, `user@example.com (Organization)`."""
    several = f"{email} (" if account.org_id else f"{email} ({PERSONAL}"
    return account.name == email or account.name.startswith(several)

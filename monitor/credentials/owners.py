"""The owners of logins: the registry of the logins that Claude Code has now, and who finds out whose they are.

The registry is in memory alone, and nothing of it is ever written. Of an account's tokens the freshest wins. One that
its place has replaced or lost, or that the API has refused, comes after those that are in a place now, whatever its
date says. The accounts are those of the state: nothing here reads the settings file.
"""

import asyncio
import os.path
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterator, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import count
from operator import attrgetter
from typing import Final, Protocol

from monitor.core.errors import (
    ApiError,
    Cause,
    CredentialError,
    Failure,
    Reason,
    Source,
    TrackerError,
)
from monitor.core.model import Account, AuthMethod, Credential, Login, Profile, Secret
from monitor.credentials.account_cache import AccountCache, digest
from monitor.credentials.claude_code import LoginSource
from monitor.credentials.folders import DEFAULT, aliases
from monitor.credentials.stores import SecretStores
from monitor.store import Store
from monitor.system.aio import DaemonThreads
from monitor.system.clock import Clock

PERSONAL: Final = "personal"
"""Stands for the organization in the name of an account that is in none, or in one that nobody knows."""

NEVER_LOOKED: Final = object()

DISK_SECS: Final = 2.0
"""So long a disk may take to say where a folder really is."""


@dataclass(slots=True, eq=False)
class Place:
    """One place, and its content. `failure` says why it cannot be read, or why nobody knows whose its login is.

    That there is no login is no failure. The rest is the watcher's: `stamp` is the one seen last, `read_stamp` that of
    the content that could be read last, and `done_for` the stamp and the accounts for which nothing is left to do.
    `number` counts the places in the order in which they were found.
    """

    source: LoginSource
    number: int
    login: Login | None = None
    owner: str | None = None
    failure: Failure | None = None
    stamp: Hashable = NEVER_LOOKED
    read_stamp: Hashable = NEVER_LOOKED
    done_for: Hashable = NEVER_LOOKED
    failures: int = 0
    not_before: datetime | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class LoginRegistry:
    """Knows what each place contains, and whose that is. Its changes return the names of the accounts concerned."""

    def __init__(self, cache: AccountCache) -> None:
        self.places: dict[str, Place] = {}
        self._by_owner: defaultdict[str, set[Place]] = defaultdict(set)
        self._by_folder: defaultdict[str, set[Place]] = defaultdict(set)
        self._numbers = count()
        self._cache = cache
        self._superseded: set[str] = set()
        self._refused: set[str] = set()
        self._last: dict[str, Credential] = {}
        """Of each account the token whose place another account has taken: it is good until it ends."""
        self._threads = DaemonThreads(DISK_SECS)

    # What is found in a place

    def track(self, sources: Sequence[LoginSource]) -> set[str]:
        """Know these places, and forget all others."""
        touched: set[str] = set()
        for key in self.places.keys() - {source.key for source in sources}:
            touched |= self.assign(self.places[key].source, None, None)
            place = self.places.pop(key)
            if place.source.folder is not None:
                self._by_folder[place.source.folder].discard(place)
        for source in sources:
            self._place(source)
        return touched

    def assign(self, source: LoginSource, login: Login | None, name: str | None) -> set[str]:
        """Note that the place contains this login (None: none) of this account (None: of nobody who is watched)."""
        folder, touched = source.folder, self._set(source, login, name)
        former = set() if folder is None else self._cache.accounts_in(folder) - {name}
        for other in former:
            self._cache[other] = self._cache[other].move_out(folder or "")
        if name is None:
            return touched | former
        self._last.pop(name, None)
        if folder is not None:
            self._cache[name] = self._cache[name].move_in(folder)
        return touched | former | {name}

    def assume(self, source: LoginSource, login: Login, name: str, failure: Failure) -> set[str]:
        """Take the login of this place for that account's, until an answer of the API confirms or refutes it."""
        place, secret = self._place(source), login.credential.secret
        unproven = replace(login, credential=replace(login.credential, proven=False))
        is_known = (place.login, place.owner, place.failure) == (unproven, name, failure)
        if is_known or not self.is_good(secret):
            return set()
        return self._set(source, unproven, name, failure) | {name}

    def confirm(self, credential: Credential, name: str) -> set[str]:
        """Take the account's token for proven: it was only assumed to be its own."""
        touched: set[str] = set()
        for place in self.places_of(name):
            if place.login and place.login.credential == credential:
                login = replace(place.login, credential=replace(credential, proven=True))
                touched |= self.assign(place.source, login, name)
        return touched

    def keep_expired(self, source: LoginSource, login: Login) -> set[str]:
        """Keep a login whose token has ended: nobody can be asked about it, so it is taken for the former account's."""
        names = set() if source.folder is None else self._cache.accounts_in(source.folder)
        return self._set(source, login, min(names, default=None)) | names

    def fail(self, source: LoginSource, failure: Failure) -> None:
        """Note why the place cannot be read now. Its login is still used, unless the place was rewritten since."""
        place = self._place(source)
        place.failure = failure
        if place.login is not None and place.read_stamp not in (NEVER_LOOKED, place.stamp):
            self._superseded.add(digest(place.login.credential.secret))

    def refuse(self, credential: Credential) -> None:
        """Note that the API has refused this token: any other is better, and what was assumed of it is wrong."""
        self._refused.add(digest(credential.secret))
        self._last = {n: last for n, last in self._last.items() if last.secret != credential.secret}
        for place in self.places.values() if not credential.proven else ():
            if place.login and place.login.credential == credential:
                self.assign(place.source, place.login, None)

    def rename(self, old: str, new: str | None) -> None:
        """Call the account by its new name; None where it was removed."""
        last = self._last.pop(old, None)
        if last is not None and new is not None:
            self._last[new] = last
        for place in self.places_of(old):
            self._set_owner(place, new)

    # What is known of an account, or of a place

    def is_good(self, secret: Secret) -> bool:
        """Say whether the token was neither refused nor replaced; it may have ended all the same."""
        key = digest(secret)
        return key not in self._superseded and key not in self._refused

    def places_of(self, name: str, folders: Collection[str] = ()) -> list[Place]:
        """Return the places where the account's logins are, and those in these folders."""
        found = self._by_owner.get(name, set()).union(*map(self._in_folder, folders))
        return sorted(found, key=attrgetter("number"))

    async def places_at(self, folder: str) -> list[Place]:
        """Return the places of the folder, however it is spelled; "" is the default one."""
        key = folder or os.path.expanduser(DEFAULT)  # noqa: ASYNC240, PTH111 - asks no disk; a Path may raise
        with suppress(TimeoutError):
            key = await self._threads.run(partial(os.path.realpath, key))
        places = self._in_folder(folder) | ({self.places[key]} if key in self.places else set())
        return sorted(places, key=lambda place: (place.source.key != key, place.number))

    def tokens_of(self, name: str) -> list[Credential]:
        """Return all known tokens of the account, also one whose place another account has taken."""
        tokens = [place.login.credential for place in self.places_of(name) if place.login]
        return [*tokens, self._last[name]] if name in self._last else tokens

    def login_of(self, name: str, now: datetime) -> Login | None:
        """Return the account's best login, even one that has ended; None where it has none."""
        best = self.best_place(name, now)
        return best.login if best else None

    def best_place(self, name: str, now: datetime) -> Place | None:
        """Return the place of the account's best login."""
        ranks = {
            p.source.key: self.rank(p.login.credential, now)
            for p in self.places_of(name)
            if p.login
        }
        return self.places[max(ranks, key=ranks.__getitem__)] if ranks else None

    def failure_of(self, name: str, folders: Collection[str]) -> Failure | None:
        """Return why one of these folders, which may have the account's login, cannot be read; None where all can."""
        places = sorted(set().union(*map(self._in_folder, folders)), key=attrgetter("number"))
        return next((p.failure for p in places if p.failure and p.owner in (None, name)), None)

    def is_empty(self, folder: str) -> bool:
        """Say whether it is known that there is no login in the folder."""
        found = self._in_folder(folder)
        return bool(found) and all(
            p.read_stamp is not NEVER_LOOKED and p.login is None and p.failure is None
            for p in found
        )

    def rank(self, credential: Credential, now: datetime) -> tuple[bool, bool, datetime]:
        """Return a key to compare tokens by: that of the best one is the greatest."""
        return not credential.is_dead(now), self.is_good(credential.secret), credential.freshness

    def _place(self, source: LoginSource) -> Place:
        """Return the place of this source, a new one where it is not known yet."""
        if source.key not in self.places:
            place = self.places[source.key] = Place(source, next(self._numbers))
            if source.folder is not None:
                self._by_folder[source.folder].add(place)
        return self.places[source.key]

    def _in_folder(self, folder: str) -> set[Place]:
        """Return the places of the folder, as it is spelled."""
        return self._by_folder.get(folder, set())

    def _set_owner(self, place: Place, name: str | None) -> None:
        if place.owner is not None:
            self._by_owner[place.owner].discard(place)
        place.owner = name
        if name is not None:
            self._by_owner[name].add(place)

    def _set(
        self,
        source: LoginSource,
        login: Login | None,
        owner: str | None = None,
        failure: Failure | None = None,
    ) -> set[str]:
        """Put this into the place. A token that is in a place again is as good as new. Returns the former owner."""
        place = self._place(source)
        before, old = place.owner, place.login
        if old is not None:
            self._superseded.add(digest(old.credential.secret))
        if login is not None:
            self._superseded.discard(digest(login.credential.secret))
            if before and before != owner and old and old.credential.proven:
                self._last[before] = old.credential
        place.login, place.failure = login, failure
        self._set_owner(place, owner)
        return set() if before is None else {before}


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

    async def identify_login(self, login: Login, source: LoginSource) -> Profile:
        """Find out whose login it is. Raises ApiError, or CredentialError where that is not possible."""
        if self.asks and login.is_setup_token:
            raise CredentialError.of(Cause.NO_SCOPE, reason=Reason.SCOPE)
        if self.asks:
            return await self.identify_token(login.credential.secret)
        facts = await source.facts.read() if source.facts is not None else None
        if facts is None or facts.profile is None:
            raise CredentialError.of(Cause.NOT_ASKED, Source.CLAUDE_JSON)
        return facts.profile

    async def identify_token(self, secret: Secret) -> Profile:
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

    def accounts(self) -> list[Account]:
        return [state.account for state in self._store.state.accounts.values()]

    def _oauth_accounts(self, names: Set[str] | None = None) -> list[Account]:
        """Return the accounts of Claude Code's logins, or those of these names, in the order of the settings."""
        if names is not None and not names:
            return []
        states = self._store.state.accounts.items()
        accounts = [state.account for n, state in states if names is None or n in names]
        return [account for account in accounts if account.auth_method is AuthMethod.OAUTH]

    def account(self, name: str) -> Account:
        """The account of that name. Raises TrackerError where there is none."""
        state = self._store.state.accounts.get(name)
        if state is None:
            raise TrackerError(f"there is no account {name!r}: see `monitor accounts list`")
        return state.account

    def organization(self, account: Account) -> str:
        """Return the organization's id of the settings, else the learnt one; empty where neither is known."""
        identity = self.cache[account.name].identity
        return account.org_id or (identity.org_uuid if identity else "")

    def folders_of(self, account: Account, *, former: bool = True) -> tuple[str, ...]:
        """Return the folders where its login is, or is by the settings, and with `former` those that it has left."""
        facts = self.cache[account.name]
        return (*facts.folders, *aliases(account.config_dir), *(facts.left if former else ()))

    def folders(self) -> list[str]:
        """Return every folder in which a login was found, or is by the settings; the default one is left out."""
        named = {account.config_dir for account in self.accounts() if account.config_dir}
        return sorted(self.cache.folders() | named)

    # Which account a login is of

    async def owner_of(self, secret: Secret) -> str | None:
        """Return the name of the account whose token this is, as far as that is known without asking the API."""
        owners = self._oauth_accounts(self.cache.accounts_with(secret))
        if owners:
            return owners[0].name
        return await self._stores.find_kept(secret, self._unidentified())

    def _unidentified(self) -> Iterator[Account]:
        """Go through the accounts that nobody has identified, nor does meanwhile."""
        names = self._store.state.accounts.keys() - self.cache.identified
        accounts = self._oauth_accounts(names)
        return (account for account in accounts if account.name not in self.cache.identified)

    def learn_profile(self, name: str, profile: Profile, login: Login | None = None) -> None:
        """Remember whose account it is, and its plan, as far as either the API or Claude Code says it."""
        facts = self.cache[name].with_profile(profile)
        plan = facts.plan or (login.plan if login else None)
        self.cache[name] = replace(facts, plan=plan)

    async def presume(self, source: LoginSource) -> str | None:
        """Return the name of the account whose login is most likely in this place: the one that Claude Code has noted
        beside it, else the one whose login was there. None where that is not exactly one, or where the organization
        has several accounts.
        """
        noted = None
        if source.facts is not None:
            with suppress(CredentialError):
                noted = (await source.facts.read()).identity
        oauth = self._oauth_accounts()
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
        """Return the account that this profile, of the login in this folder, is of: the one of its identity; else one
        that was never identified, by its name, by its folder in the settings, or by asking whose its own token is.
        """
        identity = profile.identity
        known = self._oauth_accounts(self.cache.accounts_of(identity))
        if known:
            return known[0]
        possible = [a for a in self._unidentified() if a.org_id in ("", identity.org_uuid)]
        for account in sorted(possible, key=lambda account: not account.org_id):
            if account.name in self.cache.identified:  # somebody has asked meanwhile
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
            if kept is not None and not kept.is_dead(self._clock.now()):
                return (await self.identify_token(kept.secret)).identity == profile.identity
        return False

    def _is_told_from(self, account: Account, profile: Profile) -> bool:
        """Say whether the account has no known organization, while another one of the e-mail has the profile's."""
        if account.org_id:
            return False
        others = (a for a in self.accounts() if a.org_id == profile.identity.org_uuid)
        return any(is_of_email(other, profile.email) for other in others)

    def new_account(self, profile: Profile) -> Account:
        """Return an account under a free name, which is not in the settings yet."""
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

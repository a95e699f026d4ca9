"""The logins that Claude Code holds now, in memory alone: by place, and whose each is. Nothing of it is ever written.

Of an account's tokens the freshest wins. One that its place has replaced or lost, or that the API has refused,
comes after those that are in a place now, whatever its date says.
"""

import asyncio
import os.path
from collections.abc import Collection, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Final

from monitor.core.errors import Cause, Failure
from monitor.core.model import Credential, Login, Secret
from monitor.credentials.account_cache import AccountCache, digest
from monitor.credentials.claude_code import LoginSource
from monitor.credentials.folders import DEFAULT
from monitor.credentials.tokens import expiry
from monitor.system.aio import DaemonThreads

NEVER_LOOKED: Final = object()

DISK_SECS: Final = 2.0
"""How long a disk may take to say where a folder really is."""


@dataclass(slots=True, eq=False)
class Place:
    """The content of one place. No login is no failure; `failure` says that it cannot be read, or not whose it is.

    The rest is where the watcher is with it: `stamp` is what was seen last, `read` what could be read last, and
    `dealt_with` what needs no more attention while the accounts are those that it names.
    """

    source: LoginSource
    login: Login | None = None
    owner: str | None = None
    failure: Failure | None = None
    stamp: Hashable = NEVER_LOOKED
    read: Hashable = NEVER_LOOKED
    dealt_with: Hashable = NEVER_LOOKED
    failures: int = 0
    not_before: datetime | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class LoginRegistry:
    """The content of each place, and whose that is. Its changes return the accounts that they concern."""

    def __init__(self, cache: AccountCache) -> None:
        self.places: dict[str, Place] = {}
        self._cache = cache
        self._superseded: set[str] = set()
        self._refused: set[str] = set()
        self._last: dict[str, Credential] = {}
        """Tokens whose place another account has taken. They are as good as before until they end."""
        self._threads = DaemonThreads(DISK_SECS)

    # What is found in a place

    def follow(self, sources: Sequence[LoginSource]) -> set[str]:
        """These are the places; others are forgotten."""
        touched: set[str] = set()
        for key in self.places.keys() - {source.key for source in sources}:
            touched |= self.assign(self.places[key].source, None, None)
            del self.places[key]
        for source in sources:
            self._place(source)
        return touched

    def assign(self, source: LoginSource, login: Login | None, name: str | None) -> set[str]:
        """The login of this place is that account's, or with None a stranger's; or there is none."""
        folder, touched = source.folder, self._set(source, login, name)
        former = set() if folder is None else self._cache.living_in(folder) - {name}
        for other in former:
            self._cache[other] = self._cache[other].moved_out(folder or "")
        if name is None:
            return touched | former
        self._last.pop(name, None)
        if folder is not None:
            self._cache[name] = self._cache[name].moved_in(folder)
        return touched | former | {name}

    def assume(self, source: LoginSource, login: Login, name: str, failure: Failure) -> set[str]:
        """The login of this place is that account's, unless an answer of the API says otherwise."""
        place, secret = self._place(source), login.credential.secret
        unproven = replace(login, credential=replace(login.credential, proven=False))
        is_known = (place.login, place.owner, place.failure) == (unproven, name, failure)
        if is_known or not self.is_good(secret):
            return set()
        return self._set(source, unproven, name, failure) | {name}

    def confirm(self, credential: Credential, name: str) -> set[str]:
        """Take for proven what was assumed of this token."""
        touched: set[str] = set()
        for place in self.places_of(name):
            if place.login and place.login.credential == credential:
                login = replace(place.login, credential=replace(credential, proven=True))
                touched |= self.assign(place.source, login, name)
        return touched

    def keep_expired(self, source: LoginSource, login: Login) -> set[str]:
        """A token that has ended, so nobody can be asked about it: believed to be of whoever lives there."""
        names = set() if source.folder is None else self._cache.living_in(source.folder)
        return self._set(source, login, min(names, default=None)) | names

    def fail(self, source: LoginSource, failure: Failure) -> None:
        """The place cannot be read now: what it held is still believed, unless it was rewritten since."""
        place = self._place(source)
        place.failure = failure
        if place.login is not None and place.read not in (NEVER_LOOKED, place.stamp):
            self._superseded.add(digest(place.login.credential.secret))

    def refuse(self, credential: Credential) -> None:
        """The API did not take this token as the account's: any other is better, and what was assumed is not so."""
        self._refused.add(digest(credential.secret))
        self._last = {n: last for n, last in self._last.items() if last.secret != credential.secret}
        for place in self.places.values() if not credential.proven else ():
            if place.login and place.login.credential == credential:
                self.assign(place.source, place.login, None)

    def rename(self, old: str, new: str | None) -> None:
        """The account has another name now; None where it is no more."""
        last = self._last.pop(old, None)
        if last is not None and new is not None:
            self._last[new] = last
        for place in self.places_of(old):
            place.owner = new

    # What is known of an account, or of a place

    def is_good(self, secret: Secret) -> bool:
        """Say whether nothing speaks against this token but perhaps its date."""
        key = digest(secret)
        return key not in self._superseded and key not in self._refused

    def places_of(self, name: str, folders: Collection[str] = ()) -> list[Place]:
        """The places where the account's logins are, and those in these folders."""
        places = self.places.values()
        return [p for p in places if p.owner == name or p.source.folder in folders]

    async def places_at(self, folder: str) -> list[Place]:
        """The places of the folder, however it is spelled; "" is the default one."""
        key = folder or os.path.expanduser(DEFAULT)  # noqa: ASYNC240, PTH111 - asks no disk; a Path may raise
        with suppress(TimeoutError):
            key = await self._threads.run(partial(os.path.realpath, key))
        places = [p for k, p in self.places.items() if k == key or p.source.folder == folder]
        return sorted(places, key=lambda place: place.source.key != key)

    def tokens_of(self, name: str) -> list[Credential]:
        """All that is known of the account's tokens: those that are in a place, and the last one that was."""
        tokens = [place.login.credential for place in self.places_of(name) if place.login]
        return [*tokens, self._last[name]] if name in self._last else tokens

    def login_of(self, name: str, now: datetime) -> Login | None:
        """The account's best login, dead or not; None where it has none."""
        best = self.best_place(name, now)
        return best.login if best else None

    def best_place(self, name: str, now: datetime) -> Place | None:
        """The place of that login."""
        places = self.places_of(name)
        ranked = [(self.rank(p.login.credential, now), p) for p in places if p.login]
        return max(ranked, key=lambda pair: pair[0], default=(None, None))[1]

    def failure_of(self, name: str, folders: Collection[str]) -> Failure | None:
        """The failure of one of these folders, which may hold the account's login, if it cannot be read."""
        places = (p for p in self.places.values() if p.source.folder in folders)
        return next((p.failure for p in places if p.failure and p.owner in (None, name)), None)

    def unidentified(self) -> Failure | None:
        """The failure of a place of whose login nobody knows the owner, if there is one."""
        failures = (place.failure for place in self.places.values() if place.owner is None)
        return next((f for f in failures if f and f.cause is Cause.UNIDENTIFIED), None)

    def is_empty(self, folder: str) -> bool:
        """True where it is known that there is no login."""
        found = [place for place in self.places.values() if place.source.folder == folder]
        return bool(found) and all(
            p.read is not NEVER_LOOKED and p.login is None and p.failure is None for p in found
        )

    def rank(self, credential: Credential, now: datetime) -> tuple[bool, bool, datetime]:
        """The greater, the sooner it is used."""
        return not credential.is_dead(now), self.is_good(credential.secret), expiry(credential)

    # How it is kept

    def _place(self, source: LoginSource) -> Place:
        """The place of this key, new where it is not followed yet."""
        return self.places.setdefault(source.key, Place(source))

    def _set(
        self,
        source: LoginSource,
        login: Login | None,
        owner: str | None = None,
        failure: Failure | None = None,
    ) -> set[str]:
        """A token that is in a place again is as good as new. Returns the former owner."""
        place = self._place(source)
        before, old = place.owner, place.login
        if old is not None:
            self._superseded.add(digest(old.credential.secret))
        if login is not None:
            self._superseded.discard(digest(login.credential.secret))
            if before and before != owner and old and old.credential.proven:
                self._last[before] = old.credential
        place.login, place.owner, place.failure = login, owner, failure
        return set() if before is None else {before}

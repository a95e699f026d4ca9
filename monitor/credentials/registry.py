"""The logins that Claude Code holds now, in memory alone: by place, and whose each is. Nothing of it is ever written.

Of an account's tokens the freshest wins. One that its place has replaced or lost, or that the API has refused,
comes after those that are in a place now, whatever its date says.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from monitor.core.errors import Cause, Failure
from monitor.core.model import Credential, Login, Secret
from monitor.credentials.account_cache import AccountCache, digest
from monitor.credentials.claude_code import LoginSource
from monitor.credentials.tokens import expiry


@dataclass(frozen=True, slots=True)
class PlaceContent:
    """What one place holds. No login is no failure; `failure` says that it cannot be read."""

    folder: str | None
    login: Login | None = None
    owner: str | None = None
    failure: Failure | None = None


class LoginRegistry:
    """What each place holds, and which of the accounts that is. Its changes return the accounts that they concern."""

    def __init__(self, cache: AccountCache) -> None:
        self._cache = cache
        self._places: dict[str, PlaceContent] = {}
        self._keys: defaultdict[tuple[str, str | None], dict[str, None]] = defaultdict(dict)
        """The places by ("owner", name) and ("folder", folder), in the order in which they were met."""
        self._superseded: set[str] = set()
        self._refused: set[str] = set()
        self._last: dict[str, Credential] = {}
        """Tokens whose place another account has taken. They are as good as before until they end."""

    # What is found in a place

    def assign(self, source: LoginSource, login: Login, name: str) -> set[str]:
        """The login of this place is that account's."""
        return self._assign(source.key, PlaceContent(source.folder, login, name), name)

    def _assign(self, key: str, place: PlaceContent, name: str) -> set[str]:
        self._last.pop(name, None)
        touched = self._set(key, place) | {name}
        if place.folder is None:
            return touched
        left = self._leave(place.folder, self._cache.living_in(place.folder) - {name})
        self._cache[name] = self._cache[name].moved_in(place.folder)
        return touched | left

    def assume(self, source: LoginSource, login: Login, name: str, failure: Failure) -> set[str]:
        """The login of this place is that account's, unless an answer of the API says otherwise."""
        unproven = replace(login, credential=replace(login.credential, proven=False))
        place = PlaceContent(source.folder, unproven, name, failure)
        if self._places.get(source.key) == place or not self.is_good(login.credential.secret):
            return set()
        return self._set(source.key, place) | {name}

    def confirm(self, credential: Credential, name: str) -> set[str]:
        """What was assumed of this token is so."""
        touched: set[str] = set()
        for key in list(self._keys["owner", name]):
            place = self._places[key]
            if place.login and place.login.credential == credential:
                login = replace(place.login, credential=replace(credential, proven=True))
                touched |= self._assign(key, PlaceContent(place.folder, login, name), name)
        return touched

    def unassign(self, source: LoginSource, login: Login | None = None) -> set[str]:
        """Nobody's login is there, or a stranger's."""
        folder = source.folder
        touched = self._set(source.key, PlaceContent(folder, login))
        return touched if folder is None else touched | self._leave(folder)

    def keep_expired(self, source: LoginSource, login: Login) -> set[str]:
        """A token that has ended, so nobody can be asked about it: believed to be of whoever lives there."""
        folder = source.folder
        names = set() if folder is None else self._cache.living_in(folder)
        return self._set(source.key, PlaceContent(folder, login, min(names, default=None))) | names

    def fail(self, source: LoginSource, failure: Failure, *, is_rewritten: bool = False) -> None:
        """The place cannot be read now: what it held is still believed, unless it holds something else by now."""
        old = self._places.get(source.key, PlaceContent(source.folder))
        if is_rewritten:
            self._supersede(old.login)
        self._put(source.key, replace(old, failure=failure))

    def keep_only(self, keys: Iterable[str]) -> set[str]:
        """Forget the places that are no more."""
        touched: set[str] = set()
        for key in self._places.keys() - set(keys):
            place = self._places[key]
            self._put(key, None)
            self._supersede(place.login)
            if place.owner is not None:
                touched.add(place.owner)
            if place.folder is not None:
                touched |= self._leave(place.folder)
        return touched

    def refuse(self, credential: Credential) -> None:
        """The API did not take this token as the account's: any other is better, and what was assumed is not so."""
        self._refused.add(digest(credential.secret))
        self._last = {n: last for n, last in self._last.items() if last.secret != credential.secret}
        if credential.proven:
            return
        for key, place in list(self._places.items()):
            if place.login and place.login.credential == credential:
                self._put(key, PlaceContent(place.folder, place.login))
                if place.folder is not None:
                    self._leave(place.folder)

    def rename(self, old: str, new: str | None) -> None:
        """The account has another name now; None where it is no more."""
        last = self._last.pop(old, None)
        if last is not None and new is not None:
            self._last[new] = last
        for key in list(self._keys["owner", old]):
            self._put(key, replace(self._places[key], owner=new))

    # What is known of an account, or of a place

    def is_good(self, secret: Secret) -> bool:
        """Whether nothing speaks against this token but perhaps its date."""
        key = digest(secret)
        return key not in self._superseded and key not in self._refused

    def owner(self, key: str) -> str | None:
        """The account whose login is in this place."""
        place = self._places.get(key)
        return place.owner if place else None

    def places_of(self, name: str) -> list[str]:
        """The keys of the places where the account's logins are."""
        return list(self._keys.get(("owner", name), {}))

    def logins_of(self, name: str) -> list[Login]:
        found = (self._places[key].login for key in self.places_of(name))
        return [login for login in found if login is not None]

    def tokens_of(self, name: str) -> list[Credential]:
        """What is known of the account's tokens: those that are in a place, and the last one that was."""
        tokens = [login.credential for login in self.logins_of(name)]
        return [*tokens, self._last[name]] if name in self._last else tokens

    def login_of(self, name: str, now: datetime) -> Login | None:
        """The account's best login, dead or not; None where it has none."""
        best = self._best_place(name, now)
        return best.login if best else None

    def folder_of(self, name: str, now: datetime) -> str | None:
        """The folder of the account's best login; None where that is not known."""
        best = self._best_place(name, now)
        return best.folder if best else None

    def _best_place(self, name: str, now: datetime) -> PlaceContent | None:
        places = (self._places[key] for key in self.places_of(name))
        ranked = [(self.rank(p.login.credential, now), p) for p in places if p.login is not None]
        return max(ranked, key=lambda pair: pair[0], default=(None, None))[1]

    def failure_of(self, name: str, folders: Iterable[str]) -> Failure | None:
        """Why one of these folders, which may hold the account's login, cannot be read, if so."""
        places = (place for folder in folders for place in self._in(folder))
        found = (p.failure for p in places if p.failure and p.owner in (None, name))
        return next(found, None)

    def unidentified(self) -> Failure | None:
        """Why nobody knows whose the login in one of the places is, if so."""
        failures = (p.failure for p in self._places.values() if p.owner is None and p.failure)
        return next((f for f in failures if f.cause is Cause.UNIDENTIFIED), None)

    def is_empty(self, folder: str) -> bool:
        """True where it is known that there is no login."""
        found = self._in(folder)
        return bool(found) and all(p.login is None and p.failure is None for p in found)

    def is_taken(self, folder: str) -> bool:
        """Whether there is a login, whoever's it is."""
        return any(place.login is not None for place in self._in(folder))

    def rank(self, credential: Credential, now: datetime) -> tuple[bool, bool, datetime]:
        """The greater, the sooner it is used."""
        good = self.is_good(credential.secret)
        return not credential.is_dead(now), good, expiry(credential)

    def _in(self, folder: str) -> list[PlaceContent]:
        return [self._places[key] for key in self._keys.get(("folder", folder), {})]

    # How it is kept

    def _leave(self, folder: str, names: set[str] | None = None) -> set[str]:
        """These accounts (else all) do not live there any more."""
        leaving = self._cache.living_in(folder) if names is None else names
        for name in leaving:
            self._cache[name] = self._cache[name].moved_out(folder)
        return leaving

    def _set(self, key: str, place: PlaceContent) -> set[str]:
        """A token that is in a place again is as good as new. Returns the former owner."""
        old = self._places.get(key, PlaceContent(None))
        self._supersede(old.login)
        self._put(key, place)
        if place.login is not None:
            self._superseded.discard(digest(place.login.credential.secret))
            moved_on = old.owner not in (None, place.owner)
            if moved_on and old.owner and old.login and old.login.credential.proven:
                self._last[old.owner] = old.login.credential
        return {old.owner} if old.owner is not None else set()

    def _put(self, key: str, place: PlaceContent | None) -> None:
        old = self._places.get(key)
        if old is not None:
            self._keys["owner", old.owner].pop(key, None)
            self._keys["folder", old.folder].pop(key, None)
        if place is None:
            del self._places[key]
        else:
            self._places[key] = place
            self._keys["owner", place.owner][key] = None
            self._keys["folder", place.folder][key] = None

    def _supersede(self, login: Login | None) -> None:
        if login is not None:
            self._superseded.add(digest(login.credential.secret))

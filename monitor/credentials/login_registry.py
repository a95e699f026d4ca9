"""The logins that Claude Code holds now, in memory alone: by place, and whose each is. Nothing of it is ever written.

Of an account's tokens the freshest wins. One that its place has replaced or lost, or that the API has refused,
comes after those that are in a place now, whatever its date says.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from monitor.core.errors import Cause, Failure
from monitor.core.model import Credential, Login, Secret
from monitor.credentials.account_cache import AccountCache, digest
from monitor.credentials.ports import LoginSource, folder_of

_NEVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class PlaceContent:
    """What one place holds. Without a login nobody is logged in there; `failure` says that it cannot be read."""

    folder: str | None
    login: Login | None = None
    owner: str | None = None
    failure: Failure | None = None


class LoginRegistry:
    """What each place holds, and which of the accounts that is."""

    def __init__(self, learnt: AccountCache) -> None:
        self._learnt = learnt
        self._offers: dict[str, PlaceContent] = {}
        self._superseded: set[str] = set()
        self._refused: set[str] = set()
        self._last: dict[str, Credential] = {}
        """Tokens whose place another account has taken. They are as good as before until they end."""

    def assign(self, source: LoginSource, login: Login, name: str) -> set[str]:
        """The login of this place is that account's. Returns the accounts for which something has changed."""
        return self._assign(source.key, PlaceContent(folder_of(source), login, name), name)

    def _assign(self, key: str, offer: PlaceContent, name: str) -> set[str]:
        self._last.pop(name, None)
        touched = self._set(key, offer) | {name}
        if offer.folder is None:
            return touched
        left = self._leave(offer.folder, self._learnt.living_in(offer.folder) - {name})
        self._learnt[name] = self._learnt[name].moved_in(offer.folder)
        return touched | left

    def assume(self, source: LoginSource, login: Login, name: str, failure: Failure) -> set[str]:
        """The login of this place is that account's, unless an answer of the API says otherwise.

        Returns the accounts for which something has changed.
        """
        old = self._offers.get(source.key)
        unproven = replace(login, credential=replace(login.credential, proven=False))
        offer = PlaceContent(folder_of(source), unproven, name, failure)
        if old == offer or not self.is_good(login.credential.secret):
            return set()
        return self._set(source.key, offer) | {name}

    def confirm(self, credential: Credential, name: str) -> set[str]:
        """What was presumed of this token is so. Returns the accounts for which something has changed."""
        touched: set[str] = set()
        for key, offer in list(self._offers.items()):
            if offer.owner == name and offer.login and offer.login.credential == credential:
                login = replace(offer.login, credential=replace(credential, proven=True))
                touched |= self._assign(key, PlaceContent(offer.folder, login, name), name)
        return touched

    def unassign(self, source: LoginSource, login: Login | None = None) -> set[str]:
        """Nobody's login is there, or a stranger's. Returns the accounts for which something has changed."""
        folder = folder_of(source)
        touched = self._set(source.key, PlaceContent(folder, login))
        return touched if folder is None else touched | self._leave(folder)

    def keep_expired(self, source: LoginSource, login: Login) -> set[str]:
        """A token that has ended, so nobody can be asked about it: believed to be of whoever lives there."""
        folder = folder_of(source)
        names = set() if folder is None else self._learnt.living_in(folder)
        return self._set(source.key, PlaceContent(folder, login, min(names, default=None))) | names

    def fails(self, source: LoginSource, failure: Failure, *, is_rewritten: bool = False) -> None:
        """The place cannot be read now: what it held is still believed, unless it holds something else by now."""
        old = self._offers.get(source.key, PlaceContent(folder_of(source)))
        if is_rewritten:
            self._supersede(old.login)
        self._offers[source.key] = PlaceContent(old.folder, old.login, old.owner, failure)

    def keep_only(self, keys: Iterable[str]) -> set[str]:
        """Forget the places that are no more. Returns the accounts for which something has changed."""
        touched: set[str] = set()
        for key in self._offers.keys() - set(keys):
            offer = self._offers.pop(key)
            self._supersede(offer.login)
            if offer.owner is not None:
                touched.add(offer.owner)
            if offer.folder is not None:
                touched |= self._leave(offer.folder)
        return touched

    def forget(self, name: str) -> None:
        """The account is no more."""
        self._rename(name, None)

    def rename(self, old: str, new: str) -> None:
        self._rename(old, new)

    def refuse(self, credential: Credential) -> None:
        """The API did not take this token as the account's: any other is better, and what was presumed is not so."""
        self._refused.add(digest(credential.secret))
        self._last = {n: last for n, last in self._last.items() if last.secret != credential.secret}
        for key, offer in list(self._offers.items()):
            if not credential.proven and offer.login and offer.login.credential == credential:
                self._offers[key] = PlaceContent(offer.folder, offer.login)
                if offer.folder is not None:
                    self._leave(offer.folder)

    def is_good(self, secret: Secret) -> bool:
        """Whether nothing speaks against this token but perhaps its date."""
        return digest(secret) not in self._superseded | self._refused

    def owner(self, key: str) -> str | None:
        """The account whose login is in this place."""
        offer = self._offers.get(key)
        return offer.owner if offer else None

    def logins_of(self, name: str) -> list[Login]:
        return [o.login for o in self._offers.values() if o.owner == name and o.login is not None]

    def tokens_of(self, name: str) -> list[Credential]:
        """What is known of the account's tokens: those that are in a place, and the last one that was."""
        tokens = [login.credential for login in self.logins_of(name)]
        return [*tokens, self._last[name]] if name in self._last else tokens

    def login_of(self, name: str, now: datetime) -> Login | None:
        """The account's best login, dead or not; None where it has none."""
        logins = self.logins_of(name)
        return max(logins, key=lambda login: self.rank(login.credential, now), default=None)

    def folder_of(self, name: str, now: datetime) -> str | None:
        """Where the account's best login is; None where that is not known."""
        offers = [(o.login, o.folder) for o in self._offers.values() if o.owner == name]
        found = [(self.rank(login.credential, now), f) for login, f in offers if login is not None]
        return max(found, key=lambda pair: pair[0], default=(None, None))[1]

    def failure_of(self, name: str, folders: Iterable[str]) -> Failure | None:
        """Why one of these folders, which may hold the account's login, cannot be read, if so."""
        wanted = set(folders)
        offers = (
            o for o in self._offers.values() if o.folder in wanted and o.owner in (None, name)
        )
        return next((offer.failure for offer in offers if offer.failure), None)

    def unidentified(self) -> Failure | None:
        """Why nobody knows whose the login in one of the places is, if so."""
        failures = (o.failure for o in self._offers.values() if o.owner is None and o.failure)
        return next((f for f in failures if f.cause is Cause.UNIDENTIFIED), None)

    def is_empty(self, folder: str) -> bool:
        """Whether it is known that nobody is logged in there."""
        found = [offer for offer in self._offers.values() if offer.folder == folder]
        return bool(found) and all(o.login is None and o.failure is None for o in found)

    def is_taken(self, folder: str) -> bool:
        """Whether there is a login, whoever's it is."""
        return any(o.folder == folder and o.login is not None for o in self._offers.values())

    def rank(self, credential: Credential, now: datetime) -> tuple[bool, bool, datetime]:
        """The greater, the sooner it is used."""
        good = self.is_good(credential.secret)
        return not credential.is_dead(now), good, credential.expires_at or _NEVER

    def _leave(self, folder: str, names: set[str] | None = None) -> set[str]:
        """These accounts (else all) do not live there any more."""
        leaving = self._learnt.living_in(folder) if names is None else names
        for name in leaving:
            self._learnt[name] = self._learnt[name].moved_out(folder)
        return leaving

    def _set(self, key: str, offer: PlaceContent) -> set[str]:
        """A token that is in a place again is as good as new. Returns the former owner."""
        old = self._offers.get(key, PlaceContent(None))
        self._supersede(old.login)
        self._offers[key] = offer
        if offer.login is not None:
            self._superseded.discard(digest(offer.login.credential.secret))
            if old.owner not in (None, offer.owner):
                self._keep_last(old)
        return {old.owner} if old.owner is not None else set()

    def _keep_last(self, left: PlaceContent) -> None:
        if left.owner is not None and left.login is not None and left.login.credential.proven:
            self._last[left.owner] = left.login.credential

    def _supersede(self, login: Login | None) -> None:
        if login is not None:
            self._superseded.add(digest(login.credential.secret))

    def _rename(self, old: str, new: str | None) -> None:
        last = self._last.pop(old, None)
        if last is not None and new is not None:
            self._last[new] = last
        for key, offer in self._offers.items():
            if offer.owner == old:
                self._offers[key] = PlaceContent(offer.folder, offer.login, new, offer.failure)

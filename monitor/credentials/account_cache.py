"""Facts of each account that cannot be asked again for free: whose it is, its plan, where its login is.

Kept beside the settings, which hold only what the user said. It holds no secret: a token is recognised by the first
48 bits of its hash. Losing it costs questions to the profile API, nothing else.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, TypeVar

from monitor.core.codec import DecodeError, decode, encode
from monitor.core.model import Account, AuthMethod, Credential, Identity, Profile, Secret
from monitor.credentials.folders import aliases

MOST_LEFT: Final = 8
"""So many folders that an account has left are followed on."""

MOST_PROFILES: Final = 32
"""Of so many tokens it is remembered whose they are: the API is asked about each of them once."""

_PROFILES: Final = ""
"""The name of the entry that has those profiles; no account has this name."""

_Profiles = dict[str, Profile]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CachedAccount:
    """Facts of one account. `folders` is where its login is now, `left` where it was once.

    A folder is spelled as Claude Code knows it; "" is the default one. `swapped` says that claude-swap keeps a copy of
    the login, which outlives the folder.
    """

    identity: Identity | None = None
    plan: str | None = None
    token_digest: str | None = None
    token_expires_at: datetime | None = None
    login_expires_at: datetime | None = None
    folders: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    swapped: bool = False

    def with_profile(self, profile: Profile) -> "CachedAccount":
        return replace(self, identity=profile.identity, plan=profile.plan or self.plan)

    def move_in(self, folder: str) -> "CachedAccount":
        """Note that the account's login is in this folder too."""
        folders = self.folders if folder in self.folders else (*self.folders, folder)
        return replace(self, folders=folders, left=_without(self.left, folder))

    def move_out(self, folder: str) -> "CachedAccount":
        """Note that the account's login is not in this folder any more; it may come back."""
        if folder not in self.folders:
            return self
        left = (*_without(self.left, folder), folder)[-MOST_LEFT:]
        folders = _without(self.folders, folder)
        ends = self.login_expires_at if folders or self.swapped else None
        return replace(self, folders=folders, left=left, login_expires_at=ends)

    def learn_swap(self, ends: datetime | None) -> "CachedAccount":
        """Note that claude-swap has a copy of the login, which ends then; the date of a login in a folder stays."""
        known = self.login_expires_at if self.folders else None
        ends = known or ends or self.login_expires_at
        return replace(self, swapped=True, login_expires_at=ends)

    def with_token(self, credential: Credential) -> "CachedAccount":
        return replace(
            self, token_digest=digest(credential.secret), token_expires_at=credential.expires_at
        )

    def expiry_of(self, credential: Credential) -> datetime | None:
        """Return when the credential ends; a date that was learnt of another token says nothing about this one."""
        if credential.expires_at is not None:
            return credential.expires_at
        same = self.token_digest == digest(credential.secret)
        return self.token_expires_at if same else None


_NOTHING: Final = CachedAccount()
_IDENTITY, _TOKEN, _FOLDER = "identity", "token", "folder"


def digest(secret: Secret) -> str:
    return hashlib.sha256(secret.reveal().encode()).hexdigest()[:12]


class AccountCache:
    """The facts by account name, made of the JSON entries that an earlier process has saved.

    Every change calls `save` at once with the name and its new entry, which is None for one to delete; `save` never
    waits, and never raises.
    """

    def __init__(
        self,
        entries: Mapping[str, Any],
        save: Callable[[str, Any], None] = lambda _name, _entry: None,
    ) -> None:
        self._save = save
        self._unlisted: set[str] = set()
        """Names of accounts that the settings do not have, or not any more."""
        self._profiles = dict(_decode(_Profiles, entries.get(_PROFILES, {})) or {})
        self._facts: dict[str, CachedAccount] = {}
        self.identified: set[str] = set()
        """The names of the accounts whose identity is known."""
        self._names: defaultdict[Hashable, set[str]] = defaultdict(set)
        """The accounts of which an identity, a token or a folder is known."""
        for name, entry in entries.items():
            self._put(name, None if name == _PROFILES else _decode(CachedAccount, entry))

    def __getitem__(self, name: str) -> CachedAccount:
        return self._facts.get(name, _NOTHING)

    def __setitem__(self, name: str, facts: CachedAccount) -> None:
        if self._facts.get(name) != facts:
            self._put(name, facts)
            self._save(name, encode(CachedAccount, facts))

    def forget(self, name: str) -> None:
        """Forget all of the account, and whose its tokens were."""
        facts = self._facts.get(name)
        self._put(name, None)
        if facts is not None:
            self._save(name, None)
            known = self._profiles.items()
            self._keep_profiles({key: p for key, p in known if p.identity != facts.identity})

    def rename(self, old: str, new: str) -> None:
        facts = self._facts.get(old)
        self._put(old, None)
        if facts is not None:
            self._save(old, None)
            self[new] = facts

    def profile_of(self, secret: Secret) -> Profile | None:
        """Return whose token it is, an account's or a stranger's; None where that was not found out yet."""
        return self._profiles.get(digest(secret))

    def accounts_with(self, secret: Secret) -> Set[str]:
        """Return the names of the accounts whose token this is, as far as that is known."""
        profile, names = self.profile_of(secret), self._names_by(_TOKEN, digest(secret))
        return names if profile is None else names | self.accounts_of(profile.identity)

    def accounts_of(self, identity: Identity) -> Set[str]:
        """Return the names of the accounts that are known to have this identity."""
        return self._names_by(_IDENTITY, identity)

    def remember(self, secret: Secret, profile: Profile) -> None:
        """Remember whose token it is."""
        newest = {**self._profiles, digest(secret): profile}
        self._keep_profiles(dict(list(newest.items())[-MOST_PROFILES:]))

    def recognise(self, accounts: Sequence[Account]) -> None:
        """Learn which accounts the settings name, and give those that were renamed there the facts of their old name.

        An account counts as renamed where nothing is known of it, and its organization is that of exactly one account
        that the settings do not name any more.
        """
        self._unlisted = self._facts.keys() - {account.name for account in accounts}
        gone = [self._facts[name] for name in self._unlisted]
        for account in accounts if gone else ():
            former = [facts for facts in gone if _may_have_been(facts, account)]
            if account.name not in self._facts and len(former) == 1:
                self[account.name] = former[0]

    def folders(self) -> set[str]:
        """Return every folder in which a login was ever found; the default one ("") is left out."""
        known = (folder for facts in self._facts.values() for folder in facts.folders + facts.left)
        return {folder for folder in known if folder}

    def accounts_in(self, folder: str) -> set[str]:
        """Return the names of the accounts whose login is believed to be in this folder."""
        return self._names_by(_FOLDER, folder) - self._unlisted

    def _names_by(self, kind: str, value: Hashable) -> set[str]:
        return set(self._names.get((kind, value), ()))

    def _put(self, name: str, facts: CachedAccount | None) -> None:
        """Replace what is known of the account; None is nothing."""
        self.identified.discard(name)
        for key in _keys(self._facts.pop(name, _NOTHING)):
            self._names[key].discard(name)
            if not self._names[key]:
                del self._names[key]
        if facts is not None:
            self._facts[name] = facts
            if facts.identity is not None:
                self.identified.add(name)
            for key in _keys(facts):
                self._names[key].add(name)

    def _keep_profiles(self, profiles: _Profiles) -> None:
        if profiles != self._profiles:
            self._profiles = profiles
            self._save(_PROFILES, encode(_Profiles, profiles) or None)


def _keys(facts: CachedAccount) -> list[Hashable]:
    """Return the keys by which the account is found."""
    folders = [(_FOLDER, folder) for folder in facts.folders]
    return [(_IDENTITY, facts.identity), (_TOKEN, facts.token_digest), *folders]


def _may_have_been(facts: CachedAccount, account: Account) -> bool:
    if facts.identity is None or account.auth_method is not AuthMethod.OAUTH or not account.org_id:
        return False
    homes = {*facts.folders, *facts.left}
    is_at_home = account.config_dir is None or not homes.isdisjoint(aliases(account.config_dir))
    return facts.identity.org_uuid == account.org_id and is_at_home


def _without(folders: Iterable[str], folder: str) -> tuple[str, ...]:
    return tuple(other for other in folders if other != folder)


def _decode(kind: type[T], plain: Any) -> T | None:
    """Return None for what cannot be decoded: it is learnt again."""
    try:
        return decode(kind, plain)
    except DecodeError:
        return None

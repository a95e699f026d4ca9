"""What was learnt of each account and cannot be asked again for free: whose it is, its plan, where its login lives.

Kept in the state folder, since the settings hold only what the user said. It holds no secret: a token is
recognised by the first 48 bits of its hash. Losing the file costs a question to the profile API, nothing else.
"""

import hashlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from monitor.core.errors import TrackerError
from monitor.core.model import Credential, Identity, Profile, Secret

MOST_LEFT: Final = 8
"""So many folders that an account has left are followed on."""

_log = logging.getLogger(__name__)


class Document(Protocol):
    """One small JSON document that outlives the process."""

    def load(self) -> Mapping[str, Any]:
        """Empty where there is none, or none that can be read."""

    def save(self, document: Mapping[str, Any]) -> None:
        """Raises TrackerError where it cannot be written."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was learnt of one account. `folders` is where its login lives now, `left` where it once did.

    A folder is spelled as Claude Code knows it; "" is the default one.
    """

    identity: Identity | None = None
    plan: str | None = None
    token_digest: str | None = None
    token_expires_at: datetime | None = None
    login_expires_at: datetime | None = None
    folders: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    def of_profile(self, profile: Profile) -> "Facts":
        return replace(self, identity=profile.identity, plan=profile.plan or self.plan)

    def moved_in(self, folder: str) -> "Facts":
        """The account's login lives in this folder too."""
        folders = self.folders if folder in self.folders else (*self.folders, folder)
        return replace(self, folders=folders, left=_without(self.left, folder))

    def moved_out(self, folder: str) -> "Facts":
        """The account's login does not live there any more; it may come back."""
        if folder not in self.folders:
            return self
        left = (*_without(self.left, folder), folder)[-MOST_LEFT:]
        folders = _without(self.folders, folder)
        ends = self.login_expires_at if folders else None
        return replace(self, folders=folders, left=left, login_expires_at=ends)

    def of_expiry(self, credential: Credential) -> "Facts":
        return replace(
            self, token_digest=digest(credential.secret), token_expires_at=credential.expires_at
        )

    def expiry_of(self, credential: Credential) -> datetime | None:
        """When the credential ends; a date that was learnt of another token says nothing about this one."""
        if credential.expires_at is not None:
            return credential.expires_at
        same = self.token_digest == digest(credential.secret)
        return self.token_expires_at if same else None


def digest(secret: Secret) -> str:
    return hashlib.sha256(secret.reveal().encode()).hexdigest()[:12]


class Learnt:
    """The facts by account name; every change is saved at once."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._facts = {name: _facts(entry) for name, entry in _entries(document.load())}

    def __getitem__(self, name: str) -> Facts:
        return self._facts.get(name, Facts())

    def __setitem__(self, name: str, facts: Facts) -> None:
        if self._facts.get(name) != facts:
            self._facts[name] = facts
            self._save()

    def forget(self, name: str) -> None:
        if self._facts.pop(name, None) is not None:
            self._save()

    def rename(self, old: str, new: str) -> None:
        if old in self._facts:
            self._facts[new] = self._facts.pop(old)
            self._save()

    def folders(self) -> set[str]:
        """Every folder in which a login was ever found, the default one ("") left out."""
        known = (folder for facts in self._facts.values() for folder in facts.folders + facts.left)
        return {folder for folder in known if folder}

    def living_in(self, folder: str) -> set[str]:
        """The accounts whose login is believed to live there."""
        return {name for name, facts in self._facts.items() if folder in facts.folders}

    def _save(self) -> None:
        try:
            self._document.save({name: _entry(facts) for name, facts in self._facts.items()})
        except TrackerError as error:  # a full disk costs a question later, and must not end a poll
            _log.warning("%s", error)


def _without(folders: Iterable[str], folder: str) -> tuple[str, ...]:
    return tuple(other for other in folders if other != folder)


def _entries(document: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(name, entry) for name, entry in document.items() if isinstance(entry, dict)]


def _facts(entry: Mapping[str, Any]) -> Facts:
    account, organization = entry.get("account_uuid"), entry.get("org_uuid")
    known = isinstance(account, str) and isinstance(organization, str)
    return Facts(
        identity=Identity(str(account), str(organization)) if known else None,
        plan=_text(entry.get("plan")),
        token_digest=_text(entry.get("token_digest")),
        token_expires_at=_instant(entry.get("token_expires_at")),
        login_expires_at=_instant(entry.get("login_expires_at")),
        folders=_texts(entry.get("folders", [entry.get("folder")])),
        left=_texts(entry.get("left")),
    )


def _entry(facts: Facts) -> Mapping[str, Any]:
    values = {
        "account_uuid": facts.identity and facts.identity.account_uuid,
        "org_uuid": facts.identity and facts.identity.org_uuid,
        "plan": facts.plan,
        "token_digest": facts.token_digest,
        "token_expires_at": facts.token_expires_at and facts.token_expires_at.isoformat(),
        "login_expires_at": facts.login_expires_at and facts.login_expires_at.isoformat(),
        "folders": list(facts.folders) or None,
        "left": list(facts.left) or None,
    }
    return {key: value for key, value in values.items() if value is not None}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: object) -> tuple[str, ...]:
    """Of an older version the one `folder`, as a list; a missing key is none."""
    items = value if isinstance(value, list) else []
    return tuple(dict.fromkeys(item for item in items if isinstance(item, str)))


def _instant(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value)) if value is not None else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)

"""What account operations need of the outside, as Protocols: where tokens live, the settings, Claude Code, the API."""

from collections.abc import Hashable
from datetime import datetime
from typing import Protocol

from monitor.core.model import Account, Credential, Identity, Login, Profile, Secret


class SecretStore(Protocol):
    """Keeps one credential for each account name; all raise CredentialError where it is locked or missing."""

    async def read(self, name: str) -> Credential | None: ...
    async def write(self, name: str, secret: Secret) -> None: ...
    async def delete(self, name: str) -> None: ...


class GivenCredentials(Protocol):
    """What a service manager hands to this process; it is never written."""

    async def read(self, name: str, label: str | None = None) -> Credential | None:
        """What is there under the account's name, or under its label; None where nothing is. Raises CredentialError."""


class TokenCommand(Protocol):
    """The user's own program that prints a token, run when there is a reason to."""

    async def read(self, rejected: Credential | None = None) -> Credential:
        """Raises CredentialError, also where all that it prints is the rejected token."""


class CachedUsage(Protocol):
    """An answer of the usage API that Claude Code got at that instant; it may be days old, and another account's."""

    @property
    def at(self) -> datetime: ...
    @property
    def account_uuid(self) -> str: ...
    @property
    def body(self) -> bytes: ...


class ClaudeFacts(Protocol):
    """What Claude Code notes beside a login. Whose the login is, the token alone can prove."""

    @property
    def identity(self) -> Identity | None: ...
    @property
    def email(self) -> str: ...
    @property
    def organization_name(self) -> str: ...
    @property
    def cached(self) -> CachedUsage | None: ...


class FactsSource(Protocol):
    """Claude Code's `.claude.json` of one folder."""

    def stamp(self) -> Hashable:
        """A cheap value that differs after each change of the file."""

    async def read(self) -> ClaudeFacts:
        """Raises CredentialError where it cannot be read."""


class LoginSource(Protocol):
    """One place where Claude Code keeps a login. `folder` is its configuration folder, None for `~/.claude`.

    `key` names the place, and no other one. `facts` is None where nobody knows which folder the place is of.
    """

    @property
    def key(self) -> str: ...
    @property
    def folder(self) -> str | None: ...
    @property
    def facts(self) -> FactsSource | None: ...

    async def stamp(self) -> Hashable:
        """A cheap value that differs after each change of the login."""

    async def read(self) -> Login:
        """Raises CredentialError."""


def folder_of(source: LoginSource) -> str | None:
    """The folder as it is remembered: "" is the default one, None one that nobody knows."""
    return source.folder or (None if source.facts is None else "")


class KnownLogin(Protocol):
    """An account that another program knows, without its token; what it does not know is empty."""

    @property
    def email(self) -> str: ...
    @property
    def org_uuid(self) -> str: ...
    @property
    def org_name(self) -> str: ...
    @property
    def account_uuid(self) -> str: ...
    @property
    def login_expires_at(self) -> datetime | None: ...


class ProfileSource(Protocol):
    async def profile(self, token: Secret) -> Profile:
        """Whose token it is. Raises ApiError."""


class Listing(Protocol):
    """The accounts that the settings name; `active_account` is an index into them."""

    @property
    def accounts(self) -> tuple[Account, ...]: ...
    @property
    def active_account(self) -> int: ...


class AccountsFile(Protocol):
    """The accounts of the settings. All raise TrackerError, and then leave the file as it was."""

    def read(self) -> Listing: ...
    def check(self, account: Account, instead_of: str | None = None) -> None:
        """Raise what adding the account, or putting it in the place of that one, would; change nothing."""

    def add_account(self, account: Account) -> None: ...
    def replace_account(self, name: str, account: Account) -> None: ...
    def remove_account(self, name: str) -> None: ...
    def set_active(self, name: str) -> None: ...

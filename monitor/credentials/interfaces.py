"""What account operations need of the outside and there is more than one of: tokens, settings, logins, the API."""

from collections.abc import Hashable
from typing import Protocol

from monitor.core.alerts.rules import Override
from monitor.core.model import Account, Credential, Login, Profile, Secret
from monitor.credentials.claude_files import ClaudeFacts


class SecretStore(Protocol):
    """Keeps one credential for each account name; all raise CredentialError where it is locked or missing."""

    async def read(self, name: str) -> Credential | None: ...
    async def write(self, name: str, secret: Secret) -> None: ...
    async def delete(self, name: str) -> None: ...


class GivenCredentials(Protocol):
    """What a service manager hands to this process; it is never written."""

    async def read(self, name: str, label: str | None = None) -> Credential | None:
        """What is there under the account's name, or under its label; None where nothing is. Raises CredentialError."""


class TokenSource(Protocol):
    """The user's own program that prints a token, run when there is a reason to."""

    async def read(self, rejected: Credential | None = None) -> Credential:
        """Raises CredentialError, also where all that it prints is the rejected token."""


class FactsSource(Protocol):
    """Claude Code's `.claude.json` of one folder."""

    def peek(self) -> Hashable:
        """A value that differs after each change of the file. Blocks for as long as its disk does."""

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

    def peek(self) -> Hashable:
        """The stamp, where a look at a file gives it; else None. Blocks for as long as the file's disk does."""

    async def stamp(self) -> Hashable:
        """A cheap value that differs after each change of the login."""

    async def read(self) -> Login:
        """Raises CredentialError."""


def folder_of(source: LoginSource) -> str | None:
    """The folder as it is remembered: "" is the default one, None one that nobody knows."""
    return source.folder or (None if source.facts is None else "")


def place_name(source: LoginSource) -> str:
    """What people call a place: its folder, or the Keychain item whose folder nobody knows."""
    folder = folder_of(source)
    return source.key if folder is None else folder or "~/.claude"


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
    """The accounts of the settings. All may wait for a lock; all raise TrackerError, and then change nothing."""

    def read(self) -> Listing: ...
    def check(self, account: Account, instead_of: str | None = None) -> None:
        """Raise what adding the account, or putting it in the place of that one, would; change nothing."""

    def add_account(self, account: Account) -> None: ...
    def replace_account(
        self, name: str, account: Account, override: Override | None = None
    ) -> None:
        """Put the account in the place of that one; `override`, unless it is None, in that of what was said before."""

    def remove_account(self, name: str) -> None: ...
    def set_active(self, name: str) -> None: ...

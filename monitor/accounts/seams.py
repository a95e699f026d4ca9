"""What account operations need of the outside, as Protocols: a vault, the settings, Claude Code's logins, the API."""

from collections.abc import Hashable
from typing import Protocol

from monitor.core.model import Account, Credential, Login, Profile, Secret


class Vault(Protocol):
    """Keeps one credential for each account name; all raise CredentialError where it is locked or missing."""

    async def read(self, name: str) -> Credential | None: ...
    async def write(self, name: str, secret: Secret) -> None: ...
    async def delete(self, name: str) -> None: ...


class LoginSource(Protocol):
    """One place where Claude Code keeps a login. `folder` is its configuration folder, None for `~/.claude`."""

    @property
    def folder(self) -> str | None: ...

    async def stamp(self) -> Hashable:
        """A cheap value that differs after each change of the login."""

    async def read(self) -> Login:
        """Raises CredentialError."""


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
    def add_account(self, account: Account) -> None: ...
    def replace_account(self, name: str, account: Account) -> None: ...
    def remove_account(self, name: str) -> None: ...
    def set_active(self, name: str) -> None: ...

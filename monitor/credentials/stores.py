"""The storages of accounts' own tokens: the keyring, a systemd credential, or what a command prints.

The keyring alone is ever written; nothing is copied from one of the others into another. A linked account has its
token in Claude Code's own place, and so nothing here.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from monitor.core.errors import (
    KEYRINGLESS,
    Cause,
    CredentialError,
    Failure,
    Reason,
    Source,
    TrackerError,
)
from monitor.core.model import Account, AuthMethod, Credential, Secret, Storage
from monitor.credentials.account_cache import AccountCache
from monitor.credentials.given import CredentialsDirectory, TokenCommand

GIVEN: Final = frozenset({Storage.SYSTEMD, Storage.COMMAND})
"""The user hands the token over, and may hand over another account's."""

NOT_OURS: Final = GIVEN | {Storage.LINKED}
"""What lives there is never written or deleted by us."""


class SecretStore(Protocol):
    """Keeps one credential for each account name; all raise CredentialError where it is locked or missing."""

    async def read(self, name: str) -> Credential | None: ...
    async def write(self, name: str, secret: Secret) -> None: ...
    async def delete(self, name: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Stored:
    """The content of one account's storage. `storage` is None where the account has its token nowhere yet.

    A linked account's credential is None: it is Claude Code's, and never stored.
    """

    storage: Storage | None
    credential: Credential | None = None
    has_keyring: bool = True


class SecretStores:
    """Reads an account's own token where it is kept, and writes it to the keyring where it belongs there.

    `default` is what the settings say of accounts that say nothing. Reading and writing raises CredentialError.
    """

    def __init__(
        self,
        keyring: SecretStore,
        cache: AccountCache,
        given: CredentialsDirectory,
        command: Callable[[tuple[str, ...]], TokenCommand],
        default: Storage | None = None,
    ) -> None:
        self._default = default
        self._keyring = keyring
        self._cache = cache
        self._given = given
        self._command = command
        self._commands: dict[tuple[str, ...], TokenCommand] = {}
        self._kept: dict[str, Credential] = {}

    def reload(self, default: Storage | None) -> None:
        """Go by other settings from now on."""
        self._default = default

    def wanted(self, account: Account) -> Storage | None:
        """The storage that the settings ask for; None is whichever there is."""
        return wanted(account, self._default)

    async def read(self, account: Account, rejected: Credential | None = None) -> Stored:
        """Read what is stored for the account, anew where the API has rejected what was read before."""
        wanted = self.wanted(account)
        if wanted is Storage.LINKED:
            return Stored(wanted)
        if wanted is Storage.COMMAND:
            return Stored(wanted, self._dated(account, await self._printed(account, rejected)))
        if wanted in (None, Storage.SYSTEMD):
            given = await self._given.read(account.name, account.label)
            if given is not None:
                return Stored(Storage.SYSTEMD, self._dated(account, given))
            if wanted is not None:
                raise CredentialError.of(Cause.ABSENT, Source.SYSTEMD, account.name)
        try:
            kept = await self._read_keyring(account, again=rejected is not None)
        except CredentialError as error:
            if wanted is not None:
                raise _with_options(error, account) from None
            if error.cause not in KEYRINGLESS:
                raise
            return Stored(None, has_keyring=False)
        return Stored(wanted if kept is None else Storage.KEYRING, kept)

    async def write(self, account: Account, credential: Credential) -> Storage:
        """Keep the account's new credential, if it is ours to keep; says where it lives."""
        wanted = self.wanted(account)
        if wanted is not None and wanted in NOT_OURS:
            return wanted
        if wanted is None and await self._given.read(account.name, account.label) is not None:
            return Storage.SYSTEMD
        try:
            await self._keyring.write(account.name, credential.secret)
        except CredentialError as error:
            linkable = wanted is None and account.auth_method is AuthMethod.OAUTH
            if error.cause in KEYRINGLESS and linkable:
                return Storage.LINKED
            raise _with_options(error, account) from None
        self._kept[account.name] = credential
        return Storage.KEYRING

    async def kept(self, account: Account) -> Credential | None:
        """Read what the keyring holds for the account; None also where there is no keyring."""
        if self.wanted(account) in NOT_OURS:
            return None
        try:
            stored = await self.read(account)
        except CredentialError as error:
            if error.cause not in KEYRINGLESS:
                raise
            return None
        return stored.credential if stored.storage is Storage.KEYRING else None

    @asynccontextmanager
    async def kept_for(self, account: Account, credential: Credential) -> AsyncIterator[Storage]:
        """Keep the credential; where the block fails, what was kept under that name before is there again."""
        before = await self.kept(account)
        storage = await self.write(account, credential)
        try:
            yield storage
        except TrackerError:
            if before is None:
                await self.delete(account)
            else:
                await self.write(account, before)
            raise

    async def delete(self, account: Account) -> None:
        """Delete what is kept for the account, in the keyring too."""
        self._kept.pop(account.name, None)
        if account.storage in NOT_OURS:
            return
        try:
            await self._keyring.delete(account.name)
        except CredentialError as error:
            if error.cause not in KEYRINGLESS:
                raise

    async def _read_keyring(self, account: Account, *, again: bool) -> Credential | None:
        name = account.name
        if again or name not in self._kept:
            kept = await self._keyring.read(name)
            if kept is None:
                self._kept.pop(name, None)
                return None
            self._kept[name] = self._dated(account, kept)
        return self._kept[name]

    async def _printed(self, account: Account, rejected: Credential | None) -> Credential:
        argv = account.token_command
        if not argv:
            raise CredentialError.of(Cause.UNSET, Source.COMMAND, account.name)
        if argv not in self._commands:
            self._commands[argv] = self._command(argv)
        return await self._commands[argv].read(rejected)

    def _dated(self, account: Account, credential: Credential) -> Credential:
        """As the account authorizes, and with the date on which it ends, where that was learnt before."""
        expires_at = self._cache[account.name].expiry_of(credential)
        return Credential(credential.secret, account.auth_method, expires_at)


def wanted(account: Account, default: Storage | None) -> Storage | None:
    """The storage that the settings ask for, `default` being theirs for all accounts; None is whichever there is."""
    if account.storage is not None:
        return account.storage
    if account.token_command:
        return Storage.COMMAND
    alien = default is Storage.LINKED and account.auth_method is AuthMethod.SESSION_KEY
    return None if alien else default


def no_keyring(account: Account) -> Failure:
    """The account's token can be kept nowhere."""
    is_login = account.auth_method is AuthMethod.OAUTH
    kind = Source.LOGIN if is_login else Source.SESSION_KEY
    return Failure(Reason.CREDENTIALS, Cause.NO_KEYRING, kind)


def _with_options(error: CredentialError, account: Account) -> CredentialError:
    """Name what else there is where no keyring is available."""
    return CredentialError(no_keyring(account)) if error.cause is Cause.NO_KEYRING else error

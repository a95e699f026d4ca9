"""The storages of accounts' own tokens: the keyring, a systemd credential, or what a command prints.

The keyring alone is ever written; nothing is copied from one of the others into another. A linked account has its
token in Claude Code's own place, and so nothing here.
"""

import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
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
from monitor.credentials.claude_code import WholeFile
from monitor.credentials.programs import TokenCommand
from monitor.credentials.tokens import parse_token

GIVEN: Final = frozenset({Storage.SYSTEMD, Storage.COMMAND})
"""With these the user hands a token over, which may be another account's."""

NOT_OURS: Final = GIVEN | {Storage.LINKED}
"""Nothing in these is ever written or deleted by this program."""


class CredentialsDirectory:
    """The credentials that systemd hands to a service: the files in `$CREDENTIALS_DIRECTORY`, one for each account.

    `LoadCredentialEncrypted=user@example.com:/etc/…` keeps it encrypted at rest. A new token needs a restart.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._folder = environ.get("CREDENTIALS_DIRECTORY", "")

    async def read(self, name: str, label: str | None = None) -> Credential | None:
        """Read what is there under the account's name, or under its label; None where nothing is.

        Raises CredentialError where it cannot be read, or is no token.
        """
        for title in filter(None, (name, label)):
            # The name of a file right in the folder, and of no hidden one.
            is_name = not title.startswith(".") and not {"/", "\\", "\0"} & set(title)
            path = Path(self._folder, title)
            content = await WholeFile(path).read(bytes) if self._folder and is_name else None
            if content is not None:
                credential = parse_token(content.decode(errors="replace"))
                if credential is None:
                    raise CredentialError.of(Cause.DAMAGED, Source.SYSTEMD, title)
                return credential
        return None


class SecretStore(Protocol):
    """A keyring: one credential for each account name. All methods raise CredentialError where it cannot be used."""

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

    @property
    def kept(self) -> Credential | None:
        """The credential, if it is the keyring's."""
        return self.credential if self.storage is Storage.KEYRING else None


class SecretStores:
    """Reads an account's own token where it is kept, and writes it to the keyring where it belongs there.

    `default` is the storage that the settings name for all accounts. Reading and writing raises CredentialError.
    """

    def __init__(
        self,
        keyring: SecretStore,
        cache: AccountCache,
        directory: CredentialsDirectory,
        command: Callable[[tuple[str, ...]], TokenCommand],
        default: Storage | None = None,
    ) -> None:
        self.default = default
        self._keyring = keyring
        self._cache = cache
        self._directory = directory
        self._command = command
        self._commands: dict[tuple[str, ...], TokenCommand] = {}
        self._kept: dict[str, Credential] = {}
        self._none_kept: dict[str, tuple[Account, Storage | None]] = {}
        """The accounts, with the default storage, for which the keyring had nothing when it was asked last; by name."""

    async def read(self, account: Account, rejected: Credential | None = None) -> Stored:
        """Read what is stored for the account, anew where the API has rejected what was read before."""
        name, storage = account.name, storage_of(account, self.default)
        if storage is Storage.LINKED:
            return Stored(storage)
        if storage is Storage.COMMAND:
            argv = account.token_command
            if not argv:
                raise CredentialError.of(Cause.UNSET, Source.COMMAND, name)
            if argv not in self._commands:
                self._commands[argv] = self._command(argv)
            printed = await self._commands[argv].read(rejected)
            return Stored(storage, self._complete(account, printed))
        if storage in (None, Storage.SYSTEMD):
            given = await self._directory.read(name, account.label)
            if given is not None:
                return Stored(Storage.SYSTEMD, self._complete(account, given))
            if storage is not None:
                raise CredentialError.of(Cause.ABSENT, Source.SYSTEMD, name)
        try:
            kept = None if rejected else self._kept.get(name)
            kept = kept or await self._keyring.read(name)
        except CredentialError as error:
            if storage is not None:
                raise _with_options(error, account) from None
            if error.cause not in KEYRINGLESS:
                raise
            return Stored(None, has_keyring=False)
        if kept is None:
            self._kept.pop(name, None)
            return Stored(storage)
        self._none_kept.pop(name, None)
        # Its date is kept with it: the cache has that of the newest token alone, which may be another one soon.
        self._kept[name] = self._complete(account, kept)
        return Stored(Storage.KEYRING, self._kept[name])

    async def write(self, account: Account, credential: Credential) -> Storage:
        """Keep the account's new credential, if it is ours to keep. Returns the storage that it lives in."""
        storage = storage_of(account, self.default)
        if storage is not None and storage in NOT_OURS:
            return storage
        if storage is None and await self._directory.read(account.name, account.label) is not None:
            return Storage.SYSTEMD
        try:
            await self._keyring.write(account.name, credential.secret)
        except CredentialError as error:
            linkable = storage is None and account.auth_method is AuthMethod.OAUTH
            if error.cause in KEYRINGLESS and linkable:
                return Storage.LINKED
            raise _with_options(error, account) from None
        self._none_kept.pop(account.name, None)
        self._kept[account.name] = credential
        return Storage.KEYRING

    async def read_kept(self, account: Account) -> Credential | None:
        """Read what the keyring holds for the account; None also where there is no keyring."""
        if storage_of(account, self.default) in NOT_OURS:
            return None
        try:
            stored = await self.read(account)
        except CredentialError as error:
            if error.cause not in KEYRINGLESS:
                raise
            return None
        return stored.kept

    async def find_kept(self, secret: Secret, accounts: Iterable[Account]) -> str | None:
        """Return the first of these accounts for which the keyring holds this token.

        The keyring is asked about each one until it answers; where there is none, no further one is asked about now.
        """
        has_keyring = True
        for account in accounts:
            name, asked = account.name, (account, self.default)
            is_not_ours = storage_of(account, self.default) in NOT_OURS
            if is_not_ours or self._none_kept.get(name) == asked:
                continue
            if not has_keyring and name not in self._kept:
                continue
            try:
                stored = await self.read(account)
            except CredentialError as error:
                has_keyring = has_keyring and error.cause not in KEYRINGLESS
                continue
            if stored.kept is not None and stored.kept.secret == secret:
                return name
            if not stored.has_keyring:
                has_keyring = False
            elif stored.kept is None:
                self._none_kept[name] = asked
        return None

    @asynccontextmanager
    async def keep(self, account: Account, credential: Credential) -> AsyncIterator[Storage]:
        """Keep the credential; where the block fails, restore what was kept under that name before."""
        before = await self.read_kept(account)
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

    def _complete(self, account: Account, credential: Credential) -> Credential:
        """Return the credential with the account's way to authorize, and with its end where that is known."""
        expires_at = self._cache[account.name].expiry_of(credential)
        return Credential(credential.secret, account.auth_method, expires_at)


def storage_of(account: Account, default: Storage | None) -> Storage | None:
    """Return the storage that the settings name for the account; None is whichever works. `default` is that of all."""
    if account.storage is not None:
        return account.storage
    if account.token_command:
        return Storage.COMMAND
    is_other = default is Storage.LINKED and account.auth_method is AuthMethod.SESSION_KEY
    return None if is_other else default


def no_keyring(account: Account) -> Failure:
    """Return the failure that says that the account's token can be kept nowhere."""
    is_login = account.auth_method is AuthMethod.OAUTH
    kind = Source.LOGIN if is_login else Source.SESSION_KEY
    return Failure(Reason.CREDENTIALS, Cause.NO_KEYRING, kind)


def _with_options(error: CredentialError, account: Account) -> CredentialError:
    """Return the error; where there is no keyring, one that names the alternatives."""
    return CredentialError(no_keyring(account)) if error.cause is Cause.NO_KEYRING else error

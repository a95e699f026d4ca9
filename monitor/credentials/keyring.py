"""Credentials in the OS keyring: one entry for each account name. Never in any other place, never in plaintext.

The keyring library, of which this is the only home, would fall back to a plaintext file, and open prompts from a
process that has no face. So back ends are taken from a list, and a locked keyring is an error before anything is
asked of it.
"""

import asyncio
import functools
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Final, Protocol, TypeVar

from monitor.core.errors import Cause, CredentialError, Source
from monitor.core.model import Credential, Secret
from monitor.credentials.tokens import parse_secret, parse_token
from monitor.system.aio import DaemonThreads

_LINUX: Final = (
    "keyring.backends.SecretService.Keyring",
    "keyring.backends.kwallet.DBusKeyring",
    "keyring.backends.libsecret.Keyring",
)
_DARWIN: Final = ("keyring.backends.macOS.Keyring",)
_SECRET_SERVICE: Final = ("keyring.backends.SecretService", "keyring.backends.libsecret")
_DEFAULT_COLLECTION: Final = "/org/freedesktop/secrets/aliases/default"
_CHAINER: Final = "keyring.backends.chainer.ChainerBackend"


class Backend(Protocol):
    """The used part of a back end of the keyring library."""

    def get_password(self, service: str, username: str) -> str | None: ...
    def set_password(self, service: str, username: str, password: str) -> None: ...
    def delete_password(self, service: str, username: str) -> None: ...


def system_backend() -> Backend:
    """The user's keyring, unlocked. Blocks; raises CredentialError, or what the libraries raise."""
    backend = _choose_backend()
    if type(backend).__module__ in _SECRET_SERVICE:
        # The library would open a prompt, or a collection of its own; a program without a face must not.
        import secretstorage

        path = getattr(backend, "preferred_collection", _DEFAULT_COLLECTION)
        with closing(secretstorage.dbus_init()) as connection:
            if secretstorage.Collection(connection, path).is_locked():
                raise CredentialError.of(Cause.LOCKED)
    return backend


@functools.cache
def _choose_backend() -> Backend:
    """The back end that `PYTHON_KEYRING_BACKEND` or `keyringrc.cfg` names, if it is allowed, else the best one that
    works here. A failure is not cached.
    """
    from keyring import core

    allowed = _DARWIN if sys.platform == "darwin" else _LINUX
    try:
        configured = core.load_env() or core.load_config()
    except Exception:  # noqa: BLE001 - a wrong name fails in many ways
        raise CredentialError.of(Cause.MISCONFIGURED) from None
    name = f"{type(configured).__module__}.{type(configured).__qualname__}"
    if configured is not None and name != _CHAINER:
        if name not in allowed:
            raise CredentialError.of(Cause.MISCONFIGURED, Source.KEYRING, name)
        return configured
    found: list[Backend] = []
    for name in allowed:
        with suppress(Exception):  # one that does not work here says so in its own way
            found.append(core.load_keyring(name))
    if not found:
        raise CredentialError.of(Cause.NO_KEYRING)
    return max(found, key=lambda backend: float(getattr(backend, "priority", 0)))


T = TypeVar("T")

SERVICE: Final = "claude-tracker"
LIMIT_SECS: Final = 10.0

_CODES: Final = {
    "-25308": (Cause.LOCKED, Source.KEYCHAIN),
    "-25293": (Cause.DENIED, Source.KEYRING),
    "-67030": (Cause.DENIED, Source.KEYRING),
}
"""By macOS's own error number, which stands in the text of the library's error."""

_ERRORS: Final = {
    "KeyringLocked": Cause.LOCKED,
    "LockedException": Cause.LOCKED,
    "NoKeyringError": Cause.NO_KEYRING,
    "SecretServiceNotAvailableException": Cause.NO_KEYRING,
    "ItemNotFoundException": Cause.NO_COLLECTION,
    "InitError": Cause.NO_COLLECTION,
    "PasswordSetError": Cause.NOT_STORED,
    "PasswordDeleteError": Cause.NOT_DELETED,
    "TimeoutError": Cause.SILENT,
}
"""By the class of the libraries' error."""


class Keyring:
    """The entries of this program. Every method raises CredentialError where the keyring cannot be used now."""

    def __init__(
        self, backend: Callable[[], Backend] = system_backend, limit_secs: float = LIMIT_SECS
    ) -> None:
        self._backend = backend
        self._threads = DaemonThreads(limit_secs)
        # GNOME Keyring now and then denies that its collection exists while many ask at once.
        self._turn = asyncio.Lock()

    async def read(self, name: str) -> Credential | None:
        """Read what is kept for the account: a plain token or key, or JSON as older versions and Claude Code write it.

        None where nothing is. How it authorizes, the settings know.
        """
        text = await self.read_text(name)
        credential = None if text is None else parse_token(text.reveal())
        if text is not None and credential is None:
            raise CredentialError.of(Cause.DAMAGED, Source.KEYRING)
        return credential

    async def read_text(self, name: str) -> Secret | None:
        """Read an entry that is no account's, be it several lines; None where there is none."""
        text = await self._ask(lambda backend: backend.get_password(SERVICE, name))
        return None if text is None else Secret(text)

    async def write(self, name: str, secret: Secret) -> None:
        """Keep the secret for the account, in the place of any other."""
        if parse_secret(secret.reveal()) != secret:
            raise CredentialError.of(Cause.ODD_KEY, Source.KEYRING)
        await self._ask(lambda backend: _store(backend, name, secret.reveal()))

    async def delete(self, name: str) -> None:
        """Keep nothing for the account any more; it is no error if nothing was kept."""
        await self._ask(lambda backend: _erase(backend, name))

    async def _ask(self, question: Callable[[Backend], T]) -> T:
        def answer() -> T:
            return question(self._backend())

        try:
            async with self._turn:
                return await self._threads.run(answer)
        except CredentialError:
            raise
        except Exception as error:  # noqa: BLE001 - back ends raise what their platforms do
            failure = _translate(error)
        # Raised only here, so that no traceback leads to a frame that knows the secret.
        raise failure


def _store(backend: Backend, name: str, text: str) -> None:
    """Another program's entry of the same name may hide ours: such a one is deleted."""
    backend.set_password(SERVICE, name, text)
    for _ in range(3):
        if backend.get_password(SERVICE, name) == text:
            return
        backend.delete_password(SERVICE, name)
        backend.set_password(SERVICE, name, text)
    raise CredentialError.of(Cause.NOT_KEPT, Source.KEYRING)


def _erase(backend: Backend, name: str) -> None:
    for _ in range(3):
        if backend.get_password(SERVICE, name) is None:
            return
        backend.delete_password(SERVICE, name)
    raise CredentialError.of(Cause.NOT_DELETED, Source.KEYRING)


def _translate(error: Exception) -> CredentialError:
    text = str(error)
    for code, (cause, source) in _CODES.items():
        if code in text:
            return CredentialError.of(cause, source)
    names = (kind.__name__ for kind in type(error).__mro__)
    known = next((_ERRORS[name] for name in names if name in _ERRORS), Cause.FAILED)
    return CredentialError.of(known, Source.KEYRING, detail=type(error).__name__)

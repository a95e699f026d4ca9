"""Credentials in the OS keyring: one entry for each account name. Never in any other place, never in plaintext."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from monitor.core.errors import Cause, CredentialError
from monitor.core.model import Credential, Secret
from monitor.credentials.keyring_backends import ABSENT, LOCKED, Backend, system_backend
from monitor.credentials.tokens import parse_secret, parse_token
from monitor.system.threads import DaemonThreads

T = TypeVar("T")

SERVICE: Final = "claude-tracker"
LIMIT_SECS: Final = 10.0

_FROM_AFAR: Final = (
    "the Keychain cannot be asked from here (ssh, or a system service): run "
    "`security unlock-keychain` first, or start this from the desktop"
)
_NOT_ALLOWED: Final = (
    "macOS does not let this Python use the Keychain: allow it in Keychain Access, "
    "or use a Python that is signed"
)
_UNDELETED: Final = (
    "your keyring refused to delete the entry: do so in its password manager",
    Cause.DENIED,
)
_CODES: Final = {
    "-25308": (_FROM_AFAR, Cause.LOCKED),
    "-25293": (_NOT_ALLOWED, Cause.DENIED),
    "-67030": (_NOT_ALLOWED, Cause.DENIED),
}
_ERRORS: Final = {
    "KeyringLocked": (LOCKED, Cause.LOCKED),
    "LockedException": (LOCKED, Cause.LOCKED),
    "NoKeyringError": (ABSENT, Cause.NO_KEYRING),
    "SecretServiceNotAvailableException": (ABSENT, Cause.NO_KEYRING),
    "ItemNotFoundException": (
        "your keyring is locked, or has no default collection: unlock or make one in its password manager",
        Cause.LOCKED,
    ),
    "InitError": (
        "your keyring could not be opened: unlock or make one in its password manager",
        Cause.LOCKED,
    ),
    "PasswordSetError": (
        "your keyring refused to store the entry: unlock it, or see whether it is full",
        Cause.DENIED,
    ),
    "PasswordDeleteError": _UNDELETED,
    "TimeoutError": (
        "your keyring does not answer: close the question that it may have opened, or start it anew",
        Cause.SILENT,
    ),
}
"""What to do about an error of the libraries, by the name of its class."""


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
        """What is kept for the account; None where nothing is. How it authorizes, the settings know."""
        text = await self._ask(lambda backend: backend.get_password(SERVICE, name))
        return None if text is None else parse_stored(text)

    async def text(self, name: str) -> Secret | None:
        """What an entry that is no account's holds, be it several lines; None where there is none."""
        text = await self._ask(lambda backend: backend.get_password(SERVICE, name))
        return None if text is None else Secret(text)

    async def write(self, name: str, secret: Secret) -> None:
        """Keep the secret for the account, in the place of any other."""
        if parse_secret(secret.reveal()) != secret:
            words = "the key holds a space or an odd character: copy it anew"
            raise CredentialError(words, cause=Cause.DAMAGED)
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
            words, trouble = _told(error)
        # Raised only here, so that no traceback leads to a frame that knows the secret.
        raise CredentialError(words, cause=trouble)


def parse_stored(text: str) -> Credential:
    """The credential in a stored text: a plain token or key, or JSON as older versions and Claude Code write it."""
    credential = parse_token(text)
    if credential is None:
        words = "the entry in the keyring is no token: import or enter it again"
        raise CredentialError(words, cause=Cause.DAMAGED)
    return credential


def _store(backend: Backend, name: str, text: str) -> None:
    """Another program's entry of the same name may hide ours: such a one is deleted."""
    backend.set_password(SERVICE, name, text)
    for _ in range(3):
        if backend.get_password(SERVICE, name) == text:
            return
        backend.delete_password(SERVICE, name)
        backend.set_password(SERVICE, name, text)
    words = "your keyring does not keep what is written: use another one"
    raise CredentialError(words, cause=Cause.FAILED)


def _erase(backend: Backend, name: str) -> None:
    for _ in range(3):
        if backend.get_password(SERVICE, name) is None:
            return
        backend.delete_password(SERVICE, name)
    words, trouble = _UNDELETED
    raise CredentialError(words, cause=trouble)


def _told(error: Exception) -> tuple[str, Cause]:
    text = str(error)
    for code, told in _CODES.items():
        if code in text:
            return told
    names = (kind.__name__ for kind in type(error).__mro__)
    known = next((_ERRORS[name] for name in names if name in _ERRORS), None)
    otherwise = f"your keyring failed ({type(error).__name__}): look whether it works at all"
    return known or (otherwise, Cause.FAILED)

"""Which back end of the keyring library is used: the system's own, unlocked, or none. The library's only home.

The library would fall back to a plaintext file, and open prompts from a process that has no face. So back ends
are taken from a list, and a locked keyring is an error before anything is asked of it.
"""

import functools
import sys
from contextlib import closing
from typing import Final, Protocol

from monitor.core.errors import Cause, CredentialError, Failure, Reason, Source

_LINUX: Final = (
    "keyring.backends.SecretService.Keyring",
    "keyring.backends.kwallet.DBusKeyring",
    "keyring.backends.libsecret.Keyring",
)
_ALLOWED: Final = {
    "darwin": ("keyring.backends.macOS.Keyring",),
    "win32": ("keyring.backends.Windows.WinVaultKeyring",),
}
_SECRET_SERVICE: Final = ("keyring.backends.SecretService", "keyring.backends.libsecret")
_DEFAULT_COLLECTION: Final = "/org/freedesktop/secrets/aliases/default"
_CHAINER: Final = "keyring.backends.chainer.ChainerBackend"


class Backend(Protocol):
    """What is used of a back end of the keyring library."""

    def get_password(self, service: str, username: str) -> str | None: ...
    def set_password(self, service: str, username: str, password: str) -> None: ...
    def delete_password(self, service: str, username: str) -> None: ...


def system_backend() -> Backend:
    """The user's keyring, unlocked. Blocks; raises CredentialError, or what the libraries raise."""
    backend = _chosen_backend()
    if type(backend).__module__ in _SECRET_SERVICE:
        _refuse_locked(backend)
    return backend


@functools.cache
def _chosen_backend() -> Backend:
    """The back end that the user has configured, else the best one that works here. A failure is not cached."""
    configured = _configured()
    if configured is not None:
        return configured
    found = [backend for name in _allowed() if (backend := _loaded(name)) is not None]
    if not found:
        raise CredentialError(Failure(Reason.CREDENTIALS, Cause.NO_KEYRING))
    return max(found, key=lambda backend: float(getattr(backend, "priority", 0)))


def _allowed() -> tuple[str, ...]:
    return _ALLOWED.get(sys.platform, _LINUX)


def _configured() -> Backend | None:
    """The one that `PYTHON_KEYRING_BACKEND` or `keyringrc.cfg` names, if it is allowed; None if none is named."""
    from keyring import core

    try:
        backend = core.load_env() or core.load_config()
    except Exception:  # noqa: BLE001 - a wrong name fails in many ways
        raise CredentialError(Failure(Reason.CREDENTIALS, Cause.MISCONFIGURED)) from None
    name = f"{type(backend).__module__}.{type(backend).__qualname__}"
    if backend is None or name == _CHAINER:
        return None
    if name not in _allowed():
        raise CredentialError(
            Failure(Reason.CREDENTIALS, Cause.MISCONFIGURED, Source.KEYRING, name=name)
        )
    return backend


def _loaded(name: str) -> Backend | None:
    from keyring import core

    try:
        return core.load_keyring(name)
    except Exception:  # noqa: BLE001 - one that does not work here says so in its own way
        return None


def _refuse_locked(backend: Backend) -> None:
    """The library would open a prompt, or a collection of its own; a program without a face must not."""
    import secretstorage

    path = getattr(backend, "preferred_collection", _DEFAULT_COLLECTION)
    with closing(secretstorage.dbus_init()) as connection:
        if secretstorage.Collection(connection, path).is_locked():
            raise CredentialError(Failure(Reason.CREDENTIALS, Cause.LOCKED))

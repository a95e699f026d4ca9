"""The check of the OS keyring: is there one, is it the system's own, does it answer. Writes nothing into it."""

from collections.abc import Callable, Mapping
from typing import Final

from monitor.core.errors import UNLOCKABLE, Cause, CredentialError, Failure, explain
from monitor.credentials.keyring import Backend, Keyring
from monitor.doctor.report import Check, Question

KEYRING: Final = Question(
    "keyring", "tokens and session keys are kept there, unless the settings say where else"
)

_NO_ENTRY: Final = "monitor doctor"
"""A name that no account has: to ask for it opens the keyring, and brings no secret."""

_NAMES: Final = {
    "keyring.backends.SecretService": "Secret Service (GNOME Keyring, KeePassXC or another)",
    "keyring.backends.libsecret": "libsecret",
    "keyring.backends.kwallet": "KWallet",
    "keyring.backends.macOS": "the macOS Keychain",
}
_INSTEAD: Final = (
    'Without a keyring, set `storage = "linked"` under [settings] (Claude Code\'s own logins), '
    "or a token_command for each account"
)


async def keyring_check(
    backend: Callable[[], Backend],
    environ: Mapping[str, str],
    platform: str,
    *,
    is_needed: bool,
) -> tuple[Check, Failure | None]:
    """Ask the keyring: the check, and why it cannot be asked; some seconds where it is silent. Never raises.

    `is_needed` says that the settings leave no other place for some secret.
    """
    used: list[str] = []

    def noted() -> Backend:
        found = backend()
        used.append(type(found).__module__)
        return found

    try:
        await Keyring(noted).read(_NO_ENTRY)
    except CredentialError as error:
        found, fix = _explained(error.failure, environ, platform)
        check = KEYRING.fail if is_needed else KEYRING.warn
        return check(found, fix), error.failure
    return KEYRING.ok(f"{_NAMES.get(used[0], used[0])} answers"), None


def _explained(failure: Failure, environ: Mapping[str, str], platform: str) -> tuple[str, str]:
    """What is wrong, and what to do about it in this session."""
    problem, advice = explain(failure)
    match failure.cause:
        case Cause.NO_KEYRING:
            return "no system keyring available", f"{_start(environ, platform)}. {_INSTEAD}"
        case Cause.MISCONFIGURED:
            return problem, (
                "`unset PYTHON_KEYRING_BACKEND`, and take `default-keyring` out of keyringrc.cfg "
                "(`keyring diagnose` says where that is)"
            )
        case cause if cause in UNLOCKABLE:
            return problem, _unlock(environ, platform)
    return problem, advice or _INSTEAD


def _start(environ: Mapping[str, str], platform: str) -> str:
    if platform == "linux" and not environ.get("DBUS_SESSION_BUS_ADDRESS"):
        return (
            "$DBUS_SESSION_BUS_ADDRESS is not set: log in to the desktop, or run `dbus-run-session -- sh` and in "
            "it `gnome-keyring-daemon --unlock`"
        )
    return "start GNOME Keyring, KWallet or KeePassXC (`gnome-keyring-daemon --start`)"


def _unlock(environ: Mapping[str, str], platform: str) -> str:
    if platform == "darwin":
        return "`security unlock-keychain`, or start this from the desktop"
    if environ.get("SSH_CONNECTION"):
        return "`gnome-keyring-daemon --replace --unlock` (it reads the password), or log in to the desktop"
    return "open its password manager, or log out and in again"

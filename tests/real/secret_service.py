"""A real GNOME Keyring on a private bus, unlocked, with a home folder of its own."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import secretstorage
from secretstorage.util import DBusAddressWrapper, format_secret, open_session

from tests.real.bus import Bus, private_bus, running, wait_until
from tests.real.need import need

NAME = "org.freedesktop.secrets"
LOGIN = "/org/freedesktop/secrets/collection/login"
PROMPT = "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface"


@contextmanager
def secret_service(folder: Path) -> Iterator[tuple[Bus, dict[str, str]]]:
    """The bus, and the environment in which a process finds the keyring and nothing of the user's."""
    need("gnome-keyring-daemon", "secret-tool")
    with private_bus(folder) as bus:
        env = private_environment(folder, bus)
        with keyring_on(bus, env):
            yield bus, env


@contextmanager
def keyring_on(bus: Bus, env: dict[str, str]) -> Iterator[None]:
    """A keyring daemon for the time of the block."""
    argv = ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"]
    with running(argv, env=env, stdin=b"test"):
        wait_until(lambda: bus.owns(NAME), "GNOME Keyring")
        wait_until(lambda: has_default_collection(env), "its default collection")
        yield


def private_environment(folder: Path, bus: Bus) -> dict[str, str]:
    """This bus, and home and XDG folders below `folder`; no display, so that nothing can ask anybody."""
    home, runtime = folder / "home", folder / "run"
    for each in (home, runtime):
        each.mkdir(mode=0o700)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(runtime),
        "DBUS_SESSION_BUS_ADDRESS": bus.address,
        "LC_ALL": "C.UTF-8",
    }


def has_default_collection(env: dict[str, str]) -> bool:
    """A fresh keyring answers before it has made the collection that entries go to."""
    answer = called(env, "ReadAlias", "string:default")
    return "object path" in answer and 'object path "/"' not in answer


def lock(env: dict[str, str]) -> None:
    """Lock the keyring, as a desktop does after a while."""
    assert called(env, "Lock", f"array:objpath:{LOGIN}")


def unlock() -> None:
    """Unlock the keyring of this process's own session, as GNOME Keyring's prompt does.

    The daemon has no other way to be told a password while it runs.
    """
    with closing(secretstorage.dbus_init()) as connection:
        password = format_secret(open_session(connection), b"test", "text/plain")
        service = DBusAddressWrapper("/org/freedesktop/secrets", PROMPT, connection)
        service.call("UnlockWithMasterPassword", "o(oayays)", LOGIN, password)


def lookup(env: dict[str, str], name: str) -> str:
    """What the keyring keeps for an account, asked by another program than ours; "" for nothing."""
    argv = ["secret-tool", "lookup", "service", "claude-tracker", "username", name]
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=10).stdout


def store(env: dict[str, str], name: str, text: str) -> None:
    """Keep a text for an account, by another program than ours."""
    argv = ["secret-tool", "store", "--label=x", "service", "claude-tracker", "username", name]
    subprocess.run(argv, env=env, input=text, text=True, check=True, timeout=10)


def called(env: dict[str, str], method: str, *arguments: str) -> str:
    """What a method of the Secret Service answers, as dbus-send prints it; "" for an error."""
    argv = ["dbus-send", "--session", "--print-reply", f"--dest={NAME}", "/org/freedesktop/secrets"]
    argv += [f"org.freedesktop.Secret.Service.{method}", *arguments]
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=10).stdout

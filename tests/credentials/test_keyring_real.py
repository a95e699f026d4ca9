"""The keyring against a real GNOME Keyring, watched by another program, `secret-tool`."""

import asyncio
import base64
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic

import pytest

from monitor.core.errors import CredentialError
from monitor.core.model import Credential, Secret
from monitor.credentials.keyring import Keyring
from tests.real.bus import private_bus
from tests.real.need import need
from tests.real.secret_service import (
    NAME,
    keyring_on,
    lock,
    lookup,
    private_environment,
    secret_service,
    store,
)

TOKEN = "sk-ant-oat01-first-0123456789"
SECOND = "sk-ant-oat01-second-0123456789"
USER = "user@example.com (Organization)"


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The environment of a fresh keyring, which this process is in as well."""
    with secret_service(tmp_path) as (_, env):
        enter(env, monkeypatch)
        yield env


def enter(env: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "PYTHON_KEYRING_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)


async def test_another_program_finds_what_is_written_and_misses_what_is_deleted(
    env: dict[str, str],
) -> None:
    keyring = Keyring()
    assert await keyring.read(USER) is None
    await keyring.write(USER, Secret(TOKEN))
    assert lookup(env, USER) == TOKEN
    assert await keyring.read(USER) == Credential(Secret(TOKEN))
    await keyring.write(USER, Secret(SECOND))
    assert lookup(env, USER) == SECOND
    await keyring.delete(USER)
    assert lookup(env, USER) == ""
    assert await keyring.read(USER) is None
    await keyring.delete(USER)


async def test_entries_of_twenty_accounts_are_written_and_read_at_once(env: dict[str, str]) -> None:
    keyring = Keyring()
    names = [f"user{n}@example.com" for n in range(20)]
    await asyncio.gather(*(keyring.write(name, Secret(f"{TOKEN}-{name}")) for name in names))
    found = await asyncio.gather(*map(keyring.read, names))
    assert found == [Credential(Secret(f"{TOKEN}-{name}")) for name in names]
    assert lookup(env, names[7]) == f"{TOKEN}-{names[7]}"


@pytest.mark.parametrize(
    "form",
    [
        "{}",
        '{{"claudeAiOauth":{{"accessToken":"{}","refreshToken":"r"}}}}',
        '{{"access_token":"{}"}}',
    ],
)
async def test_an_entry_of_another_version_is_read_and_replaced(
    env: dict[str, str], form: str
) -> None:
    store(env, "a", form.format(TOKEN))
    assert await Keyring().read("a") == Credential(Secret(TOKEN))
    await Keyring().write("a", Secret(SECOND))
    assert await Keyring().read("a") == Credential(Secret(SECOND))
    assert lookup(env, "a") == SECOND
    await Keyring().delete("a")
    assert lookup(env, "a") == ""


async def test_a_locked_keyring_is_an_error_and_nobody_is_prompted(env: dict[str, str]) -> None:
    await Keyring().write("a", Secret(TOKEN))
    lock(env)
    started = monotonic()
    for action in (Keyring().read("a"), Keyring().write("b", Secret(TOKEN)), Keyring().delete("a")):
        with pytest.raises(CredentialError, match="locked: unlock it"):
            await action
    assert monotonic() - started < 5


async def test_a_keyring_that_hangs_is_an_error_within_the_limit(env: dict[str, str]) -> None:
    keyring = Keyring(limit_secs=0.5)
    await keyring.write("a", Secret(TOKEN))
    process = keyring_process(env)
    os.kill(process, signal.SIGSTOP)
    try:
        with pytest.raises(CredentialError, match="does not answer"):
            await keyring.read("a")
    finally:
        os.kill(process, signal.SIGCONT)
    await answers_again(keyring)


def keyring_process(env: dict[str, str]) -> int:
    argv = ["dbus-send", "--session", "--print-reply", "--dest=org.freedesktop.DBus", "/"]
    argv += ["org.freedesktop.DBus.GetConnectionUnixProcessID", f"string:{NAME}"]
    answer = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    return int(answer.stdout.split()[-1])


async def answers_again(keyring: Keyring) -> None:
    for _ in range(500):
        try:
            assert await keyring.read("a") == Credential(Secret(TOKEN))
            return
        except CredentialError:
            await asyncio.sleep(0.01)
    pytest.fail("the keyring was not used again")


async def test_no_secret_is_on_disk_in_plaintext(env: dict[str, str], tmp_path: Path) -> None:
    await Keyring().write("a", Secret(TOKEN))
    await Keyring().write("a", Secret(SECOND))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".keyring" for path in files)
    content = b"\n".join(path.read_bytes() for path in files)
    for secret in (TOKEN.encode(), SECOND.encode()):
        forms = [secret, base64.b64encode(secret)[:-4], secret.hex().encode()]
        assert not any(form in content for form in forms)
    assert env["HOME"].startswith(str(tmp_path))


ASK = """
import asyncio, sys
from monitor.core.errors import CredentialError
from monitor.core.model import Secret
from monitor.credentials.keyring import Keyring

async def main(keyring):
    for _ in sys.stdin:
        try:
            await keyring.write("a", Secret("sk-ant-oat01-first-0123456789"))
            print((await keyring.read("a")).expires_at, flush=True)
        except CredentialError as error:
            print(error, flush=True)

asyncio.run(main(Keyring()))
"""


def test_a_keyring_that_starts_after_us_is_used(tmp_path: Path) -> None:
    need("gnome-keyring-daemon")
    with private_bus(tmp_path) as bus:
        env = private_environment(tmp_path, bus)
        asking = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", ASK],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with asking as process:
            assert process.stdin and process.stdout
            print(file=process.stdin, flush=True)
            assert "no keyring answers here" in process.stdout.readline()
            with keyring_on(bus, env):
                print(file=process.stdin, flush=True)
                assert process.stdout.readline() == "None\n"
                process.stdin.close()


PLAINTEXT = """
import keyring.backend, pathlib

class PlaintextKeyring(keyring.backend.KeyringBackend):
    priority = 9

    def get_password(self, service, username):
        return None

    def set_password(self, service, username, password):
        (pathlib.Path.home() / "keyring_pass.cfg").write_text(password)
"""


@pytest.mark.parametrize(
    "named, words",
    [
        ("by the environment", "keyrings_alt_file.PlaintextKeyring is configured"),
        ("by a file", "keyrings_alt_file.PlaintextKeyring is configured"),
        ("by being installed", "nothing is ever stored in plaintext"),
        ("wrongly", "does not work here"),
    ],
)
def test_a_plaintext_keyring_is_refused(tmp_path: Path, named: str, words: str) -> None:
    packages = tmp_path / "packages"
    about = packages / "keyrings_alt-1.dist-info"
    about.mkdir(parents=True)
    (packages / "keyrings_alt_file.py").write_text(PLAINTEXT)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: keyrings.alt\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[keyring.backends]\nfile = keyrings_alt_file\n")
    with private_bus(tmp_path) as bus:
        env = private_environment(tmp_path, bus) | {"PYTHONPATH": str(packages)}
        if named == "by the environment":
            env["PYTHON_KEYRING_BACKEND"] = "keyrings_alt_file.PlaintextKeyring"
        if named == "wrongly":
            env["PYTHON_KEYRING_BACKEND"] = "keyrings.alt.file.PlaintextKeyring"
        if named == "by a file":
            config = Path(env["HOME"]) / ".config/python_keyring/keyringrc.cfg"
            config.parent.mkdir(parents=True)
            config.write_text("[backend]\ndefault-keyring=keyrings_alt_file.PlaintextKeyring\n")
        done = subprocess.run(
            [sys.executable, "-c", ASK], env=env, input="\n", capture_output=True, text=True
        )
    assert words in done.stdout and done.stderr == ""
    assert not (Path(env["HOME"]) / "keyring_pass.cfg").exists()

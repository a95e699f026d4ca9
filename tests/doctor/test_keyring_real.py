"""The keyring check against a real GNOME Keyring: unlocked, locked, and gone. Nothing is written into it."""

from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from monitor.credentials.keyring import system_backend
from monitor.doctor.accounts import keyring_check
from monitor.doctor.report import Check, Outcome
from tests.real.secret_service import lock, lookup, secret_service


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The environment of a fresh keyring, which this process is in as well."""
    with secret_service(tmp_path) as (_, env):
        for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "PYTHON_KEYRING_BACKEND"):
            monkeypatch.delenv(name, raising=False)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        yield env


async def answer(env: dict[str, str]) -> Check:
    check, _ = await keyring_check(system_backend, env, "linux", is_needed=True)
    return check


async def test_a_keyring_is_told_to_answer_and_then_to_be_locked(env: dict[str, str]) -> None:
    check = await answer(env)
    assert (check.outcome, "Secret Service" in check.found) == (Outcome.OK, True), check
    assert lookup(env, "monitor doctor") == ""
    lock(env)
    started = monotonic()
    check = await answer(env)
    assert (check.outcome, check.found) == (Outcome.FAIL, "your keyring is locked")
    assert monotonic() - started < 5

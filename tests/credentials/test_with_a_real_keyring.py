"""Accounts over a real GNOME Keyring that is locked, unlocked later, and started anew: nobody presses a key."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from monitor.core.errors import CredentialError, Reason
from monitor.core.events import PollFailed, PollStarted
from monitor.core.model import Account, Secret, Storage
from monitor.credentials.account_cache import CachedAccount, digest
from monitor.credentials.keyring import Keyring
from tests.builders import after
from tests.credentials.factories import AccountsRig, FakeLogin
from tests.credentials.test_keyring_real import enter
from tests.real.bus import Bus, private_bus
from tests.real.need import need
from tests.real.secret_service import keyring_on, lock, lookup, private_environment, store, unlock

ME, LIVE = "me@example.com", "live@example.com"


@pytest.fixture
def session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Bus, dict[str, str]]]:
    """A session without a keyring yet, which this process is in as well."""
    need("gnome-keyring-daemon", "secret-tool")
    with private_bus(tmp_path) as bus:
        env = private_environment(tmp_path, bus)
        enter(env, monkeypatch)
        yield bus, env


def rig_with(token: str | None) -> AccountsRig:
    """One account whose tokens are in the keyring, and one that is read live."""
    accounts = Account(ME, "org-1"), Account(LIVE, "org-2", storage=Storage.LINKED)
    rig = AccountsRig(*accounts, keyring=Keyring())
    rig.knows("sk-live", LIVE, org="org-2")
    rig.knows("sk-new", ME)
    rig.logins = [FakeLogin("sk-live", "/live", after(days=9)), FakeLogin(token, "/me")]
    return rig


async def token(rig: AccountsRig, name: str = ME) -> str:
    return (await rig.credentials.credential(rig.account(name))).secret.reveal()


async def failed_poll(rig: AccountsRig) -> str:
    """Why it fails; the next attempt is then half a minute away."""
    rig.store.dispatch(PollStarted(rig.clock.now(), ME))
    with pytest.raises(CredentialError) as error:
        await token(rig)
    assert error.value.reason is Reason.CREDENTIALS
    rig.store.dispatch(PollFailed(rig.clock.now(), ME, error.value.failure))
    assert rig.store.state.accounts[ME].next_poll_at > rig.clock.now()
    return str(error.value)


async def looked(rig: AccountsRig) -> bool:
    """Some looks; whether the account has become due at once meanwhile."""
    for _ in range(5):
        rig.clock.step(timedelta(seconds=5))
        await rig.watcher.look()
        if rig.store.state.accounts[ME].next_poll_at == rig.clock.now():
            return True
    return False


async def test_a_keyring_that_is_locked_at_the_start_and_unlocked_later(
    session: tuple[Bus, dict[str, str]],
) -> None:
    bus, env = session
    with keyring_on(bus, env):
        store(env, ME, "sk-kept")
        lock(env)
        rig = rig_with(None)
        assert "locked: unlock it" in await failed_poll(rig)
        assert await token(rig, LIVE) == "sk-live", "a linked account does not care"
        assert not await looked(rig)
        unlock()
        assert await looked(rig)
        assert await token(rig) == "sk-kept"


async def test_a_keyring_that_is_started_anew(session: tuple[Bus, dict[str, str]]) -> None:
    bus, env = session
    rig = rig_with(None)
    rig.learnt[ME] = CachedAccount(token_digest=digest(Secret("sk-kept")))
    assert "no system keyring" in await failed_poll(rig)
    assert await token(rig, LIVE) == "sk-live"
    with keyring_on(bus, env):
        store(env, ME, "sk-kept")
        assert await looked(rig)
        assert await token(rig) == "sk-kept"
    assert await token(rig) == "sk-kept", "what is known needs no keyring"
    rig.logins[1].renews("sk-new", after(hours=8))
    await rig.watcher.look()
    assert await token(rig) == "sk-new"
    with keyring_on(bus, env):
        await looked(rig)
        assert lookup(env, ME) == "sk-new", "and is kept when there is one again"
        assert lookup(env, LIVE) == "", "what is read live is kept nowhere"

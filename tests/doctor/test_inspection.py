"""What the doctor is told of each account's token, by the resolver itself and without a trace."""

from dataclasses import replace
from datetime import datetime

import pytest

from monitor.core.errors import Cause, Reason
from monitor.core.model import Account, AuthMethod, Credential, Identity, Secret, Storage
from monitor.credentials.account_cache import AccountCache, CachedAccount
from monitor.credentials.resolver import TokenStatus
from monitor.credentials.stores import SecretStores
from monitor.doctor.accounts import TokenFacts
from monitor.doctor.examine import ReadOnly, inspect_tokens
from tests.builders import after, before
from tests.credentials.factories import AccountsRig, FakeFacts, FakeLogin

ME = "me@example.com"
MINE = Account(ME, "org-1", AuthMethod.OAUTH)
LINKED = replace(MINE, storage=Storage.LINKED, config_dir="/w")
NOTED = FakeFacts(Identity("uuid-me", "org-1"), ME)


async def status(rig: AccountsRig, account: Account, *logins: FakeLogin) -> TokenStatus:
    kept, learnt = dict(rig.keyring.kept), AccountCache(rig.entries)
    stores = SecretStores(
        ReadOnly(rig.keyring), learnt, rig.given, lambda argv: rig.commands[argv], None
    )
    found = await inspect_tokens([account], learnt, logins, stores, rig.clock)
    assert rig.keyring.kept == kept, "nothing is written"
    assert rig.profiles.asked == [], "nobody is asked"
    return found[account.name]


async def cause_of(rig: AccountsRig, account: Account, *logins: FakeLogin) -> Cause | None:
    failure = (await status(rig, account, *logins)).failure
    assert failure is not None
    return failure.cause


@pytest.mark.parametrize("storage", Storage)
def test_each_storage_is_called_by_its_place(storage: Storage) -> None:
    facts = TokenFacts("a", MINE, TokenStatus(storage), failed=None, keyring=None, is_given=True)
    assert facts.place and str(facts.place) != storage.value


def linked(expires_at: datetime, **changes: object) -> FakeLogin:
    return FakeLogin("t1", "/w", expires_at, facts=NOTED, **changes)  # type: ignore[arg-type]


async def test_a_token_in_the_keyring_comes_from_there() -> None:
    rig = AccountsRig()
    await rig.keyring.write(ME, Secret("kept"))
    assert await status(rig, MINE) == TokenStatus(Storage.KEYRING)


async def test_a_fresher_login_of_claude_code_is_used_and_not_written() -> None:
    rig = AccountsRig()
    await rig.keyring.write(ME, Secret("kept"))
    found = await status(rig, replace(MINE, config_dir="/w"), linked(after(hours=8)))
    assert found == TokenStatus(Storage.KEYRING, "/w", after(hours=8))


async def test_a_linked_login_is_known_by_what_claude_code_notes_beside_it() -> None:
    found = await status(AccountsRig(), LINKED, linked(after(hours=8)))
    assert found == TokenStatus(Storage.LINKED, "/w", after(hours=8))


async def test_what_is_given_comes_from_the_user() -> None:
    rig = AccountsRig()
    rig.given.by_name[ME] = Credential(Secret("given"))
    assert (await status(rig, MINE)).storage is Storage.SYSTEMD


async def test_what_forbids_a_token_is_the_same_cause_as_the_polls_have() -> None:
    rig = AccountsRig()
    rig.keyring.locked = True
    assert await cause_of(rig, MINE) is Cause.LOCKED
    assert await cause_of(AccountsRig(), MINE) is Cause.ABSENT
    assert await cause_of(AccountsRig(), LINKED, FakeLogin(None, "/w")) is Cause.ABSENT
    assert await cause_of(AccountsRig(), replace(MINE, storage=Storage.COMMAND)) is Cause.UNSET
    setup = linked(after(hours=8), scopes=("user:inference",))
    assert await cause_of(AccountsRig(), LINKED, setup) is Cause.NO_SCOPE


async def test_a_login_that_rests_waits_for_claude_code_and_one_that_ended_for_a_login() -> None:
    rig = AccountsRig()
    rig.learnt[ME] = CachedAccount(folders=("/w",))
    rests = linked(before(hours=1))
    assert await cause_of(rig, LINKED, rests) is Cause.WAITING
    found = await status(rig, LINKED, linked(before(hours=1), renewable=False))
    assert found.failure is not None
    assert (found.failure.reason, found.failure.cause) == (Reason.AUTH, Cause.LOGIN_ENDED)

from datetime import timedelta

import pytest

from monitor.core.errors import Cause, CredentialError, Reason
from monitor.core.model import Account, AuthMethod, Credential, Secret, Storage
from tests.builders import after
from tests.credentials.factories import AccountsRig, FakeLogin

A = Account("a", "org-1")


async def test_a_credential_is_read_once() -> None:
    rig = AccountsRig(A)
    await rig.keyring.write("a", Secret("t"))
    assert (await rig.credentials.credential(A)).secret == Secret("t")
    rig.keyring.locked = True
    assert (await rig.credentials.credential(A)).secret == Secret("t")


async def test_after_a_refusal_it_is_read_again() -> None:
    rig = AccountsRig(A)
    await rig.keyring.write("a", Secret("old"))
    old = await rig.credentials.credential(A)
    await rig.keyring.write("a", Secret("new"))
    assert (await rig.credentials.credential(A)).secret == Secret("old")
    assert (await rig.credentials.credential(A, rejected=old)).secret == Secret("new")


@pytest.mark.parametrize(
    ("method", "words"),
    [(AuthMethod.OAUTH, "and use /login$"), (AuthMethod.SESSION_KEY, "press e")],
)
async def test_nothing_stored_says_what_to_do(method: AuthMethod, words: str) -> None:
    account = Account("a", "org-1", method)
    with pytest.raises(CredentialError, match=words) as error:
        await AccountsRig(account).credentials.credential(account)
    assert error.value.reason is Reason.CREDENTIALS


async def test_a_token_that_is_known_to_be_dead_is_not_sent() -> None:
    rig = AccountsRig()
    rig.knows("t1", "me@example.com")
    rig.logins.append(FakeLogin("t1", "/work", expires_at=after(hours=8)))
    await rig.import_from(rig.logins)
    (account,) = rig.file.listed
    assert (await rig.credentials.credential(account)).secret == Secret("t1")
    rig.clock.step(timedelta(hours=7, minutes=59, seconds=1))
    with pytest.raises(CredentialError, match="CLAUDE_CONFIG_DIR=/work claude") as error:
        await rig.credentials.credential(account)
    assert error.value.reason is Reason.AUTH


async def test_a_dead_token_that_the_keyring_still_has_is_not_sent() -> None:
    rig = AccountsRig()
    rig.knows("old", "a")
    rig.knows("new", "a")
    rig.logins[0].renews("old", after(hours=8))
    await rig.import_from(rig.logins)
    rig.restart()
    account = rig.account("a")
    await rig.watcher.look()
    assert (await rig.credentials.credential(account)).secret == Secret("old")
    rig.keyring.locked = True
    rig.logins[0].renews("new", after(hours=15))
    await rig.watcher.look()
    rig.clock.step(timedelta(hours=16))
    with pytest.raises(CredentialError) as error:
        await rig.credentials.credential(account)
    assert error.value.cause is Cause.WAITING


async def lacking(rig: AccountsRig, account: Account) -> str:
    """What the account is told, once all places were looked at."""
    await rig.watcher.look()
    with pytest.raises(CredentialError) as error:
        await rig.credentials.credential(account)
    return str(error.value)


async def test_a_folder_with_another_accounts_login_is_told_as_such() -> None:
    mine = Account("a", "org-1", storage=Storage.LINKED, config_dir="/w")
    rig = AccountsRig(mine)
    rig.knows("t1", "you@example.com", "org-2")
    rig.logins = [FakeLogin("t1", "/w", after(hours=8))]
    assert (await lacking(rig, mine)).startswith("the login in /w is not known to be this")
    await rig.import_from(rig.logins)
    assert (await lacking(rig, mine)).startswith("/w contains the login of 'you@example.com': run")


@pytest.mark.parametrize("token", [None, "t1"])
@pytest.mark.parametrize(("said", "folder"), [("/w", "/w"), ("~/.claude", "")])
async def test_an_empty_folder_holds_nobodys_login(
    token: str | None, said: str, folder: str
) -> None:
    mine = Account("a", "org-1", storage=Storage.LINKED, config_dir=said)
    rig = AccountsRig(mine)
    rig.knows("t1", "a", "org-1")
    rig.logins = [FakeLogin(token, folder, after(hours=8))]
    await rig.watcher.look()
    if token is None:
        assert (await lacking(rig, mine)).startswith("no login found yet")
    else:
        assert (await rig.credentials.credential(mine)).secret == Secret("t1")


async def test_an_expiry_belongs_to_its_token_alone() -> None:
    """Another program may have replaced the entry in the keyring."""
    rig = AccountsRig()
    rig.knows("t1", "me@example.com")
    await rig.import_from([FakeLogin("t1", expires_at=after(hours=8))])
    await rig.keyring.write("me@example.com", Secret("t2"))
    rig.start()
    rig.clock.step(timedelta(hours=9))
    assert (await rig.credentials.credential(rig.file.listed[0])).secret == Secret("t2")


async def test_the_expiry_of_an_older_entry_is_learnt() -> None:
    rig = AccountsRig(A)
    rig.keyring.kept["a"] = Credential(Secret("t"), expires_at=after(hours=2))
    await rig.credentials.credential(A)
    assert rig.store.state.accounts["a"].token_expires_at == after(hours=2)
    rig.start()
    assert rig.store.state.accounts["a"].token_expires_at == after(hours=2)

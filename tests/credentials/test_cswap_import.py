"""The accounts that claude-swap lists. It writes no organization for a personal account, and no account uuids."""

from itertools import permutations

import pytest

from monitor.core.alerts.conditions import account_facts
from monitor.core.alerts.rules import AlertKind
from monitor.core.commands import EditAccount
from monitor.core.errors import CredentialError, Reason
from monitor.core.model import Account, AuthMethod, Identity
from monitor.credentials.programs import SwapAccount
from tests.builders import after
from tests.credentials.factories import AccountsRig, FakeLogin

ME, YOU = "me@example.com", "you@example.com"


PERSONAL, ACME, OTHER = (
    SwapAccount(ME),
    SwapAccount(ME, "org-9", "Acme"),
    SwapAccount(ME, "org-8", "Other"),
)


async def test_accounts_of_claude_swap_wait_for_a_login_and_find_one() -> None:
    rig = AccountsRig()
    known = [
        SwapAccount(ME, "org-1", "Mine", f"uuid-{ME}"),
        SwapAccount(YOU),
        SwapAccount(ME, "org-2", "Team"),
    ]
    added = await rig.book.add_known(known)
    assert added == [ME, YOU, f"{ME} (Team)"]
    assert [a.org_id for a in rig.file.listed] == ["org-1", "", "org-2"]
    with pytest.raises(CredentialError, match="no login found yet: run `claude`") as error:
        await rig.credentials.credential(rig.account(ME))
    assert error.value.reason is Reason.CREDENTIALS
    for number, (email, org) in enumerate([(ME, "org-1"), (YOU, "org-7"), (ME, "org-2")]):
        rig.knows(f"t{number}", email, org, account=f"uuid-{email}")
        rig.logins.append(FakeLogin(f"t{number}", f"/{number}", after(hours=8)))
    await rig.watcher.look()
    for number, name in enumerate(added):
        credential = await rig.credentials.credential(rig.account(name))
        assert credential.secret.reveal() == f"t{number}"


async def test_accounts_that_are_known_are_not_added_again() -> None:
    rig = AccountsRig(Account(YOU, "org-9"))
    rig.knows("t1", ME)
    await rig.import_from([FakeLogin("t1")])
    await rig.book.edit(EditAccount(ME, "work", "org-1", None))
    known = [SwapAccount(ME, "org-1", account_uuid=f"uuid-{ME}"), SwapAccount(YOU, "org-9")]
    assert await rig.book.add_known(known) == []
    assert await rig.book.add_known([SwapAccount(YOU, "org-10", "Other")]) == [f"{YOU} (Other)"]


@pytest.mark.parametrize("rows", list(permutations([PERSONAL, ACME, SwapAccount(YOU)])))
async def test_the_personal_account_and_that_of_an_organization_are_two(
    rows: tuple[SwapAccount, ...],
) -> None:
    rig = AccountsRig()
    assert len(await rig.book.add_known(rows)) == 3
    by_org = {
        account.org_id: account.name for account in rig.file.listed if YOU not in account.name
    }
    rig.knows("acme", ME, "org-9")
    rig.knows("mine", ME, "org-of-mine")
    rig.logins = [FakeLogin("acme", "/a", after(hours=8)), FakeLogin("mine", "/m", after(hours=8))]
    await rig.watcher.look()
    assert rig.learnt[by_org["org-9"]].folders == ("/a",)
    assert rig.learnt[by_org[""]].folders == ("/m",)
    for again in permutations(rows):
        assert await rig.book.add_known(again) == []
    imports = await rig.book.import_all(rig.logins)
    assert not any(one.is_new for one in imports.imported)


async def test_the_second_one_that_is_in_no_organization_has_a_name_too() -> None:
    rig = AccountsRig()
    assert await rig.book.add_known([ACME, PERSONAL]) == [ME, f"{ME} (personal)"]
    assert await rig.book.add_known([PERSONAL, ACME]) == []


@pytest.mark.parametrize(
    ("account", "rows", "new"),
    [
        (Account(ME), [PERSONAL], []),
        (Account(ME), [ACME], []),
        (Account(ME), [ACME, OTHER], [f"{ME} (Other)"]),
        (Account(ME), [PERSONAL, ACME], [f"{ME} (Acme)"]),
        (Account(ME), [ACME, PERSONAL], [f"{ME} (Acme)"]),
        (Account(ME, "org-9"), [PERSONAL], []),
        (Account(ME, "org-9"), [PERSONAL, ACME], [f"{ME} (personal)"]),
        (Account(ME, "org-9"), [OTHER], [f"{ME} (Other)"]),
        (Account(ME, "org-of-mine"), [PERSONAL, ACME], [f"{ME} (Acme)"]),
        (Account(YOU), [PERSONAL], [ME]),
    ],
)
async def test_a_row_and_an_account_are_one_where_nothing_speaks_against_it(
    account: Account, rows: list[SwapAccount], new: list[str]
) -> None:
    rig = AccountsRig(account)
    assert await rig.book.add_known(rows) == new
    assert await rig.book.add_known(rows) == []


async def test_what_was_learnt_of_an_account_tells_its_organization() -> None:
    rig = AccountsRig(Account(ME))
    rig.knows("mine", ME, "org-of-mine")
    await rig.import_from([FakeLogin("mine")])
    assert rig.learnt[ME].identity == Identity(f"uuid-{ME}", "org-of-mine")
    assert await rig.book.add_known([ACME]) == [f"{ME} (Acme)"]


async def test_the_login_of_an_organization_is_not_booked_on_the_personal_account() -> None:
    """Though its own account is read with a session key."""
    rig = AccountsRig(Account(ME), Account(f"{ME} (Acme)", "org-9", AuthMethod.SESSION_KEY))
    rig.knows("acme", ME, "org-9")
    (imported,) = await rig.import_from([FakeLogin("acme")])
    assert imported.is_new
    assert rig.learnt[ME].identity is None


async def test_the_end_of_a_login_that_waits_with_claude_swap_is_known_and_told_ahead() -> None:
    rig = AccountsRig()
    ends = after(days=2)
    await rig.book.add_known([SwapAccount(ME), SwapAccount(YOU, login_expires_at=ends)])
    assert rig.store.state.accounts[YOU].login_expires_at == ends
    assert rig.store.state.accounts[ME].login_expires_at is None
    (fact,) = account_facts(rig.store.state.accounts[YOU], rig.clock.now())
    assert (fact.alert.kind, fact.alert.resets_at) == (AlertKind.EXPIRY, ends)
    rig.restart()
    assert rig.store.state.accounts[YOU].login_expires_at == ends


async def test_each_import_brings_the_date_of_an_account_that_is_known() -> None:
    rig = AccountsRig(Account(ME))
    for days in (2, 28):
        assert await rig.book.add_known([SwapAccount(ME, login_expires_at=after(days=days))]) == []
        assert rig.store.state.accounts[ME].login_expires_at == after(days=days)
    await rig.book.add_known([SwapAccount(ME)])
    assert rig.store.state.accounts[ME].login_expires_at == after(days=28)


async def test_a_login_that_claude_swap_takes_out_of_its_folder_keeps_its_date() -> None:
    rig = AccountsRig()
    rig.knows("mine", ME)
    rig.knows("yours", YOU)
    login = FakeLogin("mine", expires_at=after(hours=8), login_expires_at=after(days=20))
    rig.logins = [login]
    await rig.book.add_known([SwapAccount(ME, login_expires_at=after(days=3)), SwapAccount(YOU)])
    await rig.watcher.look()
    assert rig.store.state.accounts[ME].login_expires_at == after(days=20)
    await rig.book.add_known([SwapAccount(ME, login_expires_at=after(days=3)), SwapAccount(YOU)])
    assert rig.store.state.accounts[ME].login_expires_at == after(days=20), "its own word is newer"
    login.renews("yours", after(hours=8))
    login.login_expires_at = after(days=27)
    await rig.watcher.look()
    ends = {name: one.login_expires_at for name, one in rig.store.state.accounts.items()}
    assert ends == {ME: after(days=20), YOU: after(days=27)}

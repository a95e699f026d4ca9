import asyncio

import pytest

from monitor.core.commands import AddAccount, EditAccount
from monitor.core.errors import (
    ApiError,
    Cause,
    CredentialError,
    Failure,
    Reason,
    SettingsError,
    TrackerError,
)
from monitor.core.model import Account, AuthMethod, Identity, Secret
from monitor.credentials.account_cache import CachedAccount
from tests.builders import after
from tests.credentials.factories import AccountsRig, FakeLogin

ME = "me@example.com"
KEY = Secret("sk-ant-sid01-x")


async def imported(rig: AccountsRig, token: str, folder: str | None = None) -> list[str]:
    return [i.name for i in await rig.import_from([FakeLogin(token, folder)])]


async def test_an_import_keeps_the_token_in_the_keyring_and_the_rest_in_the_settings() -> None:
    rig = AccountsRig()
    rig.knows("t1", ME)
    assert await imported(rig, "t1") == [ME]
    assert rig.file.listed == [Account(ME, "org-1", AuthMethod.OAUTH)]
    assert rig.secret_of(ME) == "t1"
    state = rig.store.state.accounts[ME]
    assert (state.plan, state.identity) == ("max_20x", Identity(f"uuid-{ME}", "org-1"))
    assert "t1" not in str(rig.entries)


async def test_the_same_account_again_replaces_its_token_and_doubles_nothing() -> None:
    rig = AccountsRig()
    rig.knows("t1", ME)
    rig.knows("t2", ME)
    await imported(rig, "t1")
    again = await rig.import_from([FakeLogin("t2")])
    assert (again[0].name, again[0].is_new) == (ME, False)
    assert rig.names == [ME]
    assert rig.secret_of(ME) == "t2"


async def test_the_same_e_mail_in_two_organizations_is_two_accounts() -> None:
    rig = AccountsRig()
    rig.knows("t1", ME, org="org-1")
    rig.knows("t2", ME, org="org-2")
    await imported(rig, "t1")
    await imported(rig, "t2")
    assert rig.names == [ME, f"{ME} (Name of org-2)"]
    assert rig.secret_of(f"{ME} (Name of org-2)") == "t2"


async def test_organizations_of_the_same_name_get_a_number() -> None:
    rig = AccountsRig(Account(ME, "o-0"), Account(f"{ME} (Name of org-2)", "o-9"))
    rig.knows("t2", ME, org="org-2")
    assert await imported(rig, "t2") == [f"{ME} (Name of org-2 2)"]


async def test_two_members_of_one_organization_are_two_accounts() -> None:
    rig = AccountsRig()
    rig.knows("t1", "a@team.example", org="team")
    rig.knows("t2", "b@team.example", org="team")
    await imported(rig, "t1")
    await imported(rig, "t2")
    assert rig.names == ["a@team.example", "b@team.example"]


async def test_a_renamed_account_is_known_again() -> None:
    rig = AccountsRig()
    rig.knows("t1", ME)
    rig.knows("t2", ME)
    await imported(rig, "t1")
    await rig.book.edit(EditAccount(ME, "work", "org-1", None))
    rig.start()
    assert await imported(rig, "t2") == ["work"]
    assert rig.secret_of("work") == "t2"


async def test_an_account_of_older_settings_is_known_by_its_name_and_organization() -> None:
    rig = AccountsRig(Account(ME, "org-1"))
    rig.knows("t1", ME)
    assert await imported(rig, "t1") == [ME]
    assert rig.names == [ME]


async def test_a_renamed_account_of_older_settings_is_known_by_its_own_token() -> None:
    rig = AccountsRig(Account("work", "org-1"))
    await rig.keyring.write("work", Secret("t1"))
    rig.knows("t1", ME)
    rig.knows("t2", ME)
    assert await imported(rig, "t2") == ["work"]


async def test_a_stranger_of_the_same_organization_is_not_taken_for_it() -> None:
    rig = AccountsRig(Account("work", "org-1"))
    await rig.keyring.write("work", Secret("t1"))
    rig.knows("t1", ME)
    rig.knows("t2", "other@example.com")
    assert await imported(rig, "t2") == ["other@example.com"]
    assert rig.secret_of("work") == "t1"


async def test_several_logins_are_imported_past_one_that_fails() -> None:
    rig = AccountsRig()
    rig.knows("t1", ME)
    rig.knows("t3", "c@example.com")
    sources = [
        FakeLogin("t1"),
        FakeLogin("dead", "/b"),
        FakeLogin(None, "/n"),
        FakeLogin("t3", "/c"),
    ]
    assert [i.name for i in await rig.import_from(sources)] == [ME, "c@example.com"]


async def test_nothing_to_import_says_why() -> None:
    with pytest.raises(CredentialError, match="not logged in"):
        await AccountsRig().import_from([FakeLogin(None)])


async def test_an_import_that_the_api_refuses_changes_nothing() -> None:
    rig = AccountsRig()
    rig.profiles.error = ApiError(Failure(Reason.SCOPE, Cause.NO_SCOPE))
    with pytest.raises(ApiError, match="setup-token"):
        await imported(rig, "t1")
    assert (rig.names, rig.keyring.kept) == ([], {})


async def test_an_import_into_a_locked_keyring_changes_nothing() -> None:
    rig = AccountsRig()
    rig.knows("t1", ME)
    rig.keyring.locked = True
    with pytest.raises(CredentialError, match="locked"):
        await imported(rig, "t1")
    assert (rig.names, rig.learnt[ME]) == ([], CachedAccount())


async def test_an_import_whose_settings_cannot_be_written_leaves_no_token_behind() -> None:
    rig = AccountsRig()
    rig.knows("t1", ME)
    rig.file.broken = True
    with pytest.raises(SettingsError, match="disk is full"):
        await imported(rig, "t1")
    assert rig.keyring.kept == {}
    assert rig.entries == {}


async def test_what_was_learnt_survives_a_restart() -> None:
    rig = AccountsRig()
    rig.knows("t1", ME)
    login = FakeLogin("t1", "/work", expires_at=after(hours=8), login_expires_at=after(days=28))
    await rig.import_from([login])
    rig.start()
    state = rig.store.state.accounts[ME]
    assert (state.token_expires_at, state.login_expires_at) == (after(hours=8), after(days=28))
    assert rig.learnt.folders() == {"/work"}


async def test_adding_by_session_key() -> None:
    rig = AccountsRig()
    await rig.book.add(AddAccount("web", KEY, "org-9"))
    assert rig.file.listed == [Account("web", "org-9", AuthMethod.SESSION_KEY)]
    credential = await rig.credentials.credential(rig.file.listed[0])
    assert (credential.secret, credential.auth_method) == (KEY, AuthMethod.SESSION_KEY)


@pytest.mark.parametrize(
    ("name", "key", "org", "words"),
    [("", "k", "o", "name"), ("n", " ", "o", "session key"), ("n", "k", "", "org id")],
)
async def test_an_empty_field_is_named(name: str, key: str, org: str, words: str) -> None:
    rig = AccountsRig()
    with pytest.raises(TrackerError, match=words):
        await rig.book.add(AddAccount(name, Secret(key), org))
    assert rig.names == []


async def test_a_name_is_given_once() -> None:
    rig = AccountsRig(Account("a"), Account("b"))
    await rig.keyring.write("a", Secret("ta"))
    with pytest.raises(TrackerError, match="already"):
        await rig.book.add(AddAccount("a", KEY, "o"))
    with pytest.raises(TrackerError, match="already"):
        await rig.book.edit(EditAccount("b", "a", "o", KEY))
    assert rig.secret_of("a") == "ta"


async def test_the_entry_of_a_channel_is_neither_overwritten_nor_deleted() -> None:
    rig = AccountsRig(Account("a", "o"))
    rig.file.taken = {"ntfy"}
    await rig.keyring.write("ntfy", Secret("the channel's"))
    with pytest.raises(SettingsError, match="uses that entry"):
        await rig.book.add(AddAccount("ntfy", KEY, "o"))
    with pytest.raises(SettingsError, match="uses that entry"):
        await rig.book.edit(EditAccount("a", "ntfy", "o", KEY))
    assert rig.secret_of("ntfy") == "the channel's"


async def test_what_the_keyring_held_before_an_add_that_failed_is_there_again() -> None:
    rig = AccountsRig()
    await rig.keyring.write("a", Secret("of an earlier program"))
    rig.file.broken = True
    with pytest.raises(SettingsError, match="disk is full"):
        await rig.book.add(AddAccount("a", KEY, "o"))
    assert rig.secret_of("a") == "of an earlier program"


async def test_two_imports_at_once_are_one_account_with_its_token() -> None:
    rig = AccountsRig()
    rig.knows("t1", ME)
    orders = [rig.book.import_all([FakeLogin("t1")]) for _ in range(2)]
    done = [i for imports in await asyncio.gather(*orders) for i in imports.imported]
    assert [(one.name, one.is_new) for one in done] == [(ME, True), (ME, False)]
    assert (rig.names, rig.secret_of(ME)) == ([ME], "t1")


async def test_a_rename_moves_the_key() -> None:
    rig = AccountsRig(Account("old", "org-1"))
    await rig.keyring.write("old", Secret("t"))
    await rig.book.edit(EditAccount("old", "new", "org-1", None))
    assert rig.file.listed == [Account("new", "org-1")]
    assert (rig.secret_of("old"), rig.secret_of("new")) == (None, "t")


async def test_a_rename_that_fails_at_the_settings_loses_no_key() -> None:
    rig = AccountsRig(Account("old", "org-1"))
    await rig.keyring.write("old", Secret("t"))
    rig.file.broken = True
    with pytest.raises(SettingsError):
        await rig.book.edit(EditAccount("old", "new", "org-1", None))
    assert (rig.secret_of("old"), rig.secret_of("new")) == ("t", None)
    assert rig.names == ["old"]


async def test_a_rename_that_fails_at_the_new_entry_changes_nothing() -> None:
    rig = AccountsRig(Account("old", "org-1"))
    await rig.keyring.write("old", Secret("t"))
    rig.keyring.refuses.add("new")
    with pytest.raises(CredentialError):
        await rig.book.edit(EditAccount("old", "new", "org-1", None))
    assert (rig.names, rig.secret_of("old")) == (["old"], "t")


async def test_a_rename_that_cannot_delete_the_old_entry_has_both() -> None:
    rig = AccountsRig(Account("old", "org-1"))
    await rig.keyring.write("old", Secret("t"))
    await rig.credentials.credential(rig.file.listed[0])
    rig.keyring.refuses.add("old")
    with pytest.raises(CredentialError):
        await rig.book.edit(EditAccount("old", "new", "org-1", None))
    assert rig.names == ["new"]
    assert (rig.secret_of("old"), rig.secret_of("new")) == ("t", "t")


async def test_a_new_session_key_replaces_the_old_one() -> None:
    rig = AccountsRig(Account("web", "o", AuthMethod.SESSION_KEY))
    await rig.keyring.write("web", Secret("before"))
    await rig.book.edit(EditAccount("web", "web", "o-2", KEY))
    assert rig.secret_of("web") == KEY.reveal()
    assert rig.file.listed[0].org_id == "o-2"


async def test_an_edit_without_a_change_of_key_needs_no_keyring() -> None:
    rig = AccountsRig(Account("a", "o", label="work"))
    rig.keyring.locked = True
    await rig.book.edit(EditAccount("a", "a", "o-2", None))
    assert rig.file.listed == [Account("a", "o-2", label="work")]


async def test_a_label_is_given_changed_and_taken_away() -> None:
    rig = AccountsRig(Account("a", "o"))
    for label, listed in (("work", "work"), (None, "work"), ("", None)):
        await rig.book.edit(EditAccount("a", "a", "o", None, label))
        assert rig.file.listed[0].label == listed
        assert rig.store.state.accounts["a"].account.label == listed


async def test_a_removed_account_leaves_nothing() -> None:
    rig = AccountsRig()
    rig.knows("t1", ME)
    await imported(rig, "t1")
    await rig.book.remove(ME)
    assert (rig.names, rig.keyring.kept, rig.entries) == ([], {}, {})
    assert rig.store.state.accounts == {}


async def test_marking_an_account_active() -> None:
    rig = AccountsRig(Account("a"), Account("b"))
    await rig.book.use("b")
    assert rig.store.state.active_account == "b"


async def test_an_unknown_account_is_named() -> None:
    rig = AccountsRig()
    for operation in (
        rig.book.use("x"),
        rig.book.remove("x"),
        rig.book.edit(EditAccount("x", "y", "", None)),
    ):
        with pytest.raises(TrackerError, match="'x'"):
            await operation

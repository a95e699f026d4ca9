"""What an import brings from many places, and what it says of those that bring nothing."""

from dataclasses import replace

import pytest

from monitor.core.errors import (
    ApiError,
    Cause,
    CredentialError,
    Failure,
    NotLoggedInError,
    Reason,
    Source,
)
from monitor.core.model import Account, Identity, Storage
from monitor.credentials.account_cache import CachedAccount
from monitor.credentials.accounts import Imported, Imports, NotImported
from tests.builders import after, before
from tests.credentials.factories import AccountsRig, FakeFacts, FakeLogin

ME, YOU = "me@example.com", "you@example.com"


async def test_every_place_has_its_line() -> None:
    rig = AccountsRig()
    for token, email in {"t1": ME, "t2": ME, "u1": YOU}.items():
        rig.knows(token, email)
    await rig.import_from([FakeLogin("u1", "/you")])
    rig.knows("u2", YOU)
    imports = await rig.book.import_all(
        [
            FakeLogin("t1", expires_at=after(hours=5)),
            FakeLogin("t2", "/b", after(hours=8)),
            FakeLogin("u2", "/you"),
            FakeLogin("u2", "/you"),
            FakeLogin(None, "/empty"),
            FakeLogin("setup", "/ci", scopes=("user:inference",)),
            FakeLogin("dead", "/old work", before(hours=1)),
            FakeLogin("x", None, item="keychain:y", facts=None),
            FakeLogin("dead", None, before(hours=1), item="keychain:z", facts=None),
        ]
    )
    assert [one.words for one in imports.imported] == [
        f"{ME}: imported",
        f"{ME}: token renewed",
        f"{YOU}: token renewed",
        f"{YOU}: already imported",
    ]
    assert [one.words for one in imports.failed] == [
        "/empty: not logged in",
        "/ci: the token may not read usage (a setup-token cannot): log in by `claude` /login",
        "/old work: the token there has expired: run `CLAUDE_CONFIG_DIR='/old work' claude`, then import again",
        "keychain:y: refused",
        "keychain:z: the token there has expired: run `claude` with the CLAUDE_CONFIG_DIR of this login, "
        "which is not known here, then import again",
    ]
    assert rig.profiles.asked == ["u1", "t1", "t2", "u2", "x"], "nothing is sent that is known dead"


async def test_an_older_token_of_a_second_folder_replaces_nothing() -> None:
    rig = AccountsRig()
    rig.knows("t1", ME)
    rig.knows("t2", ME)
    await rig.import_from(
        [FakeLogin("t1", expires_at=after(hours=8)), FakeLogin("t2", "/b", after(hours=5))]
    )
    assert rig.secret_of(ME) == "t1"
    assert rig.learnt[ME].folders == ("", "/b")


@pytest.mark.parametrize("default", [None, Storage.LINKED])
async def test_where_no_keyring_is_to_be_had_or_wanted_the_account_is_linked(
    default: Storage | None,
) -> None:
    rig = AccountsRig()
    rig.prefers(default)
    rig.keyring.absent = default is None
    rig.knows("t1", ME)
    rig.logins = [FakeLogin("t1", "/w", after(hours=8))]
    (imported,) = await rig.import_from(rig.logins)
    assert imported.words == f"{ME}: imported, read live from Claude Code"
    assert rig.file.listed == [Account(ME, "org-1", storage=Storage.LINKED, config_dir="/w")]
    assert rig.keyring.kept == {}
    rig.restart()
    assert (await rig.credentials.credential(rig.account(ME))).secret.reveal() == "t1"


async def test_a_locked_keyring_is_a_keyring() -> None:
    rig = AccountsRig()
    rig.keyring.locked = True
    rig.knows("t1", ME)
    with pytest.raises(CredentialError, match="locked"):
        await rig.import_from([FakeLogin("t1")])
    assert (rig.names, rig.learnt[ME]) == ([], CachedAccount())


async def test_a_keyring_that_is_asked_for_and_missing_is_an_error_with_the_other_ways() -> None:
    rig = AccountsRig()
    rig.prefers(Storage.KEYRING)
    rig.keyring.absent = True
    rig.knows("t1", ME)
    with pytest.raises(CredentialError, match=r'storage = "linked".*token_command.*systemd'):
        await rig.import_from([FakeLogin("t1")])


async def test_an_account_of_a_command_is_only_attached() -> None:
    rig = AccountsRig(Account(ME, "org-1", token_command=("pass",)))
    rig.knows("t1", ME)
    (imported,) = await rig.import_from([FakeLogin("t1", "/w")])
    assert (imported.is_new, imported.storage) == (False, Storage.COMMAND)
    assert rig.keyring.kept == {}


async def test_without_an_api_a_login_is_whose_claude_code_says_it_is() -> None:
    rig = AccountsRig()
    rig.forbid_api()
    facts = FakeFacts(Identity("uuid-me", "org-1"), ME, "Mine")
    rig.logins = [FakeLogin("t1", "/w", facts=facts)]
    assert [i.name for i in await rig.import_from(rig.logins)] == [ME]
    assert rig.learnt[ME].identity == Identity("uuid-me", "org-1")
    with pytest.raises(CredentialError, match=r"api\.enabled"):
        await rig.import_from([FakeLogin("t2", "/x")])
    assert rig.profiles.asked == []


@pytest.mark.parametrize(
    "login",
    [
        FakeLogin("dead", "/w", before(hours=1)),
        FakeLogin("setup", "/w", scopes=("user:inference",)),
        FakeLogin("good", "/w", after(hours=8)),
    ],
)
async def test_without_an_api_no_token_has_to_hold_and_none_is_kept(login: FakeLogin) -> None:
    rig = AccountsRig()
    rig.forbid_api()
    rig.keyring.locked = True
    mine = Identity("uuid-me", "org-1")
    rig.logins = [replace(login, facts=FakeFacts(mine, ME, "Mine"))]
    for is_new in (True, False):
        (imported,) = await rig.import_from(rig.logins)
        assert (imported.name, imported.is_new) == (ME, is_new)
        await rig.watcher.look()
    assert (rig.names, rig.learnt[ME].identity, rig.learnt[ME].folders) == ([ME], mine, ("/w",))
    assert rig.keyring.kept == {}
    assert rig.store.state.logged_in == ME
    with pytest.raises(NotLoggedInError):
        await rig.import_from([FakeLogin(None, "/x", facts=FakeFacts(mine, ME))])


NEW = Imported("a", is_new=True, is_renewed=True)
RENEWED = Imported("b", is_new=False, is_renewed=True)
KNOWN = Imported("c", is_new=False)
EMPTY = NotImported("/e", NotLoggedInError(Failure(Reason.CREDENTIALS, detail="nobody")))
FAILED = NotImported("/f", ApiError(Failure(Reason.CONNECTION, detail="no network")))


@pytest.mark.parametrize(
    ("imports", "words"),
    [
        (Imports((NEW,), (EMPTY,)), "imported a"),
        (Imports((NEW, RENEWED, KNOWN)), "imported a; token renewed: b"),
        (Imports((KNOWN,)), "nothing new: all logins found are already imported"),
        (Imports((KNOWN,), (FAILED,)), "/f: no network"),
    ],
)
def test_one_line_tells_what_matters(imports: Imports, words: str) -> None:
    assert imports.words == words
    assert imports.or_raise() is imports


def test_where_nothing_was_imported_what_went_wrong_is_told_before_what_is_empty() -> None:
    with pytest.raises(ApiError, match="no network"):
        Imports(failed=(EMPTY, FAILED)).or_raise()
    with pytest.raises(NotLoggedInError):
        Imports(failed=(EMPTY,)).or_raise()
    assert Imports().or_raise() == Imports()


def test_a_locked_keychain_is_told_as_it_is() -> None:
    locked = CredentialError(Failure(Reason.CREDENTIALS, Cause.LOCKED, Source.KEYCHAIN))
    assert NotImported("~/.claude", locked).words.startswith("~/.claude: the Keychain is locked: ")

import pytest

from monitor.core.errors import Cause, CredentialError, Failure, Reason, Source
from monitor.core.model import Account, Storage
from monitor.credentials.folders import aliases, for_claude_code, natural_key
from tests.credentials.factories import AccountsRig, FakeLogin

ME = "me@example.com"


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")


@pytest.mark.parametrize(
    ("folder", "spelled"),
    [
        ("~/.claude-work", "/home/me/.claude-work"),
        ("~/.claude-work/", "/home/me/.claude-work/"),
        ("/w/../x", "/w/../x"),
        ("~/.claude", ""),
        ("/home/me/.claude/", ""),
    ],
)
def test_a_folder_is_spelled_as_the_settings_have_it_but_for_the_default_one(
    folder: str, spelled: str
) -> None:
    assert for_claude_code(folder) == spelled


def test_the_default_folder_may_be_remembered_by_its_name_too() -> None:
    assert aliases("~/.claude") == ("/home/me/.claude", "")
    assert aliases("~/.claude-work/") == ("/home/me/.claude-work/",)
    assert aliases(None) == ()


@pytest.mark.parametrize(
    ("folder", "command"),
    [
        ("~/.claude-work", "`CLAUDE_CONFIG_DIR=/home/me/.claude-work claude`"),
        ("~/.claude", "`claude`"),
        (None, "`claude`"),
    ],
)
async def test_the_command_for_a_folder_of_the_settings_can_be_pasted(
    folder: str | None, command: str
) -> None:
    account = Account(ME, "org-1", storage=Storage.LINKED, config_dir=folder)
    with pytest.raises(CredentialError) as told:
        await AccountsRig(account).credentials.credential(account)
    assert f"run {command} and use /login" in str(told.value)


async def test_why_the_default_place_cannot_be_read_is_said_of_the_account_that_names_it() -> None:
    rig = AccountsRig(Account(ME, "org-1", storage=Storage.LINKED, config_dir="~/.claude"))
    locked = CredentialError(Failure(Reason.CREDENTIALS, Cause.LOCKED, Source.KEYCHAIN))
    rig.logins = [FakeLogin(error=locked)]
    await rig.watcher.look()
    with pytest.raises(CredentialError, match="locked"):
        await rig.credentials.credential(rig.account(ME))


def test_numbers_in_names_are_counted_and_not_spelled() -> None:
    names = ["~/.claude-10", "~/.claude", "~/.claude-2b", "~/.claude-2"]
    assert sorted(names, key=natural_key) == [
        "~/.claude",
        "~/.claude-2",
        "~/.claude-2b",
        "~/.claude-10",
    ]

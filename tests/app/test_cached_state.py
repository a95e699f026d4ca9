"""Whose login Claude Code would use now, where nobody may be asked: a table of what its file and our memory say."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from monitor.app.cached_state import NOT_KNOWN, CurrentLogin, find_login
from monitor.core.model import Account, AuthMethod, Identity, Profile, Secret
from monitor.core.state import State
from monitor.credentials.account_cache import AccountCache, CachedAccount, digest
from tests.builders import NOW, after, live, state
from tests.fakes import Entries

TOKEN, RENEWED = "sk-ant-oat01-one", "sk-ant-oat01-two"


class Home:
    """A user's home: Claude Code's logins by folder, and what was learnt of the accounts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries = Entries()
        self.env = {"HOME": str(folder)}

    def logs_in(self, folder: str, token: str, ends: timedelta = timedelta(hours=8)) -> Path:
        file = self.folder / folder / ".credentials.json"
        file.parent.mkdir(exist_ok=True)
        milliseconds = int((NOW + ends).timestamp() * 1000)
        login = {"accessToken": token, "refreshToken": "r", "expiresAt": milliseconds}
        file.write_text(json.dumps({"claudeAiOauth": login}))
        return file

    def learnt(self, **facts: tuple[str, list[str]]) -> None:
        """Of each account its newest token, and the folders that it lives in."""
        self.entries |= {
            name: {"token_digest": digest(Secret(token)), "folders": folders}
            for name, (token, folders) in facts.items()
        }

    def says(self, shown: State | None = None, **environ: str) -> CurrentLogin:
        shown = shown or state(live("work"), live("home"))
        return find_login(shown, AccountCache(self.entries), NOW, {**self.env, **environ}, "linux")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_token_tells_whose_it_is_wherever_it_lies(home: Home) -> None:
    home.learnt(work=(TOKEN, []), home=("sk-ant-oat01-other", [""]))
    home.logs_in(".claude", TOKEN)
    assert home.says() == CurrentLogin("work")
    assert home.says(CLAUDE_CONFIG_DIR=f"{home.folder}/.claude/") == CurrentLogin("work")


def test_the_folder_is_the_one_that_claude_code_would_look_into(home: Home) -> None:
    home.learnt(work=(TOKEN, [""]), home=(RENEWED, []))
    home.logs_in(".claude", TOKEN)
    home.logs_in(".claude-1", RENEWED)
    elsewhere = str(home.folder / ".claude-1")
    assert home.says(CLAUDE_CONFIG_DIR=elsewhere) == CurrentLogin("home")
    assert home.says(
        CLAUDE_CONFIG_DIR="", CLAUDE_SECURESTORAGE_CONFIG_DIR=elsewhere
    ) == CurrentLogin("home")
    assert home.says(
        CLAUDE_CONFIG_DIR=elsewhere, CLAUDE_SECURESTORAGE_CONFIG_DIR=""
    ) == CurrentLogin("work")


def test_nobody_is_logged_in_where_there_is_no_login(home: Home) -> None:
    assert home.says() == CurrentLogin()
    home.learnt(work=(TOKEN, []))
    home.logs_in(".claude", TOKEN)
    assert (
        home.says(CLAUDE_CONFIG_DIR="~/.claude") == CurrentLogin()
    )  # a ~ in the environment is a name
    home.logs_in(".claude", TOKEN).write_text('{"mcpOAuth": {}}')
    assert home.says() == CurrentLogin()


def test_a_token_that_nobody_knows_may_be_anybodys(home: Home) -> None:
    home.learnt(work=(TOKEN, []))
    home.logs_in(".claude", RENEWED)
    assert home.says() == NOT_KNOWN


def test_a_token_that_has_ended_is_of_whoever_lives_there(home: Home) -> None:
    home.learnt(work=(TOKEN, [""]))
    home.logs_in(".claude", RENEWED, ends=timedelta(hours=-1))
    assert home.says() == CurrentLogin("work")


def test_a_token_that_was_asked_about_is_of_whom_the_answer_named(home: Home) -> None:
    """An account may live in several folders, with a token in each; and a stranger's is known for one."""
    work, stranger = Identity("acc-work", "org-work"), Identity("acc-x", "org-x")
    home.learnt(work=(TOKEN, []), home=("sk-ant-oat01-other", []))
    learnt = AccountCache(home.entries, home.entries.save)
    learnt["work"] = CachedAccount(work, token_digest=digest(Secret(TOKEN)))
    learnt.remember(Secret(RENEWED), Profile(work, "me@work.com", "Work", None))
    home.logs_in(".claude", RENEWED)
    assert home.says() == CurrentLogin("work")
    learnt.remember(Secret(RENEWED), Profile(stranger, "x@x.com", "X", None))
    assert home.says() == CurrentLogin()


def test_what_cannot_be_read_tells_nothing(home: Home) -> None:
    file = home.logs_in(".claude", TOKEN)
    file.write_text('{"claudeAiOauth": ')
    assert home.says() == NOT_KNOWN
    file.unlink()
    file.mkdir()
    assert home.says() == NOT_KNOWN


def test_accounts_by_session_key_have_no_login(home: Home) -> None:
    home.learnt(web=(TOKEN, [""]))
    home.logs_in(".claude", TOKEN)
    web = live("web", account=Account("web", "org-web", AuthMethod.SESSION_KEY))
    assert home.says(state(web)) == NOT_KNOWN


def test_the_keychain_is_not_asked(home: Home) -> None:
    home.learnt(work=(TOKEN, [""]))
    home.logs_in(".claude", TOKEN)
    assert (
        find_login(state(live("work")), AccountCache(home.entries), after(), home.env, "darwin")
        == NOT_KNOWN
    )

"""The settings file as values: defaults, every key, older files, and what is doubtful."""

import subprocess
import sys
from pathlib import Path

import pytest

from monitor.core.errors import SettingsError
from monitor.core.model import Account, AuthMethod, Storage
from monitor.settings import Address, ApiSettings, Settings, load
from monitor.settings.model import ExporterSettings, NotificationSettings
from monitor.settings.reader import parse

PATH = Path("/c/config.toml")

FULL = """\
[settings]
poll_interval_secs = 240
active_account = 1
storage = "linked"

[exporter]
listen = "[::1]:9000"

[notifications]
enabled = false
channels = ["bell", "desktop"]
thresholds = [100, 50, 82.5]
reset = false

[api]
url = "https://api.example.com/"
web_url = "http://127.0.0.1:8080"
timeout_secs = 2.5
user_agent = "mine/1.0 (me)"
enabled = false

[[accounts]]
name = "user@example.com"
org_id = "65f10de7-..."
auth_method = "oauth"
label = "work"
storage = "command"
config_dir = "~/.claude-work/"
token_command = ["pass", "show", "claude/work"]

[[accounts]]
name = "user@example.com (Organization)"
auth_method = "session_key"
"""


def settings(text: str) -> Settings:
    return parse(text.encode(), PATH)


def test_every_key_is_read() -> None:
    assert settings(FULL) == Settings(
        PATH,
        poll_interval_secs=240,
        active_account=1,
        exporter=ExporterSettings(Address("::1", 9000)),
        notifications=NotificationSettings(
            enabled=False, channels=("bell", "desktop"), thresholds=(0.5, 0.825, 1.0), reset=False
        ),
        api=ApiSettings(
            "https://api.example.com", "http://127.0.0.1:8080", 2.5, "mine/1.0 (me)", False
        ),
        accounts=(
            Account(
                "user@example.com",
                "65f10de7-...",
                AuthMethod.OAUTH,
                "work",
                Storage.COMMAND,
                "~/.claude-work/",
                ("pass", "show", "claude/work"),
            ),
            Account("user@example.com (Organization)", "", AuthMethod.SESSION_KEY, None),
        ),
        storage=Storage.LINKED,
    )


def test_a_missing_or_empty_file_means_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    defaults = Settings(
        path,
        poll_interval_secs=180,
        active_account=0,
        exporter=ExporterSettings(Address("127.0.0.1", 15707)),
        notifications=NotificationSettings(True, ("desktop",), (0.80, 0.95, 1.00), True),
        api=ApiSettings("https://api.anthropic.com", "https://claude.ai", 10, None, True),
        accounts=(),
        storage=None,
    )
    assert load(path) == defaults
    assert load(path).warnings == ()
    path.touch()
    assert load(path) == defaults


def test_an_older_file_works_unchanged() -> None:
    older = """\
[settings]
poll_interval_secs = 60
active_account = 0

[[accounts]]
name = "by hand"

[[accounts]]
name = "imported"
org_id = "65f1"
auth_method = "o_auth"
"""
    assert settings(older).accounts == (
        Account("by hand", "", AuthMethod.SESSION_KEY),
        Account("imported", "65f1", AuthMethod.OAUTH),
    )


@pytest.mark.parametrize("secs, used", [(-5, 30), (0, 30), (29, 30), (30, 30), (86_400, 86_400)])
def test_the_interval_is_never_below_thirty_seconds(secs: int, used: int) -> None:
    assert settings(f"[settings]\npoll_interval_secs = {secs}").poll_interval_secs == used


def test_an_interval_that_is_not_used_is_named_beside_the_one_that_is() -> None:
    first, second = settings("[settings]\npoll_interval_secs = 10").warnings
    assert first.endswith("config.toml:2: poll_interval_secs = 10 is too short: 30 is used")
    assert "poll_interval_secs = 30 needs 120 requests an hour" in second
    assert len(settings("[settings]\npoll_interval_secs = 30").warnings) == 1


@pytest.mark.parametrize("secs, used", [(60, 60), (5, 30)])
def test_an_interval_that_asks_too_often_is_kept_and_warned_of(secs: int, used: int) -> None:
    *_, warning = settings(f"[settings]\n\npoll_interval_secs = {secs}").warnings
    assert warning.startswith(f"/c/config.toml:3: poll_interval_secs = {used} needs ")
    assert "28" in warning


def test_an_interval_that_keeps_to_the_hour_is_not_warned_of() -> None:
    assert settings("[settings]\npoll_interval_secs = 180").warnings == ()


def test_warnings_are_no_difference_between_two_settings() -> None:
    loud = settings("[settings]\npoll_interval_secs = 60")
    assert loud.warnings and loud == Settings(PATH, poll_interval_secs=60)


def account(text: str) -> Account:
    (account,) = settings(f"[[accounts]]\nname = 'a'\nauth_method = 'oauth'\n{text}").accounts
    return account


@pytest.mark.parametrize("word", ["keyring", "linked", "systemd"])
def test_where_a_token_is_had_from(word: str) -> None:
    assert account(f"storage = '{word}'").storage is Storage(word)
    assert account("").storage is None


def test_a_command_for_the_token_says_by_itself_where_it_is_had_from() -> None:
    meant = account("storage = 'command'\ntoken_command = ['pass', '', 'x y']")
    assert meant.token_command == ("pass", "", "x y")
    assert account("token_command = ['pass', '', 'x y']") == meant


@pytest.mark.parametrize("folder", ["~/.claude-work", "~/.claude-work/", "~b/x", "/ä b"])
def test_a_folder_of_claude_code_is_kept_as_it_is_spelled(folder: str) -> None:
    assert account(f"config_dir = '{folder}'").config_dir == folder


def test_a_session_key_may_come_from_anywhere_but_claude_code() -> None:
    text = "[[accounts]]\nname = 'a'\nauth_method = 'session_key'\nstorage = '{}'"
    assert settings(text.format("systemd")).accounts[0].storage is Storage.SYSTEMD
    with pytest.raises(SettingsError, match="keeps no session keys"):
        settings(text.format("linked"))


def test_an_active_account_that_is_not_there_is_no_error() -> None:
    assert settings("[settings]\nactive_account = 7").active_account == 7


def test_a_byte_order_mark_and_windows_line_ends_are_read() -> None:
    content = b"\xef\xbb\xbf" + FULL.replace("\n", "\r\n").encode()
    assert parse(content, PATH) == settings(FULL)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        load(tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.anthropic.com",
        "https://proxy.example.com:8443/anthropic",
        "http://localhost:1",
        "http://127.9.9.9:1",
        "http://[::1]:1",
    ],
)
def test_urls_that_are_safe_for_tokens(url: str) -> None:
    assert settings(f'[api]\nurl = "{url}"').api.url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.anthropic.com",
        "ftp://x",
        "http://example.com",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://10.0.0.1",
        "https://",
        "https://user:word@example.com",
        "https://example.com?q",
        "https://example.com#f",
        "https://example.com:port",
        "https://example.com:99999",
        "https://exa mple.com",
        "https://example.com\\\\@evil.com",
        "http://127.0.0.1@evil.com",
        "file:///etc/passwd",
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"config\.toml:2: api\.url: "):
        settings(f'[api]\nurl = "{url}"')


def test_reading_settings_does_not_import_what_only_edits_need() -> None:
    code = "import sys, monitor.settings; print('tomlkit' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"

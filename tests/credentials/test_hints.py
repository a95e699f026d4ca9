import pytest

from monitor.core.model import Account, AuthMethod, Storage
from monitor.credentials import hints


@pytest.mark.parametrize(
    ("folder", "command"),
    [
        ("", "claude"),
        (None, "claude"),
        ("/home/me/.claude-work", "CLAUDE_CONFIG_DIR=/home/me/.claude-work claude"),
        ("/home/me/my work", "CLAUDE_CONFIG_DIR='/home/me/my work' claude"),
        ("/tmp/$(reboot)", "CLAUDE_CONFIG_DIR='/tmp/$(reboot)' claude"),
    ],
)
def test_a_command_can_be_pasted_into_a_shell(folder: str | None, command: str) -> None:
    assert hints.command(folder) == command


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (hints.waiting(""), "waiting for Claude Code: run `claude`"),
        (hints.waiting("/w"), "waiting for Claude Code: run `CLAUDE_CONFIG_DIR=/w claude`"),
        (
            hints.waiting(None),
            "waiting for Claude Code: run `claude` where this account is logged in",
        ),
        (
            hints.ended("/w"),
            "Claude Code's login has ended: run `CLAUDE_CONFIG_DIR=/w claude` and use /login",
        ),
        (
            hints.logged_out(["", "/w"]),
            "logged out: run `CLAUDE_CONFIG_DIR=/w claude` and use /login",
        ),
        (
            hints.not_its_own("/w", "b"),
            "/w holds the login of 'b': run `CLAUDE_CONFIG_DIR=/w claude` and use /login, "
            "or correct config_dir in the settings",
        ),
        (hints.logged_out([]), "logged out: log in by `claude` /login"),
    ],
)
def test_advice_says_who_where_and_which_command(words: str, told: str) -> None:
    assert words == told


def test_every_advice_is_one_line_that_says_what_is_wrong_before_what_to_do() -> None:
    key = Account("a", auth_method=AuthMethod.SESSION_KEY)
    every = [
        hints.waiting("/w"),
        hints.ended("/w"),
        hints.logged_out(["/w"]),
        hints.not_its_own("/w", None),
        hints.not_its_own("/w", "b"),
        hints.not_renewed(Storage.COMMAND),
        hints.not_renewed(Storage.SYSTEMD),
        hints.nothing(Account("a"), "/w"),
        hints.nothing(Account("a"), None),
        hints.nothing(key, None),
        hints.SETUP_TOKEN,
    ]
    for words in every:
        assert "\n" not in words
        assert words.partition(":")[2].strip()

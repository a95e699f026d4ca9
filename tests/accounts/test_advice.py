import pytest

from monitor.accounts import advice
from monitor.core.model import Account, AuthMethod, Storage


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
    assert advice.command(folder) == command


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (advice.waiting(""), "waiting for Claude Code: run `claude`"),
        (advice.waiting("/w"), "waiting for Claude Code: run `CLAUDE_CONFIG_DIR=/w claude`"),
        (
            advice.waiting(None),
            "waiting for Claude Code: run `claude` where this account is logged in",
        ),
        (
            advice.ended("/w"),
            "Claude Code's login has ended: run `CLAUDE_CONFIG_DIR=/w claude` and use /login",
        ),
        (
            advice.logged_out(["", "/w"]),
            "logged out: run `CLAUDE_CONFIG_DIR=/w claude` and use /login",
        ),
        (
            advice.not_its_own("/w", "b"),
            "/w holds the login of 'b': run `CLAUDE_CONFIG_DIR=/w claude` and use /login, "
            "or correct config_dir in the settings",
        ),
        (advice.logged_out([]), "logged out: log in by `claude` /login"),
    ],
)
def test_advice_says_who_where_and_which_command(words: str, told: str) -> None:
    assert words == told


def test_every_advice_is_one_line_that_says_what_is_wrong_before_what_to_do() -> None:
    key = Account("a", auth_method=AuthMethod.SESSION_KEY)
    every = [
        advice.waiting("/w"),
        advice.ended("/w"),
        advice.logged_out(["/w"]),
        advice.not_its_own("/w", None),
        advice.not_its_own("/w", "b"),
        advice.not_renewed(Storage.COMMAND),
        advice.not_renewed(Storage.SYSTEMD),
        advice.nothing(Account("a"), "/w"),
        advice.nothing(Account("a"), None),
        advice.nothing(key, None),
        advice.SETUP_TOKEN,
    ]
    for words in every:
        assert "\n" not in words
        assert words.partition(":")[2].strip()

import pytest

from monitor.core.errors import (
    Cause,
    CredentialError,
    Failure,
    Reason,
    Source,
    command,
    describe,
    explain,
)


@pytest.mark.parametrize(
    ("folder", "line"),
    [
        ("", "claude"),
        (None, "claude"),
        ("/home/me/.claude-work", "CLAUDE_CONFIG_DIR=/home/me/.claude-work claude"),
        ("/home/me/my work", "CLAUDE_CONFIG_DIR='/home/me/my work' claude"),
        ("/tmp/$(reboot)", "CLAUDE_CONFIG_DIR='/tmp/$(reboot)' claude"),
    ],
)
def test_a_command_can_be_pasted_into_a_shell(folder: str | None, line: str) -> None:
    assert command(folder) == line


@pytest.mark.parametrize(
    ("cause", "folder", "owner", "sentence"),
    [
        (Cause.WAITING, "", None, "waiting for Claude Code: run `claude`"),
        (Cause.WAITING, "/w", None, "waiting for Claude Code: run `CLAUDE_CONFIG_DIR=/w claude`"),
        (
            Cause.WAITING,
            None,
            None,
            "waiting for Claude Code: run `claude` where this account is logged in",
        ),
        (
            Cause.LOGIN_ENDED,
            "/w",
            None,
            "Claude Code's login has ended: run `CLAUDE_CONFIG_DIR=/w claude` and use /login",
        ),
        (
            Cause.LOGGED_OUT,
            "/w",
            None,
            "logged out: run `CLAUDE_CONFIG_DIR=/w claude` and use /login",
        ),
        (Cause.LOGGED_OUT, None, None, "logged out: run `claude` and use /login"),
        (
            Cause.OTHER_LOGIN,
            "/w",
            "b",
            "/w contains the login of 'b': run `CLAUDE_CONFIG_DIR=/w claude` and use /login, "
            "or correct config_dir in the settings",
        ),
        (
            Cause.OTHER_LOGIN,
            "",
            None,
            "the login in ~/.claude is not known to be this account's: run `claude` and use /login, "
            "or correct config_dir in the settings",
        ),
    ],
)
def test_a_sentence_says_which_command_helps(
    cause: Cause, folder: str | None, owner: str | None, sentence: str
) -> None:
    assert describe(Failure(Reason.AUTH, cause, folder=folder, owner=owner)) == sentence


@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize("source", [None, *Source])
def test_every_cause_has_one_line_and_advice_is_no_part_of_the_problem(
    cause: Cause, source: Source | None
) -> None:
    failure = Failure(Reason.CREDENTIALS, cause, source, "NAME", "/w", "OWNER", "DETAIL")
    problem, advice = explain(failure)
    assert problem and "{" not in problem + advice and "\n" not in problem + advice
    assert describe(failure) == (f"{problem}: {advice}" if advice else problem)


def test_braces_in_a_name_are_only_text() -> None:
    failure = Failure(Reason.CREDENTIALS, Cause.WRONG_ACCOUNT, name="{detail}", owner="{0}")
    assert "'{detail}' is of {0}" in describe(failure)


def test_without_a_cause_the_other_sides_words_stand_alone() -> None:
    assert describe(Failure(Reason.SERVER, detail="HTTP 500")) == "HTTP 500"
    assert describe(Failure(Reason.RATE_LIMITED)) == "rate limited by the API (HTTP 429)"
    assert describe(Failure(Reason.TIMEOUT)) == ""


def test_an_error_is_shown_as_its_sentence() -> None:
    failure = Failure(Reason.CREDENTIALS, Cause.LOCKED, Source.KEYRING)
    assert str(CredentialError(failure)) == describe(failure)


@pytest.mark.parametrize("cause", Cause)
def test_only_a_token_that_claude_code_renews_is_renewable(cause: Cause) -> None:
    assert Failure(Reason.AUTH, cause).renewable is (cause is Cause.WAITING)

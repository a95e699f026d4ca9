"""The words of the Status column."""

from dataclasses import replace

import pytest

from monitor.core.errors import Cause, Failure, Reason, Source
from monitor.core.model import Account, AccountState, AuthMethod, Storage, Window
from monitor.core.state import State
from monitor.terminal.text import Style
from monitor.terminal.words import StatusWords, status_words
from tests.builders import NOW, after
from tests.terminal.factories import account, down, span, state_of

NAME = "user@work.com"


def status(state: AccountState, **changes: object) -> StatusWords:
    return status_words(state_of(state, **changes), state, NOW)


def aged(age: str, **changes: object) -> AccountState:
    return account(NOW, NAME, ("5h", 42, "2h"), age=age, **changes)


@pytest.mark.parametrize(
    ("age", "text", "style"),
    [
        ("12s", "Live", Style.PLAIN),
        ("2m", "Live", Style.PLAIN),
        ("2m 1s", "2m ago", Style.NOTICE),
        ("5m", "5m ago", Style.NOTICE),
        ("3h", "3h ago", Style.NOTICE),
    ],
)
def test_numbers_are_live_for_two_minutes_and_then_have_an_age(
    age: str, text: str, style: Style
) -> None:
    assert status(aged(age)) == StatusWords((text,), style)


@pytest.mark.parametrize(("age", "text"), [("12s", "Logged In"), ("5m", "Logged In, 5m old")])
def test_the_account_of_claude_code_is_logged_in(age: str, text: str) -> None:
    assert status(aged(age), logged_in=NAME).phrases == (text,)


def test_a_full_account_says_until_when() -> None:
    full = account(NOW, NAME, ("5h", 100, "1h 4m"), ("7d", 18, "6d"))
    assert status(full).phrases == ("Live, full until 13:04", "Live, full", "Live")
    assert status(full, logged_in=NAME).phrases[0] == "Logged In, full until 13:04"
    week = account(NOW, NAME, ("5h", 100, "1h 4m"), ("7d", 100, "2d"), age="5m")
    assert status(week).phrases[0] == "5m ago, full until Tue 12:00"


def test_a_full_week_of_one_model_is_named() -> None:
    one = account(NOW, NAME, ("5h", 10, "1h"), ("7d", 18, "6d"), ("7d_opus", 100, "6d"))
    assert status(one).phrases == ("Live, 7d opus full", "Live")


def test_an_account_without_numbers_has_none() -> None:
    waiting = replace(aged("12s"), usage=None, last_success_at=None)
    assert status(waiting).phrases == ("--",)


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (Failure(Reason.AUTH), "Expired — run claude"),
        (Failure(Reason.SCOPE), "Token can't read usage — run claude, then /login"),
        (Failure(Reason.RATE_LIMITED), "Rate limited until 14:05"),
        (Failure(Reason.TIMEOUT), "Timeout"),
        (Failure(Reason.CONNECTION), "No network"),
        (Failure(Reason.SERVER), "Anthropic server error"),
        (Failure(Reason.SERVER, detail="HTTP 404: x"), "Anthropic server error (HTTP 404: x)"),
        (Failure(Reason.SCHEMA), "Unexpected API answer"),
        (
            Failure(Reason.SCHEMA, Cause.NO_LIMITS),
            "The answer contains no figures: the last ones are kept until it does",
        ),
        (Failure(Reason.BLOCKED), "Something else answered"),
        (
            Failure(Reason.BLOCKED, Cause.ALIEN, detail="HTTP 407"),
            "Something on the way answered instead of the API (HTTP 407): "
            "look at the proxy, the VPN or the network's login page",
        ),
        (Failure(Reason.REFUSED), "The API does not allow it"),
        (
            Failure(Reason.REFUSED, Cause.FORBIDDEN, detail="This organization has been disabled."),
            "The API does not allow it (This organization has been disabled.): "
            "ask the organization's administrator",
        ),
        (Failure(Reason.CHALLENGE), "Cloudflare asks for a browser — import with i"),
        (Failure(Reason.CREDENTIALS, detail="the keyring is locked"), "The keyring is locked"),
        (Failure(Reason.CREDENTIALS), "No access"),
    ],
)
def test_a_failure_is_shown_in_words(failure: Failure, text: str) -> None:
    state = down(NOW, aged("12s"), failure, backoff_until=NOW + span("2h 5m"))
    assert status(state).phrases[0] == text
    assert status(state, logged_in=NAME).style is Style.PROBLEM


@pytest.mark.parametrize(
    ("failure", "phrases"),
    [
        (
            Failure(Reason.AUTH, Cause.WAITING, folder="/work"),
            (
                "Waiting for Claude Code: run `CLAUDE_CONFIG_DIR=/work claude`",
                "Waiting for Claude Code",
                "Run claude",
                "Waiting",
            ),
        ),
        (
            Failure(Reason.AUTH, Cause.LOGGED_OUT),
            (
                "Logged out: run `claude` and use /login",
                "Logged out — claude /login",
                "Logged out",
                "Log in",
            ),
        ),
        (
            Failure(Reason.AUTH, Cause.LOGIN_ENDED, folder=""),
            (
                "Claude Code's login has ended: run `claude` and use /login",
                "Login ended — claude /login",
                "claude /login",
                "Log in",
            ),
        ),
        (
            Failure(Reason.AUTH, Cause.EXPIRED, Source.SYSTEMD),
            (
                "The token has expired: renew the systemd credential",
                "The token has expired",
                "Expired",
            ),
        ),
        (
            Failure(Reason.AUTH, Cause.REFUSED),
            ("Expired — run claude", "Run claude", "Expired"),
        ),
    ],
)
def test_a_dead_token_says_what_it_waits_for_in_ever_fewer_words(
    failure: Failure, phrases: tuple[str, ...]
) -> None:
    assert status(down(NOW, aged("12s"), failure)).phrases == phrases


def test_every_reason_has_words() -> None:
    for reason in Reason:
        assert all(status(down(NOW, aged("1m"), reason)).phrases)


def test_a_refused_session_key_asks_for_a_new_one() -> None:
    key = Account(NAME, "org", AuthMethod.SESSION_KEY)
    state = down(NOW, aged("12s", account=key), Reason.AUTH)
    assert status(state).phrases[0] == "Key refused — press e for a new one"


@pytest.mark.parametrize(
    "storage, text",
    [
        (None, "Expired — run claude"),
        (Storage.KEYRING, "Expired — run claude"),
        (Storage.LINKED, "Expired — run claude"),
        (Storage.SYSTEMD, "Token refused — renew it at its source"),
        (Storage.COMMAND, "Token refused — renew it at its source"),
    ],
)
def test_claude_code_renews_its_own_tokens_alone(storage: Storage | None, text: str) -> None:
    mine = Account(NAME, "org", storage=storage)
    refused = Failure(Reason.AUTH, Cause.REFUSED)
    assert status(down(NOW, aged("12s", account=mine), refused)).phrases[0] == text


def test_a_failure_shows_the_age_of_the_numbers_in_its_fewest_words_too() -> None:
    state = down(NOW, aged("16m"), Reason.RATE_LIMITED, backoff_until=after(minutes=30))
    assert status(state).phrases == (
        "Rate limited until 12:30, 16m old",
        "Rate limited until 12:30, 16m",
        "Limited to 12:30, 16m old",
        "Limited to 12:30, 16m",
        "Wait 12:30, 16m old",
    )
    words = status(down(NOW, aged("10m"), Reason.CONNECTION))
    assert words.within(30) == "No network, 10m old"
    assert words.within(5) == "No n…"


def test_the_fewest_words_of_a_limit_still_say_until_when() -> None:
    state = down(NOW, aged("12s"), Reason.RATE_LIMITED, backoff_until=after(minutes=30))
    assert status(state).within(10) == "Wait 12:30"


def test_a_detail_is_shortened_to_what_is_wrong() -> None:
    state = down(NOW, aged("12s"), Failure(Reason.CREDENTIALS, Cause.LOCKED))
    assert status(state).within(24) == "Your keyring is locked"


def test_a_locked_window_is_named() -> None:
    state = aged("12s")
    locked = Window("5h", 0.1, after(hours=2), locked_reason="abuse")
    state = replace(state, usage=replace(state.usage, windows=(locked,)))  # type: ignore[type-var]
    assert status(state).phrases == ("Live, 5h locked", "Live")


def test_a_clock_that_was_set_back_gives_no_negative_age() -> None:
    state = replace(aged("12s"), last_success_at=after(hours=1))
    assert status_words(State(), state, NOW).phrases == ("Live",)

"""What scripts ask before they go on: below, reached, or not to be known."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.errors import Reason, SettingsError
from monitor.core.forecast import Forecast, RunOut
from monitor.core.model import Account, AccountForecast, Window
from monitor.core.ranking import Verdict, current_account, find_account, judge_room, judge_task
from monitor.core.state import State
from tests.builders import NOW, before, failing, live, state, usage, waiting, window

HOUR = timedelta(hours=1)
TWO = state(
    live("a", window("5h", 90, HOUR), window("7d", 20, HOUR), window("7d_opus", 100, HOUR)),
    live("b", window("5h", 10, HOUR), window("7d", 95, HOUR)),
)


@pytest.mark.parametrize(
    ("account", "asked", "percent", "verdict"),
    [
        ("a", None, 100, Verdict.BELOW),
        ("a", None, 90.001, Verdict.BELOW),
        ("a", None, 90, Verdict.REACHED),
        ("a", "7d", 90, Verdict.BELOW),
        ("a", "7d_opus", 100, Verdict.REACHED),
        ("a", "7d_fable", 100, Verdict.UNKNOWN),
        ("b", None, 95, Verdict.REACHED),
        ("b", "5h", 95, Verdict.BELOW),
        ("b", None, 0, Verdict.REACHED),
    ],
)
def test_a_window_is_below_or_at_the_percentage(
    account: str, asked: str | None, percent: float, verdict: Verdict
) -> None:
    assert judge_room(TWO, NOW, account, asked, percent / 100) is verdict


def test_a_model_that_is_full_stops_nobody_who_did_not_ask_for_it() -> None:
    assert judge_room(TWO, NOW, "a") is Verdict.BELOW


def test_without_a_name_it_is_the_login_in_use_else_the_active_account() -> None:
    assert judge_room(TWO, NOW, most=0.93) is Verdict.BELOW
    there = state(*TWO.accounts.values(), logged_in="b")
    assert judge_room(there, NOW, most=0.93) is Verdict.REACHED
    assert current_account(state()) is None
    assert judge_room(state(), NOW) is Verdict.UNKNOWN


def test_a_lock_counts_whatever_the_percentage() -> None:
    locked = Window("5h", 0.1, NOW + HOUR, locked_reason="abuse")
    assert judge_room(state(live("a", locked)), NOW) is Verdict.REACHED


def test_a_reset_that_no_poll_has_confirmed_counts_as_one() -> None:
    passed = live("a", window("5h", 100, timedelta(seconds=-30)), at=before(minutes=2))
    assert judge_room(state(passed), NOW, window="5h") is Verdict.BELOW


def test_what_is_old_or_was_never_said_is_not_known() -> None:
    old = live("a", window("5h", 10, HOUR), at=before(minutes=16))
    assert judge_room(state(old), NOW) is Verdict.UNKNOWN
    assert judge_room(state(waiting("a")), NOW) is Verdict.UNKNOWN
    assert judge_room(state(live("a", usage=usage())), NOW) is Verdict.UNKNOWN
    nonsense = live("a", Window("5h", float("nan")))
    assert judge_room(state(nonsense), NOW) is Verdict.UNKNOWN


def test_fresh_figures_count_while_polls_fail() -> None:
    account = failing(live("a", window("5h", 10, HOUR), at=before(minutes=14)), Reason.SERVER)
    assert judge_room(state(account), NOW) is Verdict.BELOW


def test_an_account_can_be_called_by_its_label() -> None:
    labelled = live(
        "long@example.com", window("5h", 10), account=Account("long@example.com", label="work")
    )
    assert judge_room(state(labelled), NOW, "work") is Verdict.BELOW


@pytest.mark.parametrize(
    ("account", "asked", "words"),
    [
        ("user@exmaple.com", None, "did you mean 'user@example.com'?"),
        ("ghost", None, "monitor accounts list"),
        ("2", None, "there is no account '2'"),
        ("0", None, "there is no account '0'"),
        ("", None, "there is no account ''"),
        (None, "5hours", "5h, 7d"),
        (None, "", "5h, 7d"),
    ],
)
def test_a_wrong_name_is_wrong_usage(account: str | None, asked: str | None, words: str) -> None:
    one = state(live("user@example.com", window("5h", 10)))
    with pytest.raises(SettingsError, match=words.replace("?", r"\?")):
        judge_room(one, NOW, account, asked)


ACCOUNTS = [
    Account("finn@work.com", label="work"),
    Account("finn@home.org"),
    Account("2nd@work.com"),
    Account("Ben@x.org", label="finn@home"),
    Account("work", label="4"),
]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("finn@home.org", 1),
        ("work", 4),
        ("finn@home", 3),
        ("1", 0),
        ("2", 1),
        ("4", 4),
        ("2n", 2),
        ("finn@w", 0),
        ("BEN", 3),
        ("wor", None),
        ("finn", None),
    ],
)
def test_an_account_is_called_by_name_label_number_or_beginning(
    name: str, found: int | None
) -> None:
    if found is not None:
        assert find_account(name, ACCOUNTS) is ACCOUNTS[found]
        return
    with pytest.raises(SettingsError, match=f"'{name}' may be 'finn@work.com' or ") as caught:
        find_account(name, ACCOUNTS)
    assert str(caught.value).endswith(": name one of them")


@given(st.floats(0, 2), st.floats(0, 2))
def test_more_room_for_use_never_turns_below_into_reached(least: float, more: float) -> None:
    low, high = sorted((least, more))
    one = state(live("a", Window("5h", 0.5)))
    assert judge_room(one, NOW, most=high) <= judge_room(one, NOW, most=low)


def test_money_counts_where_an_account_has_nothing_else() -> None:
    spent = live("a", window("extra", 100))
    assert judge_room(state(spent), NOW) is Verdict.REACHED
    assert judge_room(state(live("a", window("extra", 100), window("5h", 3))), NOW) is Verdict.BELOW
    assert judge_room(
        state(live("a", window("extra", 100), window("5h", 3))), NOW, window="extra"
    ) is (Verdict.REACHED)


def test_a_window_of_any_name_that_is_known_can_be_asked_for() -> None:
    known = state(live("a", window("opus", 100), window("5h", 3)))
    assert judge_room(known, NOW, window="opus") is Verdict.REACHED
    with pytest.raises(SettingsError, match="no such window"):
        judge_room(known, NOW, window="sonnet")


def expecting(percent: float, per_hour: float, resets_in: timedelta = timedelta(hours=3)) -> State:
    """One account whose 5h window is used by about so many points an hour, forecast from its reset on."""
    hours = int(resets_in / timedelta(hours=1))
    spread = RunOut(
        NOW,
        NOW + resets_in,
        tuple(float(n + 1) for n in range(hours)),
        tuple(per_hour * (n + 1) for n in range(hours)),
        (0.7, 1.0, 1.3),
        100 - percent,
        9.0,
    )
    forecasts = {"5h": Forecast(spread.probability, None, spread)}
    expected = AccountForecast(NOW, forecasts, points_per_hour=30.0)
    shown = live("a", window("5h", percent, resets_in), window("7d", 10))
    return state(replace(shown, forecast=expected), logged_in="a")


@pytest.mark.parametrize(
    ("percent", "per_hour", "need", "confidence", "verdict"),
    [
        (20, 1, 15, 0.8, Verdict.BELOW),
        (20, 1, 85, 0.8, Verdict.REACHED),  # more than is left, whatever else is used
        (70, 20, 25, 0.8, Verdict.REACHED),  # what else is used takes the rest
        (70, 20, 25, 0.01, Verdict.BELOW),
        (100, 1, 1, 0.1, Verdict.REACHED),
    ],
)
def test_whether_a_task_fits_beside_what_is_used_anyway(
    percent: float, per_hour: float, need: float, confidence: float, verdict: Verdict
) -> None:
    assert judge_task(expecting(percent, per_hour), NOW, None, None, need, confidence) is verdict


def test_without_a_forecast_only_what_cannot_fit_is_known() -> None:
    shown = state(live("a", window("5h", 60, timedelta(hours=2))), logged_in="a")
    assert judge_task(shown, NOW, None, None, 50, 0.8) is Verdict.REACHED
    assert judge_task(shown, NOW, None, None, 30, 0.8) is Verdict.UNKNOWN


def test_a_window_that_nobody_has_opened_has_room_for_any_task() -> None:
    shown = state(live("a", window("5h", 0)), logged_in="a")
    assert judge_task(shown, NOW, None, None, 90, 0.8) is Verdict.BELOW


def test_of_the_week_a_task_takes_what_a_full_window_costs() -> None:
    shown = state(live("a", window("5h", 0), window("7d", 95, timedelta(days=1))), logged_in="a")
    assert judge_task(shown, NOW, None, None, 50, 0.8) is Verdict.REACHED
    assert judge_task(shown, NOW, None, "7d", 20, 0.8) is Verdict.UNKNOWN

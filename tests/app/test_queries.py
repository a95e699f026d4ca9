"""Answers about a state, as the leader and the commands give them."""

import json
import os.path
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from monitor.app.queries import answer_query
from monitor.core.commands import Guard, Next, Reply, Status
from monitor.core.errors import SettingsError
from monitor.core.exhaustion import FreeAccounts, PoolForecast
from monitor.core.model import Account, AccountForecast, AccountState
from monitor.core.state import State
from monitor.credentials.folders import config_dir
from tests.builders import NOW, live, state, waiting, window

HOUR = timedelta(hours=1)


def account(name: str, percent: float, week: int = 24, **changes: Any) -> AccountState:
    """Whose week ends in so many hours."""
    return live(name, window("5h", percent, HOUR), window("7d", 1, week * HOUR), **changes)


TWO = state(
    account("work", 42, 96), account("home", 10, config_dir="/home/me/.claude-home"), active=1
)


def answer(query: Status | Next | Guard, shown: State = TWO) -> Reply:
    return answer_query(shown, NOW, query)


def test_a_table_is_as_wide_as_is_asked() -> None:
    wide = answer(Status(columns=100)).text.splitlines()
    assert "5h Bar" in wide[0]
    assert max(map(len, answer(Status(columns=40)).text.splitlines())) <= 40
    assert answer(Status(columns=-5)).code == 0
    assert "import" in answer(Status(), state()).text


def test_one_account_can_be_asked_for() -> None:
    (one,) = json.loads(answer(Status("json", "home")).text)["accounts"]
    assert (one["name"], one["active"]) == ("home", True)
    (other,) = json.loads(answer(Status("json", "work")).text)["accounts"]
    assert (other["name"], other["active"]) == ("work", False)
    current = answer(Status(account="", format="{name}{active}"))
    assert current == (0, "home*\n")
    assert answer(Status(account="", format="{name}"), state()) == (0, "")


def test_one_account_keeps_its_number() -> None:
    assert answer(Status(account="home", format="{number}")) == (0, "2\n")
    _, *rows = answer(Status(account="2", columns=100)).text.splitlines()
    assert [row.split("|")[:2] for row in rows] == [["  2 ", " home * "]]


def test_next_for_people_scripts_and_programs() -> None:
    assert answer(Next()).text == (
        "home: 5h 10%, 7d 1% used; "
        "99% of its week is left and resets in 1d 00h: more than can still be used of it\n"
    )
    assert answer(Next("name")) == (0, "home\n")
    assert answer(Next("config-dir")) == (0, "/home/me/.claude-home\n")
    document = json.loads(answer(Next("json")).text)
    assert (document["account"], document["usable"], document["free_at"]) == ("home", True, None)
    assert document["config_dir"] == "/home/me/.claude-home"
    assert document["ranking"][1] == {
        "account": "work",
        "standing": "known",
        "logged_in": False,
        "room": 0.58,
        "urgency": 0.4389,
        "window": "5h",
        "resets_at": "2026-11-22T13:00:00Z",
        "free_at": None,
        "reasons": [],
    }


def test_next_says_how_many_accounts_are_free_later() -> None:
    pool = PoolForecast(
        NOW - timedelta(minutes=1),
        tuple(
            FreeAccounts(NOW + timedelta(hours=hours, minutes=-1), low, 2, high)
            for hours, low, high in ((0, 2, 2), (1, 2, 2), (3, 1, 2), (8, 0, 2))
        ),
        0.2,
        None,
    )
    shown = replace(TWO, pool=pool)
    later = "free: 2 of 2 now, 2 at 12:59, 1–2 at 14:59, 0–2 at 19:59 (80%)"
    for form in ("words", "all"):
        assert answer(Next(form), shown).text.splitlines()[-1] == later
        old = replace(shown, pool=replace(pool, at=NOW - timedelta(minutes=16)))
        assert "free:" not in answer(Next(form), old).text
    assert "free:" not in answer(Next(model="opus"), shown).text  # whose own week is not forecast
    document = json.loads(answer(Next("json"), shown).text)["pool"]
    assert document["free"][2] == {"at": "2026-11-22T14:59:00Z", "p10": 1, "p50": 2, "p90": 2}
    assert (document["exhausted_probability"], document["exhausted_at"]) == (0.2, None)
    assert json.loads(answer(Next("json")).text)["pool"] is None


def test_where_all_are_full_that_is_a_failure_which_names_a_time() -> None:
    full = state(account("a", 100, config_dir=""))
    for form in ("words", "name", "config-dir"):
        code, text = answer(Next(form), full)
        assert (code, text.count("\n")) == (1, 0)
        assert "in 1h 00m" in text
    document = json.loads(answer(Next("json"), full).text)
    assert (document["usable"], document["free_at"]) == (False, "2026-11-22T13:00:00Z")


def test_a_folder_is_chosen_only_where_there_is_one() -> None:
    key_only = account("key", 1)
    default = account("default", 90, config_dir="")
    assert answer(Next("config-dir"), state(key_only, default)) == (0, "\n")
    code, text = answer(Next("config-dir"), state(key_only))
    assert code == 1
    assert "import --config-dir" in text


@pytest.mark.parametrize(
    ("settings", "learnt", "told"),
    [
        (None, None, None),
        (None, "", ""),
        (None, "/x/.claude-work/", "/x/.claude-work/"),
        ("/y/.claude", "/x", "/y/.claude"),
        ("~/.claude-work", None, os.path.expanduser("~/.claude-work")),  # noqa: PTH111
        ("~/.claude", "/x", ""),
        ("~/.claude", os.path.expanduser("~/.claude"), os.path.expanduser("~/.claude")),  # noqa: PTH111
    ],
)
def test_the_folder_of_an_account_keeps_its_spelling(
    settings: str | None, learnt: str | None, told: str | None
) -> None:
    one = waiting("a", account=Account("a", config_dir=settings), config_dir=learnt)
    assert config_dir(one) == told


def test_a_model_and_its_window_are_found_in_any_spelling() -> None:
    week = window("7d_opus_4", 100, 48 * HOUR)
    one = live("a", window("5h", 3, HOUR), window("7d", 1, 24 * HOUR), week)
    shown = state(one, account("b", 60, 96))
    assert answer(Next("name"), shown) == (0, "a\n")
    for spelled in ("opus_4", "Opus 4", "OPUS-4"):
        assert answer(Next("name", spelled), shown) == (0, "b\n")
        assert answer(Guard("a", f"7d_{spelled}"), shown) == (4, "")
    words = answer(Next(model="Fable"), shown).text
    assert "no account has a limit of its own for fable" in words


def test_a_guard_takes_a_ratio() -> None:
    assert answer(Guard("work", max_utilization=0.43)) == (0, "")
    assert answer(Guard("work", max_utilization=0.42)) == (4, "")
    assert answer(Guard("work", "7d_opus", 0.01)) == (5, "")
    assert answer(Guard("work")) == (0, "")


@pytest.mark.parametrize(
    "query",
    [
        Status("xml"),
        Status(account="ghost"),
        Status(format="{nme}"),
        Next("loud"),
        Guard("ghost"),
        Guard(confidence=0.9),
        Guard(window="9h"),
        Guard(window=""),
        Next(model="!"),
        Next(plan="49h"),
        Next("name", plan="1h"),
        Next("config-dir", plan="1h"),
    ],
)
def test_what_cannot_be_understood_is_wrong_usage(query: Status | Next | Guard) -> None:
    with pytest.raises(SettingsError):
        answer(query)


def working(name: str, hourly: float, percent: float, week: int) -> AccountState:
    """An account with forecasts, which expects so many points of work in each hour."""
    expected = AccountForecast(NOW, points_per_hour=hourly, hourly=(hourly,) * 48)
    return replace(account(name, percent, week), forecast=expected)


def test_a_plan_has_a_line_for_each_thing_to_do() -> None:
    shown = state(working("work", 20, percent=90, week=96), working("home", 5, percent=0, week=96))
    code, text = answer(Next(plan="6h"), shown)
    lines = text.splitlines()
    assert code == 0
    assert any("use" in line and "home  " in line for line in lines)
    planned = json.loads(answer(Next("json", plan="6h"), shown).text)
    assert [line["account"] for line in planned if line["action"] == "use"]
    assert planned[0]["at"] == "2026-11-22T12:00:00Z"


def test_a_plan_fits_into_the_terminal() -> None:
    shown = state(working("work", 20, percent=90, week=96), working("home", 5, percent=0, week=96))
    wide = answer(Next(plan="6h"), shown).text
    assert max(map(len, wide.splitlines())) > 60
    for columns in (60, 40, 30):
        narrow = answer(Next(plan="6h", columns=columns), shown).text
        assert max(map(len, narrow.splitlines())) <= columns
        assert narrow.split() == wide.split()


def test_without_two_days_of_history_there_is_no_plan() -> None:
    assert answer(Next(plan="1h")) == (1, "no plan yet: forecasts are being computed")
    unknown = replace(account("a", 42), forecast=AccountForecast(NOW))
    told = answer(Next(plan="1h"), state(unknown))
    assert told == (1, "no plan yet: two days of history are needed")

"""Answers about a state, as the owner and the commands give them."""

import json
import os.path
from datetime import timedelta
from typing import Any

import pytest

from monitor.app.queries import Answer, config_dir, is_view, view
from monitor.core.errors import SettingsError
from monitor.core.model import Account, AccountState
from monitor.core.state import State
from tests.builders import NOW, live, state, waiting, window

HOUR = timedelta(hours=1)


def account(name: str, percent: float, **changes: Any) -> AccountState:
    return live(name, window("5h", percent, HOUR), window("7d", 1, 24 * HOUR), **changes)


TWO = state(account("work", 42), account("home", 10, config_dir="/home/me/.claude-home"), active=1)


def answer(ask: str, shown: State = TWO, **request: object) -> Answer:
    return view(shown, NOW, {"v": 1, "ask": ask, **request})


def test_only_looks_are_views() -> None:
    assert [ask for ask in ("status", "next", "guard", "use", "watch") if is_view({"ask": ask})] == [
        "status", "next", "guard",
    ]  # fmt: skip
    assert not is_view({"ask": None})


def test_a_table_is_as_wide_as_is_asked() -> None:
    wide = answer("status", columns=100).text.splitlines()
    assert "5h Bar" in wide[0]
    assert max(map(len, answer("status", columns=40).text.splitlines())) <= 40
    assert answer("status", columns=-5).code == 0
    assert "import" in answer("status", state()).text


def test_one_account_can_be_asked_for() -> None:
    (one,) = json.loads(answer("status", form="json", account="home").text)["accounts"]
    assert (one["name"], one["active"]) == ("home", True)
    (other,) = json.loads(answer("status", form="json", account="work").text)["accounts"]
    assert (other["name"], other["active"]) == ("work", False)
    current = answer("status", form="line", format="{name}{active}", account="")
    assert current == (0, "home*\n")
    assert answer("status", state(), form="line", format="{name}", account="") == (0, "")


def test_next_for_people_scripts_and_programs() -> None:
    assert answer("next").text == "home\n  5h 10%, 7d 1% used\n  the most room\n"
    assert answer("next", form="name") == (0, "home\n")
    assert answer("next", form="config-dir") == (0, "/home/me/.claude-home\n")
    document = json.loads(answer("next", form="json").text)
    assert (document["account"], document["usable"], document["free_at"]) == ("home", True, None)
    assert document["config_dir"] == "/home/me/.claude-home"
    assert document["ranking"][1] == {
        "account": "work",
        "standing": "known",
        "logged_in": False,
        "room": 0.58,
        "window": "5h",
        "resets_at": "2026-11-22T13:00:00Z",
        "free_at": None,
        "reasons": [],
    }


def test_where_all_are_full_that_is_a_failure_which_names_a_time() -> None:
    full = state(account("a", 100, config_dir=""))
    for form in ("words", "name", "config-dir"):
        code, text = answer("next", full, form=form)
        assert (code, text.count("\n")) == (1, 0)
        assert "in 1h 00m" in text
    document = json.loads(answer("next", full, form="json").text)
    assert (document["usable"], document["free_at"]) == (False, "2026-11-22T13:00:00Z")


def test_a_folder_is_chosen_only_where_there_is_one() -> None:
    key_only = account("key", 1)
    default = account("default", 90, config_dir="")
    assert answer("next", state(key_only, default), form="config-dir") == (0, "\n")
    code, text = answer("next", state(key_only), form="config-dir")
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


def test_a_guard_takes_a_percentage() -> None:
    assert answer("guard", account="work", max=43) == (0, "")
    assert answer("guard", account="work", max=42.0) == (4, "")
    assert answer("guard", account="work", window="7d_opus", max=1) == (5, "")
    assert answer("guard", account="work") == (0, "")


@pytest.mark.parametrize(
    "request_",
    [
        {"ask": "status", "form": "xml"},
        {"ask": "status", "columns": "80"},
        {"ask": "status", "account": 5},
        {"ask": "status", "account": "ghost"},
        {"ask": "status", "form": "line", "format": "{nme}"},
        {"ask": "next", "form": None},
        {"ask": "guard", "max": "x"},
        {"ask": "guard", "max": -1},
        {"ask": "guard", "max": float("nan")},
        {"ask": "guard", "window": ["5h"]},
    ],
)
def test_what_cannot_be_understood_is_wrong_usage(request_: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        view(TWO, NOW, request_)

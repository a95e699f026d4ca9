import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.status_json import render_json, status_document
from monitor.core.errors import Reason
from monitor.core.forecast import Forecast
from monitor.core.model import Account, AccountForecast, AccountState, ExtraUsage, Window
from tests.builders import NOW, after, before, failing, live, state, usage, waiting, window
from tests.exporters.factories import rich_state

EXAMPLE = """
{"generated_at": "2026-11-22T12:00:00Z", "poll_interval_secs": 180,
 "accounts": [{"name": "user@example.com", "org_id": "65f1", "plan": "max_20x", "active": true, "logged_in": true,
   "status": "live", "last_success_at": "2026-11-22T11:59:48Z", "failure": null,
   "windows": [{"window": "5h", "utilization": 0.42, "confirmed": true, "resets_at": "2026-11-22T14:14:00Z",
     "resets_in_seconds": 8040, "forecast": {"run_out_probability": 0.31, "full_at": null}}],
   "extra": {"used": 21.50, "limit": 100.00, "currency": "USD"}}]}
"""


def test_the_document_is_that_of_the_public_interface() -> None:
    account = live(
        "user@example.com",
        window("5h", 42, timedelta(hours=2, minutes=14)),
        at=before(seconds=12),
        account=Account("user@example.com", org_id="65f1"),
        plan="max_20x",
    )
    account = with_money(account, "21.50", "100")
    expected = AccountForecast(NOW, {"5h": Forecast(0.31, None)})
    account = replace(account, forecast=expected)
    shown = state(account, logged_in="user@example.com")
    assert json.loads(render_json(shown, NOW)) == json.loads(EXAMPLE)
    assert list(status_document(shown, NOW)["accounts"][0]) == list(
        json.loads(EXAMPLE)["accounts"][0]
    )


def with_money(account: AccountState, used: str | None, limit: str | None) -> AccountState:
    assert account.usage is not None
    extra = ExtraUsage(True, Decimal(used) if used else None, Decimal(limit) if limit else None)
    return replace(account, usage=replace(account.usage, extra_usage=extra))


@pytest.mark.parametrize("account", [live("a"), waiting("a"), with_money(live("a"), "5", None)])
def test_without_a_limit_of_money_there_is_no_extra(account: AccountState) -> None:
    assert document(account)["extra"] is None


def test_the_document_of_every_condition(golden: Callable[[str, str], None]) -> None:
    golden("status.json", render_json(rich_state(NOW), NOW) + "\n")


@pytest.mark.parametrize(
    ("account", "status"),
    [
        (waiting("a"), "waiting"),
        (live("a", at=before(minutes=2)), "live"),
        (live("a", at=before(minutes=2, seconds=1)), "stale"),
        (failing(live("a"), Reason.TIMEOUT), "failing"),
        (failing(waiting("a"), Reason.CREDENTIALS), "failing"),
    ],
)
def test_the_status_says_how_the_account_is(account: AccountState, status: str) -> None:
    assert document(account)["status"] == status


@pytest.mark.parametrize("reason", Reason)
def test_a_failure_has_its_reason_and_its_next_attempt(reason: Reason) -> None:
    account = failing(live("a"), reason, "what happened", next_poll_at=after(minutes=7))
    assert document(account)["failure"] == {
        "reason": reason.value,
        "detail": "what happened",
        "retry_at": "2026-11-22T12:07:00Z",
    }


def test_a_window_whose_reset_has_passed_is_expected_to_be_empty() -> None:
    passed = live("a", window("5h", 65, timedelta(seconds=-1)))
    assert document(passed)["windows"] == [
        {
            "window": "5h",
            "utilization": 0.0,
            "confirmed": False,
            "resets_at": None,
            "resets_in_seconds": None,
            "forecast": None,
        }
    ]


def test_the_last_good_figures_stay_while_polls_fail() -> None:
    old = failing(live("a", window("5h", 65), at=before(hours=9)), Reason.SERVER)
    assert [w["utilization"] for w in document(old)["windows"]] == [0.65]


def test_times_are_told_in_utc_and_whole_seconds() -> None:
    there = timezone(timedelta(hours=5, minutes=30))
    at = (NOW + timedelta(milliseconds=999)).astimezone(there)
    assert document(live("a", at=at))["last_success_at"] == "2026-11-22T12:00:00Z"


def test_without_accounts_there_is_a_document() -> None:
    assert status_document(state(), NOW)["accounts"] == []


@given(
    name=st.text(min_size=1),
    utilization=st.floats(min_value=0, allow_nan=False, allow_infinity=False),
    key=st.text(st.characters(), min_size=1),
)
def test_every_name_and_figure_comes_back(name: str, utilization: float, key: str) -> None:
    account = live(name, usage=usage(Window(key, utilization, after(hours=1))))
    text = render_json(state(account), NOW)
    assert text.isascii()
    back = json.loads(text)["accounts"][0]
    assert (back["name"], back["windows"][0]["utilization"]) == (name, utilization)
    assert back["windows"][0]["window"] == key


def document(account: AccountState) -> dict[str, Any]:
    """The account's part of the document, as a reader of the text has it."""
    accounts: list[dict[str, Any]] = json.loads(render_json(state(account), NOW))["accounts"]
    return accounts[0]

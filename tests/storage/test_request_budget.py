"""Several processes on one file: together they send what one of them may."""

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.budget import HOUR, REQUESTS_PER_HOUR
from monitor.core.model import Account, AccountState, Identity
from monitor.storage.request_budget import RequestBudget
from tests.builders import NOW, after, before, live

BASE = timedelta(seconds=180)
ME = Identity("me", "org-1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "requests.db"


def account(name: str = "a", org_id: str = "org-1", identity: Identity | None = ME) -> AccountState:
    return AccountState(Account(name, org_id), NOW, BASE, identity=identity)


def takes(allowance: RequestBudget, at: datetime, of: AccountState | None = None) -> bool:
    return allowance.take(of or account(), BASE, at).allowed


def flood(allowances: list[RequestBudget], minutes: int) -> list[datetime]:
    """The instants at which one of them may ask, where each tries every five seconds and knows of none itself."""
    instants = [after(seconds=5 * n) for n in range(minutes * 12)]
    return [at for at in instants for one in allowances if takes(one, at)]


def busiest_hour(instants: list[datetime]) -> int:
    return max(sum(first <= at < first + HOUR for at in instants) for first in instants)


def test_two_processes_send_together_what_one_may(path: Path, tmp_path: Path) -> None:
    together = flood([RequestBudget(path), RequestBudget(path)], minutes=150)
    assert together == flood([RequestBudget(tmp_path / "alone.db")], minutes=150)
    assert busiest_hour(together) <= REQUESTS_PER_HOUR


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.floats(0, 400), st.sampled_from([130, 180, 600])),
        max_size=150,
    )
)
def test_no_order_of_processes_and_intervals_takes_an_hour_past_its_requests(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, float, int]]
) -> None:
    path = tmp_path_factory.mktemp("state") / "requests.db"
    processes = [RequestBudget(path) for _ in range(3)]
    at, sent = NOW, []
    for process, seconds, base in steps:
        at += timedelta(seconds=seconds)
        if processes[process].take(account(), timedelta(seconds=base), at).allowed:
            sent.append(at)
    assert not sent or busiest_hour(sent) <= REQUESTS_PER_HOUR


def test_what_was_sent_is_known_to_all_and_outlives_the_process(path: Path) -> None:
    first, second = RequestBudget(path), RequestBudget(path)
    assert takes(first, before(minutes=10))
    assert takes(second, before(minutes=5))
    first.close()
    accounts = {"a": replace(account(), requests=(before(minutes=1),))}
    (known,) = RequestBudget(path).known(accounts, NOW).values()
    assert known.requests == (before(minutes=10), before(minutes=5), before(minutes=1))


def test_nothing_is_known_where_nothing_was_sent(path: Path) -> None:
    assert RequestBudget(path).known({"a": account()}, NOW) == {}
    assert not path.exists()


@pytest.mark.parametrize(
    "later",
    [
        pytest.param(account("renamed"), id="another name"),
        pytest.param(account(org_id=""), id="the organization is learnt alone"),
    ],
)
def test_requests_follow_an_account_whatever_it_is_called(path: Path, later: AccountState) -> None:
    assert takes(RequestBudget(path), before(minutes=1))
    assert RequestBudget(path).known({"x": later}, NOW)["x"].requests == (before(minutes=1),)


@pytest.mark.parametrize("first", [account(identity=None), account(org_id="", identity=None)])
def test_requests_from_before_the_account_was_identified_count_on(
    path: Path, first: AccountState
) -> None:
    assert takes(RequestBudget(path), before(minutes=1), first)
    assert RequestBudget(path).known({"a": account()}, NOW)["a"].requests == (before(minutes=1),)


def test_another_member_of_the_organization_has_an_hour_of_its_own(path: Path) -> None:
    other = account("b", identity=Identity("you", "org-1"))
    assert takes(RequestBudget(path), before(minutes=1))
    assert RequestBudget(path).known({"b": other}, NOW)["b"].requests == ()


def test_a_back_off_holds_for_all_until_it_ends_or_a_poll_succeeds(path: Path) -> None:
    told, other = RequestBudget(path), RequestBudget(path)
    limited = replace(account(), backoff_until=after(minutes=40), failures_in_a_row=1)
    told.note(limited)
    removed_and_added_again = account()
    refusal = other.take(removed_and_added_again, BASE, NOW)
    assert (refusal.allowed, refusal.backoff_until) == (False, after(minutes=40))
    other.note(replace(account(), failures_in_a_row=2))
    assert not takes(other, NOW), "another failure says nothing of the back-off"
    assert takes(other, after(minutes=41))
    told.note(replace(limited, backoff_until=after(minutes=90)))
    told.note(live("a", account=Account("a", "org-1"), identity=ME))
    assert takes(other, after(minutes=45))


def test_what_another_clock_wrote_for_the_future_is_no_matter(path: Path) -> None:
    allowance = RequestBudget(path)
    assert takes(allowance, after(days=2))
    allowance.note(replace(account(), backoff_until=after(days=3)))
    assert takes(allowance, NOW)
    assert RequestBudget(path).known({"a": account()}, NOW)["a"].requests == (NOW,)


def test_old_requests_are_dropped(path: Path) -> None:
    allowance = RequestBudget(path)
    assert takes(allowance, before(hours=3), account("other", "org-2", None))
    assert takes(allowance, NOW)
    known = allowance.known({"x": account("other", "org-2", None)}, before(hours=3))
    assert known["x"].requests == ()


def test_where_nothing_can_be_written_a_process_that_stays_goes_by_what_it_sent_itself(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.write_text("no folder")
    allowance = RequestBudget(path)
    asked = replace(account(), requests=tuple(before(seconds=20 * n) for n in range(28, 0, -1)))
    assert takes(allowance, NOW)
    assert not takes(allowance, NOW, asked)
    assert [r.message.split(": ")[1] for r in caplog.records] == ["requests are not counted"]


def test_where_nothing_can_be_written_a_process_that_does_not_stay_asks_nothing(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.write_text("no folder")
    assert not takes(RequestBudget(path, is_brief=True), NOW)
    (error,) = (r.message for r in caplog.records if r.levelno == logging.ERROR)
    assert "no request was sent, since it cannot be counted" in error


def test_a_damaged_file_is_put_aside(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database" * 999)
    assert takes(RequestBudget(path), NOW)
    assert path.with_name("requests.db.damaged").exists()

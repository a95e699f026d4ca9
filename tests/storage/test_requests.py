"""Several processes on one database: together they send what one of them may."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from monitor.core.model import Account, AccountState, Identity
from monitor.core.schedule import HOUR, REQUESTS_PER_HOUR, SentRequests
from monitor.core.state import State
from monitor.storage import requests
from monitor.storage.db import StateFile
from monitor.storage.requests import RequestBudget
from tests.builders import NOW, after, before, live
from tests.fakes import inline_recorder

BASE = timedelta(seconds=180)
ME = Identity("me", "org-1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "state.db"


@pytest.fixture
def file(path: Path) -> Iterator[StateFile]:
    made = StateFile(path)
    yield made
    made.close()


def account(name: str = "a", org_id: str = "org-1", identity: Identity | None = ME) -> AccountState:
    return AccountState(Account(name, org_id), NOW, BASE, identity=identity)


def takes(
    file: StateFile, at: datetime, of: AccountState | None = None, base: timedelta = BASE
) -> bool:
    return file.write(lambda db: requests.acquire(db, of or account(), base, at)).allowed


def known(file: StateFile, of: AccountState, at: datetime = NOW) -> SentRequests:
    return file.read(lambda db: requests.read_sent(db, of, at))


def flood(files: list[StateFile], minutes: int) -> list[datetime]:
    """The instants at which one of them may ask, where each tries every five seconds and knows of none itself."""
    instants = [after(seconds=5 * n) for n in range(minutes * 12)]
    return [at for at in instants for one in files if takes(one, at)]


def busiest_hour(instants: list[datetime]) -> int:
    return max(sum(first <= at < first + HOUR for at in instants) for first in instants)


def test_two_processes_send_together_what_one_may(path: Path, tmp_path: Path) -> None:
    together = flood([StateFile(path), StateFile(path)], minutes=150)
    assert together == flood([StateFile(tmp_path / "alone.db")], minutes=150)
    assert busiest_hour(together) <= REQUESTS_PER_HOUR


@examples(max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.floats(0, 400), st.sampled_from([130, 180, 600])),
        max_size=150,
    )
)
def test_no_order_of_processes_and_intervals_takes_an_hour_past_its_requests(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, float, int]]
) -> None:
    path = tmp_path_factory.mktemp("state") / "state.db"
    processes = [StateFile(path) for _ in range(3)]
    at, sent = NOW, []
    for process, seconds, base in steps:
        at += timedelta(seconds=seconds)
        if takes(processes[process], at, base=timedelta(seconds=base)):
            sent.append(at)
    assert not sent or busiest_hour(sent) <= REQUESTS_PER_HOUR
    for one in processes:
        one.close()


def test_what_was_sent_is_known_to_all_and_outlives_the_process(path: Path) -> None:
    first, second = StateFile(path), StateFile(path)
    assert takes(first, before(minutes=10))
    assert takes(second, before(minutes=5))
    first.close()
    mine = replace(account(), requests=(before(minutes=1),))
    sent = known(StateFile(path), mine).requests
    assert sent == (before(minutes=10), before(minutes=5), before(minutes=1))


@pytest.mark.parametrize(
    "later",
    [
        pytest.param(account("renamed"), id="another name"),
        pytest.param(account(org_id=""), id="the organization is learnt alone"),
    ],
)
def test_requests_follow_an_account_whatever_it_is_called(
    file: StateFile, later: AccountState
) -> None:
    assert takes(file, before(minutes=1))
    assert known(file, later).requests == (before(minutes=1),)


@pytest.mark.parametrize("first", [account(identity=None), account(org_id="", identity=None)])
def test_requests_from_before_the_account_was_identified_count_on(
    file: StateFile, first: AccountState
) -> None:
    assert takes(file, before(minutes=1), first)
    assert known(file, account()).requests == (before(minutes=1),)


def test_a_process_that_does_not_know_whose_the_account_is_counts_its_requests(
    file: StateFile,
) -> None:
    assert takes(file, before(minutes=1), account())
    assert known(file, account(identity=None)).requests == (before(minutes=1),)
    assert known(file, account("b", identity=None)).requests == ()


def test_another_member_of_the_organization_has_an_hour_of_its_own(file: StateFile) -> None:
    other = account("b", identity=Identity("you", "org-1"))
    assert takes(file, before(minutes=1))
    assert known(file, other).requests == ()


def test_a_back_off_holds_for_all_until_it_ends_or_a_poll_succeeds(file: StateFile) -> None:
    def put(backoff: AccountState) -> None:
        file.write(lambda db: requests.put_backoff(db, backoff))

    limited = replace(account(), backoff_until=after(minutes=40), failures_in_a_row=1)
    put(limited)
    refusal = file.write(lambda db: requests.acquire(db, account(), BASE, NOW))
    assert (refusal.allowed, refusal.backoff_until) == (False, after(minutes=40))
    put(replace(account(), failures_in_a_row=2))
    assert not takes(file, NOW), "another failure says nothing of the back-off"
    assert takes(file, after(minutes=41))
    put(replace(limited, backoff_until=after(minutes=90)))
    put(live("a", account=Account("a", "org-1"), identity=ME))
    assert takes(file, after(minutes=45))


def test_what_another_clock_wrote_for_the_future_is_no_matter(file: StateFile) -> None:
    assert takes(file, after(days=2))
    ahead = replace(account(), backoff_until=after(days=3))
    file.write(lambda db: requests.put_backoff(db, ahead))
    assert takes(file, NOW)
    assert known(file, account()).requests == (NOW,)


def test_old_requests_are_dropped(file: StateFile) -> None:
    other = account("other", "org-2", None)
    assert takes(file, before(hours=3), other)
    assert takes(file, NOW)
    assert known(file, other, before(hours=3)).requests == ()


def budget_in(folder: Path, *, is_brief: bool = False) -> RequestBudget:
    recorder = inline_recorder(folder)
    return RequestBudget(recorder.database, is_brief=is_brief)


async def test_the_budget_of_all_settings_files_is_one(tmp_path: Path) -> None:
    first = budget_in(tmp_path)
    assert (await first.acquire(account(), BASE, NOW)).allowed
    other = inline_recorder(tmp_path, "another settings file")
    second = RequestBudget(other.database)
    assert not (await second.acquire(account(), BASE, NOW)).allowed
    limited = replace(account(), backoff_until=after(minutes=40), failures_in_a_row=1)
    asked = State(accounts={"a": account()})
    other.record(asked, replace(asked, accounts={"a": limited}), ())
    assert (await first.read_new({"a": account()}, NOW))["a"] == SentRequests(
        (NOW,), after(minutes=40)
    )


async def test_only_what_another_program_may_have_written_is_read_again(tmp_path: Path) -> None:
    first, second = budget_in(tmp_path), budget_in(tmp_path)
    mine = {"a": account(), "b": account("b", "org-b", Identity("you", "org-b"))}
    assert (await first.read_new(mine, NOW)).keys() == {"a", "b"}
    assert (await first.acquire(mine["a"], BASE, NOW)).allowed
    assert await first.read_new(mine, NOW) == {}, "it knows what it has written itself"
    assert (await second.acquire(mine["b"], BASE, NOW)).allowed
    assert (await first.read_new(mine, NOW))["b"].requests == (NOW,)
    assert await first.read_new(mine, NOW) == {}
    another = replace(mine["b"], identity=Identity("other", "org-b"))
    assert (await first.read_new({**mine, "b": another}, NOW)).keys() == {"b"}
    third = account("c", "org-c", None)
    assert (await first.read_new({**mine, "c": third}, NOW)).keys() == {"b", "c"}


async def test_what_is_sent_for_another_account_of_the_organization_is_read_again(
    tmp_path: Path,
) -> None:
    budget = budget_in(tmp_path)
    mine = {"a": account("a", identity=None), "b": account("b", identity=None)}
    assert (await budget.read_new(mine, NOW)).keys() == {"a", "b"}
    assert (await budget.acquire(mine["a"], BASE, NOW)).allowed
    assert (await budget.read_new(mine, NOW))["b"].requests == (NOW,)


@pytest.mark.parametrize(
    ("other", "shares"),
    [
        pytest.param(account("b"), True, id="the same login"),
        pytest.param(account("b", identity=None), False, id="of whom nothing more is known"),
        pytest.param(account("b", identity=Identity("you", "org-1")), False, id="another member"),
    ],
)
async def test_two_accounts_of_one_login_learn_of_each_others_requests(
    tmp_path: Path, other: AccountState, shares: bool
) -> None:
    budget = budget_in(tmp_path)
    mine = {"a": account(), "b": other}
    await budget.read_new(mine, NOW)
    assert (await budget.acquire(mine["a"], BASE, NOW)).allowed
    found = await budget.read_new(mine, NOW)
    assert (found["b"].requests if "b" in found else ()) == ((NOW,) if shares else ())


async def test_an_account_learns_what_was_sent_for_one_that_may_be_the_same(tmp_path: Path) -> None:
    budget = budget_in(tmp_path)
    mine = {"a": account(), "b": account("b", identity=None)}
    await budget.read_new(mine, NOW)
    assert (await budget.acquire(mine["b"], BASE, NOW)).allowed
    assert (await budget.read_new(mine, NOW))["a"].requests == (NOW,)


async def test_where_nothing_can_be_written_a_process_that_stays_goes_by_what_it_sent_itself(
    path: Path,
) -> None:
    path.parent.write_text("no folder")
    budget = budget_in(path.parent)
    asked = replace(account(), requests=tuple(before(seconds=20 * n) for n in range(28, 0, -1)))
    assert (await budget.acquire(account(), BASE, NOW)).allowed
    assert not (await budget.acquire(asked, BASE, NOW)).allowed
    assert await budget.read_new({"a": asked}, NOW) == {}


async def test_where_nothing_can_be_written_a_process_that_does_not_stay_asks_nothing(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.write_text("no folder")
    budget = budget_in(path.parent, is_brief=True)
    assert not (await budget.acquire(account(), BASE, NOW)).allowed
    assert not (await budget.acquire(account(), BASE, NOW)).allowed
    (error,) = (r.message for r in caplog.records if r.levelno == logging.ERROR)
    assert "no request is sent, since none can be counted" in error


async def test_what_a_process_sent_while_nothing_could_be_written_is_counted_with_its_next(
    tmp_path: Path,
) -> None:
    mine = replace(account(), requests=(before(minutes=9), before(minutes=6)))
    assert (await budget_in(tmp_path).acquire(mine, BASE, NOW)).allowed
    assert known(StateFile(tmp_path / "state.db"), account()).requests == (*mine.requests, NOW)

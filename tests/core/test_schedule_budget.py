"""The budget of the hour, over whatever can happen to an account: refreshes, renewals, failures, resets, restarts."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.codec import decode, encode
from monitor.core.errors import Failure, Reason
from monitor.core.events import (
    AccountsLoaded,
    CredentialSeen,
    Event,
    PolicyChanged,
    PollFailed,
    PollStarted,
    PollSucceeded,
    RefreshRequested,
    RequestSent,
    Restored,
)
from monitor.core.model import Account, AccountState, Usage, Window
from monitor.core.schedule import SentRequests, next_in_budget, warn_over_budget
from monitor.core.state import Policy, State
from monitor.core.update import update
from tests.builders import NOW, after, before

HOUR: Final = timedelta(hours=1)
ACCOUNTS: Final = (Account("a", "org-a"),)


def has_room(requests: Sequence[datetime], base: timedelta, now: datetime) -> bool:
    return SentRequests(tuple(requests)).decide(base, now).allowed


def secs(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("interval", "requests"), [(30, 120), (60, 60), (100, 36), (129, 28), (130, None), (180, None)]
)
def test_an_interval_that_is_too_short_is_named(interval: int, requests: int | None) -> None:
    words = warn_over_budget(secs(interval))
    if requests is None:
        assert words is None
    else:
        assert words == (
            f"poll_interval_secs = {interval} needs {requests} requests an hour; "
            "the usage API allows about 28: expect rate limits"
        )


def test_the_first_request_is_free() -> None:
    assert next_in_budget((), secs(180), NOW) == NOW


def test_an_interval_that_leaves_nothing_has_no_extras() -> None:
    assert next_in_budget((before(seconds=1),), secs(130), NOW) == after(seconds=129)
    assert not has_room((before(seconds=1),), secs(60), NOW)


def test_seven_extras_fit_into_an_hour_of_the_usual_interval() -> None:
    sent = [before(minutes=50)]
    for _ in range(7):
        assert has_room(sent, secs(180), sent[-1] + secs(15))
        sent.append(sent[-1] + secs(15))
    assert next_in_budget(sent, secs(180), sent[-1] + secs(15)) == sent[-1] + secs(180)
    assert has_room(sent, secs(180), sent[1] + HOUR + secs(6))


def test_requests_in_turn_wait_where_another_interval_has_filled_the_hour() -> None:
    filled = [before(minutes=30) + secs(2 * n) for n in range(28)]
    assert next_in_budget(filled, secs(130), NOW) == filled[0] + HOUR + secs(5)


def test_an_hour_that_a_shorter_interval_filled_is_not_waited_for() -> None:
    filled = [before(minutes=59) + secs(60 * n) for n in range(59)]
    assert next_in_budget(filled, secs(180), after(seconds=120)) == after(seconds=120)
    assert not has_room(filled, secs(180), NOW)


OUTCOMES: Final = (
    "success",
    "killed",
    Reason.CONNECTION,
    Reason.AUTH,
    Reason.CREDENTIALS,
    Reason.SERVER,
)
Steps = Sequence[tuple[str, float]]
"""What happens, and how much time passes then."""

ON_TOP: Final = ("refresh", "renewal", "restart")
PLAIN: Final = ("success",)


@dataclass
class Life:
    """One account from process to process; notes each request."""

    interval: timedelta
    random: Random
    outcomes: Sequence[str]
    now: datetime = NOW
    sent: list[datetime] = field(default_factory=list)
    state: State = field(default_factory=State)

    def __post_init__(self) -> None:
        self.start(None)

    @property
    def account(self) -> AccountState:
        return self.state.accounts["a"]

    def happens(self, *events: Event) -> None:
        for event in events:
            self.state, _ = update(self.state, event)

    def start(self, kept: str | None) -> None:
        """A process takes up what the one before has kept, as JSON."""
        self.state = State(Policy(self.interval))
        if kept is not None:
            self.happens(Restored(self.now, {"a": decode(AccountState, json.loads(kept))}))
        self.happens(AccountsLoaded(self.now, ACCOUNTS))

    def kept(self) -> str:
        return json.dumps(encode(AccountState, self.account))

    def passes(self, seconds: float) -> None:
        """Time, with all polls that fall due in it."""
        end = self.now + secs(seconds)
        while self.account.next_poll_at <= end:
            self.now = max(self.now, self.account.next_poll_at)
            self.poll()
        self.now = max(self.now, end)

    def poll(self) -> None:
        self.happens(PollStarted(self.now, "a"))
        outcome = self.random.choice(self.outcomes)
        if outcome is not Reason.CREDENTIALS:
            self.request()
        if outcome is Reason.AUTH and has_room(self.account.requests, self.interval, self.now):
            self.request()
        if outcome == "killed":
            self.start(self.kept())
        elif isinstance(outcome, Reason):
            self.happens(PollFailed(self.now, "a", Failure(outcome), jitter=self.random.random()))
        else:
            ends = self.now + secs(self.random.choice((1, 60, 900)))
            usage = Usage(self.now, (Window("5h", 0.5, ends),))
            self.happens(PollSucceeded(self.now, "a", usage, secs(0), self.random.random()))

    def request(self) -> None:
        self.now += secs(self.random.choice((0, 0, 0.25)))
        self.sent.append(self.now)
        self.happens(RequestSent(self.now, "a"))

    def does(self, what: str) -> None:
        match what:
            case "refresh":
                self.happens(RefreshRequested(self.now))
            case "renewal":
                self.happens(CredentialSeen(self.now, "a", None, renewed=True))
            case "restart":
                self.start(self.kept())
            case _:
                self.interval = secs(float(what))
                self.happens(PolicyChanged(self.now, Policy(self.interval)))


def habits(*what: str) -> st.SearchStrategy[Steps]:
    """A few things that are done again and again, for three hours: what comes once a day proves nothing."""
    pauses = st.sampled_from((5.0, 20.0, 60.0, 100.0, 900.0))
    some = st.lists(st.tuples(st.sampled_from(what), pauses), min_size=1, max_size=6)
    return some.map(_for_three_hours)


def _for_three_hours(pattern: Steps) -> Steps:
    times = 3 * 3600 / sum(pause for _, pause in pattern)
    return [*pattern] * min(math.ceil(times), 500 // len(pattern))


seeds = st.integers(0, 1 << 30)
intervals = st.sampled_from((129, 130, 150, 180, 300, 1800)) | st.floats(129, 7200)
outcomes = st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=4)


def lived(
    interval: float,
    steps: Steps,
    seed: int = 7,
    outcomes: Sequence[str] = PLAIN,
) -> Life:
    """The life that these steps are."""
    life = Life(secs(interval), Random(seed), outcomes)
    for what, seconds in steps:
        life.does(what)
        life.passes(seconds)
    life.passes(1800)
    return life


def most_in_an_hour(sent: Sequence[datetime]) -> int:
    return max((sum(at <= other <= at + HOUR for other in sent) for at in sent), default=0)


@settings(deadline=None, max_examples=25)
@given(intervals, habits(*ON_TOP), seeds, outcomes)
def test_whatever_comes_on_top_of_the_plan_an_account_sends_28_requests_an_hour_at_most(
    interval: float, steps: Steps, seed: int, outcomes: list[str]
) -> None:
    assert most_in_an_hour(lived(interval, steps, seed, outcomes).sent) <= 28


@settings(deadline=None, max_examples=25)
@given(st.floats(30, 128), habits(*ON_TOP), seeds, outcomes)
def test_an_interval_past_the_budget_is_honoured_and_nothing_comes_on_top(
    interval: float, steps: Steps, seed: int, outcomes: list[str]
) -> None:
    sent = lived(interval, steps, seed, outcomes).sent
    assert most_in_an_hour(sent) <= math.floor(3600 / interval) + 1


@settings(deadline=None, max_examples=25)
@given(habits("refresh", "restart", "129", "180", "240", "900"), seeds, outcomes)
def test_settings_that_are_changed_break_no_hour(
    steps: Steps, seed: int, outcomes: list[str]
) -> None:
    assert most_in_an_hour(lived(180, steps, seed, outcomes).sent) <= 28


@settings(deadline=None, max_examples=25)
@given(intervals, habits(*ON_TOP), seeds)
def test_whatever_comes_on_top_the_plan_is_kept(interval: float, steps: Steps, seed: int) -> None:
    gaps = [later - earlier for earlier, later in pairwise(lived(interval, steps, seed).sent)]
    assert max(gaps, default=timedelta(0)) <= secs(interval * 1.1 + 1)


def test_a_key_that_is_held_down_has_what_the_plan_leaves() -> None:
    life = lived(180, [("refresh", 1)] * 7200)
    assert 25 <= most_in_an_hour(life.sent) <= 28


def test_an_interval_that_becomes_longer_is_no_reason_to_pause() -> None:
    life = lived(60, [("restart", 3600)])
    before_it = len(life.sent)
    life.does("180")
    life.passes(3600)
    assert len(life.sent) - before_it >= 10

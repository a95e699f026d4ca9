from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core import schedule
from monitor.core.errors import Failure, Reason
from monitor.core.model import AccountState, Down
from tests.builders import NOW, after, before, live, usage, waiting, window

BASE = timedelta(seconds=180)


def succeeded(state: AccountState, jitter: float = 0.0) -> AccountState:
    return schedule.after_success(state, NOW, BASE, jitter)


def failed(
    reason: Reason, in_a_row: int = 1, retry_after: float | None = None, jitter: float = 0.0
) -> AccountState:
    state = live("a", polls=9, failures_in_a_row=in_a_row)
    wish = None if retry_after is None else timedelta(seconds=retry_after)
    return schedule.after_failure(state, NOW, BASE, reason, wish, jitter)


def refreshed(state: AccountState) -> AccountState:
    return schedule.hurry(state, NOW, BASE, schedule.REFRESH_FLOOR)


def renewed(state: AccountState) -> AccountState:
    return schedule.hurry(state, NOW, BASE, schedule.RENEWAL_FLOOR)


def wait(state: AccountState) -> float:
    return (state.next_poll_at - NOW).total_seconds()


def test_the_first_polls_come_soon_but_not_at_once() -> None:
    dues = [schedule.first_poll_at(NOW, place, 20, BASE) for place in range(20)]
    assert dues == [after(seconds=place * 0.04) for place in range(20)]


def test_the_first_polls_of_many_accounts_end_well_within_the_interval() -> None:
    assert schedule.first_poll_at(NOW, 999, 1000, BASE) < NOW + 0.9 * BASE


def test_the_second_polls_follow_within_one_interval_and_draw_apart() -> None:
    waits = [wait(succeeded(live("a", phase=place / 4))) for place in range(4)]
    assert waits == [180, 146.25, 112.5, 78.75]


@given(st.floats(0, 1, exclude_max=True))
def test_later_polls_follow_after_one_interval_and_a_little(jitter: float) -> None:
    assert 180 <= wait(succeeded(live("a", polls=2), jitter)) <= 198


@pytest.mark.parametrize(("jitter", "seconds"), [(0.0, 120 + 30), (0.999, 120 + 59.97)])
def test_one_extra_poll_follows_a_reset_by_30_to_60_seconds(jitter: float, seconds: float) -> None:
    state = live("a", window("5h", 50, timedelta(seconds=120)), polls=2)
    assert wait(succeeded(state, jitter)) == pytest.approx(seconds)


def test_a_reset_that_has_passed_causes_no_extra_poll() -> None:
    state = live("a", window("5h", 50, -timedelta(seconds=20)), polls=2)
    assert wait(succeeded(state)) == 180


@pytest.mark.parametrize(
    ("in_a_row", "retry_after", "jitter", "seconds"),
    [
        pytest.param(1, None, 0.0, 300, id="absent"),
        pytest.param(1, 0, 0.0, 300, id="zero means nothing"),
        pytest.param(2, 0, 0.0, 600, id="and doubles"),
        pytest.param(3, None, 0.0, 1200, id="again"),
        pytest.param(9, 0, 0.0, 1800, id="to half an hour at most"),
        pytest.param(1, 600, 0.0, 600, id="seconds are waited"),
        pytest.param(1, 600, 0.5, 1050, id="with a margin, since blocks are renewed at their end"),
        pytest.param(1, 3600, 0.0, 3600, id="an hour"),
        pytest.param(1, 86400, 0.0, 3600, id="but no more than an hour"),
        pytest.param(1, 5, 0.0, 180, id="never sooner than the interval"),
    ],
)
def test_a_429_backs_off(
    in_a_row: int, retry_after: float | None, jitter: float, seconds: float
) -> None:
    state = failed(Reason.RATE_LIMITED, in_a_row, retry_after, jitter)
    assert wait(state) == pytest.approx(seconds)
    assert state.backoff_until == state.next_poll_at


def test_for_an_hour_after_a_429_the_interval_is_at_least_six_minutes() -> None:
    state = live("a", polls=2, throttled_at=before(minutes=59))
    assert wait(succeeded(state)) == 360
    state = live("a", polls=2, throttled_at=before(minutes=60))
    assert wait(succeeded(state)) == 180
    assert succeeded(state).throttled_at is None


@pytest.mark.parametrize(
    ("reason", "waits"),
    [
        (Reason.CONNECTION, [15, 30, 60, 120, 180, 180]),
        (Reason.TIMEOUT, [180, 360, 720, 1440, 1800, 1800]),
        (Reason.SERVER, [180, 360, 720, 1440, 1800, 1800]),
        (Reason.SCHEMA, [180, 360, 720, 1440, 1800, 1800]),
        (Reason.CHALLENGE, [180, 360, 720, 1440, 1800, 1800]),
        (Reason.AUTH, [180, 360, 720, 1440, 1800, 1800]),
        (Reason.SCOPE, [180, 360, 720, 1440, 1800, 1800]),
        (Reason.CREDENTIALS, [30, 30, 30, 30, 30, 30]),
    ],
)
def test_other_failures_are_tried_again(reason: Reason, waits: list[float]) -> None:
    assert [wait(failed(reason, n)) for n in range(1, 7)] == waits
    assert failed(reason).backoff_until is None


def test_a_503_may_name_its_wish_too() -> None:
    state = failed(Reason.SERVER, retry_after=600)
    assert wait(state) == 600
    assert state.backoff_until == state.next_poll_at


def test_a_success_ends_the_back_off() -> None:
    state = replace(failed(Reason.RATE_LIMITED, 3), failures_in_a_row=3)
    assert succeeded(state).backoff_until is None
    assert succeeded(state).failures_in_a_row == 0


def test_a_refresh_is_due_at_once() -> None:
    state = live("a", at=before(minutes=2))
    assert refreshed(state).next_poll_at == NOW


def test_a_refresh_keeps_its_distance_from_the_last_request() -> None:
    state = live("a", at=before(seconds=5))
    assert refreshed(state).next_poll_at == after(seconds=10)


def test_a_refresh_never_postpones_a_poll() -> None:
    state = live("a", at=NOW, next_poll_at=after(seconds=1))
    assert refreshed(state).next_poll_at == after(seconds=1)


def test_a_refresh_respects_the_back_off() -> None:
    state = live(
        "a", at=before(minutes=9), backoff_until=after(minutes=5), next_poll_at=after(minutes=5)
    )
    assert refreshed(state).next_poll_at == after(minutes=5)
    assert renewed(state).next_poll_at == after(minutes=5)


def test_refreshes_never_take_an_account_past_28_requests_in_an_hour() -> None:
    requests = tuple(before(minutes=59 - 2 * n) for n in range(28))
    state = live("a", at=before(minutes=3), requests=requests, next_poll_at=after(minutes=9))
    assert refreshed(state).next_poll_at == after(minutes=1, seconds=5)


def test_requests_are_remembered_for_an_hour() -> None:
    state = live("a", requests=(before(minutes=61), before(minutes=59)))
    assert schedule.add_request(state, NOW, BASE).requests == (before(minutes=59), NOW)


def test_a_request_puts_the_next_one_off_by_an_interval() -> None:
    due = schedule.add_request(waiting("a"), NOW, BASE).next_poll_at
    assert due == after(seconds=180), "a successor that knows no answer asks no sooner"
    throttled = waiting("a", throttled_at=before(minutes=9))
    assert schedule.add_request(throttled, NOW, BASE).next_poll_at == after(seconds=360)
    later = waiting("a", next_poll_at=after(hours=1))
    assert schedule.add_request(later, NOW, BASE).next_poll_at == after(hours=1)


USED_UP = tuple(before(minutes=30, seconds=10 * n) for n in range(7, 0, -1))
"""Requests ten seconds apart: as many extras as an interval of 180 s leaves, less one."""


@pytest.mark.parametrize(
    ("schedule_after", "seconds"),
    [
        pytest.param(refreshed, 170, id="a refresh"),
        pytest.param(renewed, 170, id="a renewal"),
        pytest.param(
            lambda s: schedule.after_failure(s, NOW, BASE, Reason.CONNECTION, None, 0.0),
            170,
            id="a reconnection",
        ),
        pytest.param(
            lambda s: schedule.after_success(
                replace(s, usage=usage(window("5h", 9, timedelta(seconds=60)))), NOW, BASE, 0.0
            ),
            170,
            id="a poll after a reset",
        ),
    ],
)
def test_without_room_for_an_extra_its_turn_is_awaited(
    schedule_after: Callable[[AccountState], AccountState], seconds: float
) -> None:
    last = before(seconds=10)
    full = live("a", polls=9, requests=(*USED_UP, before(seconds=20), last))
    assert schedule_after(replace(full, next_poll_at=after(hours=9))).next_poll_at == after(
        seconds=seconds
    )
    room = replace(full, requests=(*USED_UP, last), next_poll_at=after(hours=9))
    assert schedule_after(room).next_poll_at < after(seconds=120)


def follow(state: AccountState, seconds: float) -> AccountState:
    return schedule.follow_interval(state, timedelta(seconds=seconds))


def test_a_shorter_interval_is_followed_at_once() -> None:
    state = follow(live("a", polls=9, at=before(seconds=20)), 60)
    assert (state.next_poll_at, state.interval) == (after(seconds=40), timedelta(seconds=60))


def test_a_longer_interval_begins_with_the_next_poll() -> None:
    state = follow(live("a", polls=9, at=NOW), 600)
    assert (state.next_poll_at, state.interval) == (after(seconds=180), timedelta(seconds=600))


def test_the_same_interval_changes_nothing() -> None:
    for state in (
        succeeded(live("a", polls=9), 0.7),
        succeeded(live("a", polls=9, throttled_at=before(minutes=5)), 0.7),
    ):
        assert follow(state, 180) == state


@given(st.sampled_from(list(Reason)), st.integers(1, 30), st.floats(0, 1, exclude_max=True))
def test_the_same_interval_shortens_no_back_off(
    reason: Reason, in_a_row: int, jitter: float
) -> None:
    state = replace(failed(reason, in_a_row, jitter=jitter), down=Down(NOW, Failure(reason)))
    assert follow(state, 180) == state


def test_a_shorter_interval_shortens_no_block_of_the_server() -> None:
    state = failed(Reason.RATE_LIMITED, retry_after=3600)
    assert (
        follow(replace(state, down=Down(NOW, Failure(Reason.RATE_LIMITED))), 30).next_poll_at
        == state.next_poll_at
    )


@given(
    st.sampled_from(list(Reason)),
    st.integers(1, 10_000),
    st.none() | st.floats(0, 1e6),
    st.floats(0, 1, exclude_max=True),
)
def test_a_failure_never_polls_in_a_hurry_nor_sleeps_for_ever(
    reason: Reason, in_a_row: int, retry_after: float | None, jitter: float
) -> None:
    assert 15 <= wait(failed(reason, in_a_row, retry_after, jitter)) <= 4500

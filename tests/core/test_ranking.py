"""Which account to use now: tables of what people would say, and what holds of every state."""

from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.errors import Reason
from monitor.core.model import AccountState, Window
from monitor.core.ranking import Choice, Confidence, choose
from monitor.core.state import State
from tests.builders import NOW, after, before, failing, live, state, usage, waiting, window

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def account(name: str, five: float, seven: float, ends: timedelta = HOUR) -> AccountState:
    """Whose 5-hour window ends after that, and its week a day later."""
    return live(name, window("5h", five, ends), window("7d", seven, ends + DAY))


def choice(*accounts: AccountState, logged_in: str | None = None) -> Choice:
    return choose(state(*accounts, logged_in=logged_in), NOW)


@pytest.mark.parametrize(
    ("accounts", "logged_in", "best", "reason"),
    [
        ([("a", 50, 10), ("b", 20, 10)], None, "b", "the most room"),
        ([("a", 10, 90), ("b", 60, 10)], None, "b", "the most room"),
        ([("a", 50, 10), ("b", 20, 10)], "a", "b", "the most room"),
        ([("a", 43, 10), ("b", 40, 10)], "a", "b", "the most room"),
        ([("a", 21, 10), ("b", 20.9, 10)], "a", "b", "the most room"),
        ([("a", 20.9, 10), ("b", 20, 10)], "a", "a", "Claude Code is logged in there"),
        ([("b", 20, 10), ("a", 20, 10)], "a", "a", "Claude Code is logged in there"),
        ([("a", 20, 10), ("b", 20, 10)], None, "a", "as much room as any"),
        ([("a", 100, 10), ("b", 99, 10)], "a", "b", "the other one is full"),
        ([("a", 10, 100), ("b", 99, 10), ("c", 100, 10)], "a", "b", "all others are full"),
    ],
)
def test_the_account_to_use(
    accounts: list[tuple[str, float, float]], logged_in: str | None, best: str, reason: str
) -> None:
    made = choice(*(account(*figures) for figures in accounts), logged_in=logged_in)
    assert (made.account, made.usable, made.free_at) == (best, True, None)
    assert reason in " ".join(made.reasons)


def test_of_equals_the_one_whose_room_would_lapse_first_also_before_the_login_in_use() -> None:
    made = choice(
        account("a", 20, 10, 3 * HOUR),
        account("b", 20, 10, HOUR),
        live("c", window("5h", 20)),
        logged_in="a",
    )
    assert made.account == "b"
    assert made.reasons[1] == "as much room as any, and its 5h resets first, in 1h 00m"
    assert [candidate.account for candidate in made.ranking] == ["b", "a", "c"]


@pytest.mark.parametrize(("apart", "best"), [(timedelta(seconds=20), "a"), (2 * MINUTE, "b")])
def test_resets_are_told_apart_by_the_minute(apart: timedelta, best: str) -> None:
    made = choice(account("b", 20, 10, HOUR), account("a", 20, 10, HOUR + apart), logged_in="a")
    assert made.account == best


def test_the_reasons_tell_the_figures() -> None:
    assert choice(account("a", 42.7, 18)).reasons == ("5h 42%, 7d 18% used",)


def test_when_all_are_full_the_one_that_is_free_first() -> None:
    made = choice(
        account("week", 100, 100, HOUR), account("hours", 100, 10, 2 * HOUR), logged_in="week"
    )
    assert (made.account, made.usable, made.free_at) == ("hours", False, after(hours=2))
    assert made.reasons == (
        "every account is full",
        "hours is free first, in 2h 00m",
        "its 5h is full",
    )


def test_a_lock_without_an_end_is_free_last() -> None:
    locked = live("a", Window("5h", 0.1, None, locked_reason="abuse"), window("7d", 100, HOUR))
    assert choice(locked).free_at is None
    assert choice(locked, account("b", 100, 100, 9 * DAY)).account == "b"
    assert "7d is full" in choice(locked).reasons[-1]


def test_a_model_that_is_full_is_a_hint() -> None:
    opus = live("a", window("5h", 10, HOUR), window("7d_opus", 100, DAY))
    made = choice(opus, account("b", 40, 10))
    assert made.account == "a"
    assert "7d_opus is full for another 1d 00h" in made.reasons


def test_a_reset_that_has_passed_makes_room_that_is_not_confirmed() -> None:
    passed = live("a", window("5h", 100, timedelta(seconds=-5)), window("7d", 10, DAY))
    made = choice(passed, account("b", 40, 10))
    assert made.account == "a"
    assert any("no poll has confirmed" in reason for reason in made.reasons)


@pytest.mark.parametrize(
    ("doubtful", "reason"),
    [
        (live("a", window("5h", 1, HOUR), at=before(hours=3)), "its figures are 3h old"),
        (failing(account("a", 1, 1), Reason.AUTH), "its token was refused"),
        (failing(account("a", 1, 1), Reason.SCOPE), "may not read usage"),
        (waiting("a"), "its usage is not known yet"),
        (live("a", usage=usage()), "its limits are not known"),
    ],
)
def test_doubtful_room_comes_after_known_room_and_before_none(
    doubtful: AccountState, reason: str
) -> None:
    assert choice(doubtful, account("b", 99, 10)).account == "b"
    made = choice(account("b", 100, 10), doubtful, logged_in="b")
    assert (made.account, made.usable) == ("a", True)
    assert reason in " ".join(made.reasons)


def test_a_failure_that_is_not_the_login_is_no_doubt_while_figures_are_fresh() -> None:
    made = choice(failing(account("a", 1, 1), Reason.CONNECTION), account("b", 40, 1))
    assert made.account == "a"
    assert made.ranking[0].standing is Confidence.KNOWN


def test_old_figures_of_a_full_window_hold_until_its_reset() -> None:
    made = choice(live("a", window("5h", 100, HOUR), at=before(hours=3)))
    assert (made.usable, made.free_at) == (False, after(hours=1))


def test_where_nothing_is_known_that_is_said() -> None:
    assert "monitor accounts import" in choice().reasons[0]
    made = choice(waiting("a"), failing(waiting("b"), Reason.AUTH))
    assert (made.account, made.usable) == (None, False)
    assert made.reasons[0] == "no usage data yet"
    assert "b: its token was refused" in made.reasons[2]


def test_names_reach_no_terminal_uncleaned() -> None:
    made = choice(account("\x1b[31mred", 100, 1), account("b", 100, 1, 2 * HOUR))
    assert "red is free first" in made.reasons[1]
    assert "\x1b" not in " ".join(made.reasons)


ends = st.none() | st.timedeltas(timedelta(days=-8), timedelta(days=8))
windows = st.builds(
    lambda key, utilization, end, lock: Window(
        key, utilization, None if end is None else NOW + end, lock
    ),
    st.sampled_from(["5h", "7d", "7d_opus", "odd"]),
    st.floats(0, 1.5) | st.sampled_from([0.0, 1.0, float("nan"), float("inf"), -1.0]),
    ends,
    st.none() | st.none() | st.just("locked"),
)
ages = st.timedeltas(timedelta(0), timedelta(days=9))
states = st.lists(
    st.tuples(
        st.lists(windows, max_size=4), ages, st.none() | st.sampled_from(Reason), st.booleans()
    ),
    max_size=6,
).flatmap(
    lambda drawn: st.builds(
        lambda logged_in: state(*_accounts(drawn), logged_in=logged_in),
        st.none() | st.sampled_from("abcdef"),
    )
)


def _accounts(
    drawn: list[tuple[list[Window], timedelta, Reason | None, bool]],
) -> list[AccountState]:
    made = []
    for name, (shown, age, failure, polled) in zip("abcdef", drawn, strict=False):
        one = live(name, *shown, at=NOW - age) if polled else waiting(name)
        made.append(one if failure is None else failing(one, failure))
    return made


def is_full(account: AccountState) -> bool:
    return any(
        w.key in ("5h", "7d") and (w.locked_reason or round(w.utilization, 6) >= 1)
        for w in account.windows(NOW)
        if w.utilization == w.utilization
    )


@given(states)
def test_no_full_account_is_chosen_while_another_is_not(shown: State) -> None:
    made = choose(shown, NOW)
    assert made.reasons
    assert {candidate.account for candidate in made.ranking} == set(shown.accounts)
    if made.account is not None and is_full(shown.accounts[made.account]):
        assert not made.usable
        assert all(is_full(one) for one in shown.accounts.values())


@given(states, st.randoms(use_true_random=False))
def test_the_order_of_the_accounts_decides_nothing_but_ties(shown: State, random: Random) -> None:
    made = choose(shown, NOW)
    names = list(shown.accounts)
    random.shuffle(names)
    other = choose(replace(shown, accounts={name: shown.accounts[name] for name in names}), NOW)
    assert (made.usable, made.free_at) == (other.usable, other.free_at)
    if made.ranking and made.account != other.account:
        first, second = made.ranking[0], other.ranking[0]
        assert (first.standing, first.lapses_at) == (second.standing, second.lapses_at)

"""Which account to use now: tables of what people would say, and what holds of every state."""

from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core import planning
from monitor.core.errors import Reason
from monitor.core.model import Account, AccountState, Window
from monitor.core.ranking import Choice, Confidence, all_limits, choose
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


def week(name: str, five: float, seven: float, days: float) -> AccountState:
    """Whose 5-hour window ends in two hours, and its week in so many days."""
    return live(name, window("5h", five, 2 * HOUR), window("7d", seven, days * DAY))


@pytest.mark.parametrize(
    ("accounts", "logged_in", "best", "reason"),
    [
        ([("a", 10, 20, 6), ("b", 40, 20, 1)], None, "b", "more than can still be used of it"),
        ([("a", 10, 20, 6), ("b", 40, 20, 1)], "a", "b", "more than can still be used of it"),
        ([("a", 10, 20, 5), ("b", 10, 20, 4.5)], "a", "a", "stay: no other"),
        ([("a", 10, 20, 5), ("b", 10, 20, 4.5)], None, "b", "the most for the time"),
        ([("a", 10, 60, 5), ("b", 10, 20, 5)], None, "b", "the most for the time"),
        ([("a", 10, 80, 5), ("b", 92, 20, 5)], None, "a", "the most for the time"),
        ([("a", 20, 10, 5), ("b", 20, 10, 5)], None, "a", "the most for the time"),
        ([("a", 100, 10, 5), ("b", 99, 10, 5)], "a", "b", "the other one is full"),
        ([("a", 10, 100, 5), ("b", 99, 10, 5), ("c", 100, 10, 5)], "a", "b", "all others are full"),
    ],
)
def test_the_account_whose_week_expires_first_for_what_is_left_of_it(
    accounts: list[tuple[str, float, float, float]], logged_in: str | None, best: str, reason: str
) -> None:
    made = choice(*(week(*figures) for figures in accounts), logged_in=logged_in)
    assert (made.account, made.usable, made.free_at) == (best, True, None)
    assert reason in " ".join(made.reasons)


def test_it_is_the_rule_that_was_measured() -> None:
    rng = Random(1)
    for _ in range(300):
        names = [f"user-{number}" for number in range(rng.randint(2, 5))]
        known = [
            live(
                name,
                window("5h", rng.choice([0, rng.randrange(100)]), rng.randint(1, 299) * MINUTE),
                window("7d", rng.randrange(100), rng.uniform(1, 167) * HOUR),
            )
            for name in names
        ]
        shown = state(*known, logged_in=rng.choice(names))
        measured = planning.advise(all_limits(shown, NOW), NOW, shown.logged_in)
        made = choose(shown, NOW)
        assert (made.account if made.usable else None) == measured.account


@pytest.mark.parametrize(
    ("used_minutes_ago", "folder", "best"),
    [(5, "/home/me/.claude-a", "a"), (61, "/home/me/.claude-a", "b"), (5, "", "b"), (5, None, "b")],
)
def test_the_account_of_a_folder_is_kept_while_it_is_used(
    used_minutes_ago: int, folder: str | None, best: str
) -> None:
    used = replace(week("a", 10, 20, 5), used_at=before(minutes=used_minutes_ago))
    made = choice(replace(used, config_dir=folder), week("b", 10, 20, 4.5))
    assert made.account == best


def test_a_reserve_is_left_to_others() -> None:
    kept = replace(week("a", 10, 80, 1), account=Account("a", reserve=0.25))
    made = choice(kept, week("b", 10, 80, 6))
    assert made.account == "b"
    assert made.ranking[1].reasons == ("only its reserve of 25% is left",)
    alone = choice(kept)
    assert (alone.usable, alone.free_at) == (False, after(days=1))
    assert alone.reasons[0] == "the only account has no room"
    full = choice(kept, week("b", 10, 100, 6))
    assert full.reasons[0] == "no account has room"
    assert [candidate.is_full for candidate in full.ranking] == [False, True]


@pytest.mark.parametrize("reserve", [0, 0.25])
def test_where_nothing_is_left_no_reserve_is_told_of(reserve: float) -> None:
    used_up = replace(week("a", 10, 99.6, 1), account=Account("a", reserve=reserve))
    assert choice(used_up).ranking[0].reasons == ("its week is used up",)


def test_a_larger_plan_counts_by_its_own_windows() -> None:
    """What is left is a share of each plan: a larger one is not used first for being larger."""
    large = replace(week("large", 10, 50, 5), plan="max_20x")
    small = replace(week("small", 10, 50, 3), plan="pro")
    assert choice(large, small).account == "small"
    assert [one.plan_weight for one in all_limits(state(large, small), NOW)] == [20.0, 1.0]


def test_for_a_model_its_own_week_counts() -> None:
    spent = live(
        "a", window("5h", 10, HOUR), window("7d", 20, DAY), window("7d_opus", 100, 2 * DAY)
    )
    other = week("b", 10, 20, 6)
    assert choose(state(spent, other), NOW).account == "a"
    made = choose(state(spent, other), NOW, "opus")
    assert made.account == "b"
    assert made.ranking[1].confidence is Confidence.FULL
    assert (
        "no account has a limit of its own for fable" in choose(state(spent), NOW, "fable").reasons
    )


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
    opus = live("a", window("5h", 10, HOUR), window("7d", 1, DAY), window("7d_opus", 100, DAY))
    made = choice(opus, account("b", 40, 90))
    assert made.account == "a"
    assert "7d_opus is full for another 1d 00h" in made.reasons


def test_a_reset_that_has_passed_makes_room_that_is_not_confirmed() -> None:
    passed = live("a", window("5h", 100, timedelta(seconds=-5)), window("7d", 10, DAY))
    made = choice(passed, account("b", 40, 90))
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
    made = choice(failing(account("a", 1, 1), Reason.CONNECTION), account("b", 40, 90))
    assert made.account == "a"
    assert made.ranking[0].confidence is Confidence.KNOWN


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
        assert (first.confidence, first.lapses_at) == (second.confidence, second.lapses_at)

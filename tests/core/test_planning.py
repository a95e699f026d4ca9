"""Which account to use: what people expect of the advice, and of a plan."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.model import WINDOW
from monitor.core.planning import (
    AccountLimits,
    Action,
    Limit,
    advise,
    plan,
    pressure,
    spend,
    window_to_open,
)

NOW = datetime(2026, 1, 7, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def account(
    name: str,
    five: float = 1.0,
    week: float = 1.0,
    resets_in: timedelta = 3 * DAY,
    five_resets_in: timedelta | None = None,
) -> AccountLimits:
    if five < 1 and five_resets_in is None:
        five_resets_in = 2 * HOUR
    ends = None if five_resets_in is None else NOW + five_resets_in
    return AccountLimits(name, Limit(five, ends), Limit(week, NOW + resets_in))


class TestChoose:
    def test_what_expires_first_is_spent_first(self) -> None:
        advice = advise([account("later"), account("sooner", resets_in=DAY)], NOW)
        assert advice.account == "sooner"
        assert advice.reason == (
            "100% of its week is left and resets in 1d 00h: more than can still be used of it"
        )

    def test_more_left_to_expire_at_the_same_time_is_spent_first(self) -> None:
        assert advise([account("a", week=0.3), account("b", week=0.6)], NOW).account == "b"

    def test_the_current_one_is_kept_while_no_other_is_much_more_urgent(self) -> None:
        accounts = [account("a", week=0.5), account("b", week=0.6)]
        assert advise(accounts, NOW).account == "b"
        kept = advise(accounts, NOW, current="a")
        assert kept.account == "a"
        assert kept.reason.startswith("stay:")
        assert advise([accounts[0], account("b", week=0.9)], NOW, current="a").account == "b"

    def test_a_full_account_is_left(self) -> None:
        accounts = [account("a", five=0.0, week=0.9), account("b", week=0.2)]
        advice = advise(accounts, NOW, current="a")
        assert (advice.account, advice.reason) == ("b", "the only account with room")

    def test_a_nearly_spent_account_is_begun_only_where_there_is_no_other(self) -> None:
        spent = account("spent", five=0.04, resets_in=DAY)
        assert advise([spent, account("b", week=0.2)], NOW).account == "b"
        assert advise([spent, account("b", five=0.0)], NOW).account == "spent"

    def test_the_reserve_is_left_to_others(self) -> None:
        reserved = replace(account("a", week=0.14), reserve=0.15)
        assert advise([reserved, account("b", week=0.05)], NOW).account == "b"
        assert advise([reserved], NOW).account is None

    def test_it_can_do_the_model(self) -> None:
        without = replace(account("a", resets_in=DAY), models={"opus": Limit(0.0, NOW + DAY)})
        assert advise([without, account("b")], NOW).account == "a"
        assert advise([without, account("b")], NOW, model="opus").account == "b"

    def test_where_all_are_full_it_says_which_is_free_first(self) -> None:
        accounts = [account("a", five=0.0), account("b", five=0.0, five_resets_in=HOUR)]
        advice = advise(accounts, NOW)
        assert advice.account is None
        assert advice.until == NOW + HOUR
        assert advice.reason == "all accounts are full: b is free in 1h 00m"

    def test_a_week_that_is_full_holds_longer_than_its_window(self) -> None:
        full = account("a", five=0.5, week=0.0, resets_in=2 * DAY)
        assert advise([full], NOW).until == NOW + 2 * DAY

    def test_a_reset_that_has_passed_frees_the_account(self) -> None:
        full = account("a", five=0.0, five_resets_in=HOUR)
        assert advise([full], NOW).account is None
        assert advise([full], NOW + HOUR).account == "a"

    def test_no_accounts(self) -> None:
        assert advise([], NOW).account is None

    @given(
        st.lists(
            st.tuples(st.floats(0, 1), st.floats(0, 1), st.integers(1, 160), st.integers(1, 299)),
            min_size=1,
            max_size=8,
        )
    )
    def test_it_never_lands_on_a_full_account_and_stays_where_it_chose(
        self, drawn: list[tuple[float, float, int, int]]
    ) -> None:
        accounts = [
            account(str(i), five, week, hours * HOUR, timedelta(minutes=minutes))
            for i, (five, week, hours, minutes) in enumerate(drawn)
        ]
        advice = advise(accounts, NOW)
        free = [a for a in accounts if a.points() >= 0.5]
        assert (advice.account is None) == (not free)
        if advice.account is not None:
            assert advice.account in {a.name for a in free}
            assert "\n" not in advice.reason
            assert advise(accounts, NOW, current=advice.account).account == advice.account


class TestPressure:
    def test_it_is_one_where_all_that_is_left_just_fits(self) -> None:
        half_day = account("a", week=1 / 7 * 2, resets_in=10 * HOUR)
        assert 0.99 < pressure(half_day, NOW) < 1.01

    def test_an_open_window_ends_before_the_next_begins(self) -> None:
        late = account("a", five=0.1, week=0.5, resets_in=5 * HOUR, five_resets_in=4.9 * HOUR)
        idle = account("a", week=0.5, resets_in=5 * HOUR)
        assert pressure(late, NOW) > 3 * pressure(idle, NOW)

    @given(st.floats(0.01, 1), st.floats(0.01, 1), st.integers(1, 167))
    def test_more_left_is_more_pressure(self, one: float, other: float, hours: int) -> None:
        low, high = sorted((one, other))
        assert pressure(account("a", week=low, resets_in=hours * HOUR), NOW) <= pressure(
            account("a", week=high, resets_in=hours * HOUR), NOW
        )


class TestRing:
    def test_a_window_is_opened_where_none_was_for_a_share_of_five_hours(self) -> None:
        accounts = [account("a", five=0.5), account("b"), account("c", week=0.2)]
        assert window_to_open(accounts, NOW, NOW - 1.5 * HOUR) is None
        assert window_to_open(accounts, NOW, NOW - 1.7 * HOUR) == "b"

    def test_a_spent_week_is_left_alone(self) -> None:
        assert window_to_open([account("a", week=0.01)], NOW, None) is None


class TestPlan:
    def test_it_says_what_to_use_when_and_why(self) -> None:
        accounts = [account("a", resets_in=DAY), account("b", week=0.5)]
        lines = plan(accounts, NOW, 8 * HOUR, lambda _: 60.0)
        used = [line for line in lines if line.action is Action.USE]
        assert [line.account for line in used][:2] == ["a", "b"]
        assert used[0].at == NOW
        assert abs(used[1].at - (NOW + 1.6 * HOUR)) < HOUR / 2
        assert all(line.reason for line in lines)
        assert all(a.until is not None and a.until <= b.at for a, b in pairwise(used))

    def test_it_opens_windows_ahead_of_work(self) -> None:
        lines = plan([account("a"), account("b")], NOW, 10 * HOUR, at_noon)
        opened = [line for line in lines if line.action is Action.OPEN]
        assert opened and opened[0].at < NOW + 4 * HOUR
        assert "so that they end early" in opened[0].reason

    def test_it_opens_none_where_nobody_will_work(self) -> None:
        lines = plan([account("a"), account("b")], NOW, 10 * HOUR, lambda _: 0.0)
        assert {line.action for line in lines} == {Action.LEAVE}

    def test_it_says_what_expires(self) -> None:
        lines = plan([account("a", resets_in=3 * HOUR)], NOW, 12 * HOUR, lambda _: 10.0)
        expiring = [line for line in lines if line.action is Action.EXPIRES]
        assert len(expiring) == 1
        assert expiring[0].at == NOW + 3 * HOUR
        assert expiring[0].reason == "96% of its week expires unused"

    def test_it_says_what_expires_soon_after(self) -> None:
        lines = plan([account("a", resets_in=14 * HOUR)], NOW, 12 * HOUR, lambda _: 0.0)
        assert [(line.at, line.action) for line in lines] == [
            (NOW, Action.LEAVE),
            (NOW + 14 * HOUR, Action.EXPIRES),
        ]

    def test_work_with_a_model_uses_up_the_models_own_week(self) -> None:
        mine = replace(account("a"), models={"opus": Limit(0.05, NOW + 3 * DAY)})
        for model, action in (("opus", Action.WAIT), (None, Action.USE)):
            lines = plan([mine], NOW, 4 * HOUR, lambda _: 20.0, "a", model)
            assert lines[-1].action is action

    def test_a_window_is_opened_early_only_for_who_uses_it_before_its_end(self) -> None:
        def late(at: datetime) -> float:
            return 5.0 if at < NOW + HOUR else 60.0 if at >= NOW + 7.4 * HOUR else 0.0

        lines = plan([account("a"), account("b")], NOW, 12 * HOUR, late, "a")
        opened = [line for line in lines if line.action is Action.OPEN]
        used = [line for line in lines if line.action is Action.USE]
        assert used
        for line in opened:
            assert any(
                one.account == line.account and line.at < one.at < line.at + WINDOW for one in used
            )

    @pytest.mark.parametrize(
        ("week", "words"),
        [
            (0.5, "50% of its week expires unused, including its reserve of 15%"),
            (0.1, "10% of its week expires unused, all of it its reserve"),
        ],
    )
    def test_it_says_what_of_it_is_reserved(self, week: float, words: str) -> None:
        kept = replace(account("a", week=week, resets_in=3 * HOUR), reserve=0.15)
        lines = plan([kept], NOW, 4 * HOUR, lambda _: 0.0)
        expiring = [line.reason for line in lines if line.action is Action.EXPIRES]
        assert expiring == [words]
        left = [line.reason for line in lines if line.action is Action.LEAVE]
        is_left = "only its reserve is left, free in 3h 00m"
        assert left == [is_left if week < 0.15 else "not needed: the others suffice"]

    def test_it_says_when_to_wait(self) -> None:
        lines = plan([account("a")], NOW, 5 * HOUR, lambda _: 60.0)
        waits = [line for line in lines if line.action is Action.WAIT]
        assert len(waits) == 1
        assert waits[0].account is None
        assert abs(waits[0].at - (NOW + 5 / 3 * HOUR)) < HOUR / 3


def at_noon(at: datetime) -> float:
    """Work in the afternoon only."""
    return 40.0 if at.hour >= 14 else 0.0


def test_using_a_window_opens_it_and_costs_of_the_week() -> None:
    after = spend(account("a"), 70, NOW)
    assert after.five_hours.resets_at == NOW + WINDOW
    assert abs(after.five_hours.left - 0.3) < 1e-9
    assert abs(after.week.left - 0.9) < 1e-9

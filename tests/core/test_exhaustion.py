"""All accounts together."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from monitor.core.exhaustion import PoolForecast, forecast_pool, is_exhausted_soon, supply
from monitor.core.planning import AccountLimits, Limit
from monitor.core.profiles import Activity

NOW = datetime(2026, 1, 7, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def demand(points_per_hour: float) -> Activity:
    """Somebody who nearly always works, at this rate."""
    return Activity((0.95,) * 96, points_per_hour, 0.8, 14 * DAY, UTC)


def account(
    name: str, five: float, resets_in: timedelta = 4 * HOUR, week: float = 0.8
) -> AccountLimits:
    return AccountLimits(name, Limit(five, NOW + resets_in), Limit(week, NOW + 3 * DAY))


def looked(accounts: list[AccountLimits], points_per_hour: float) -> PoolForecast:
    return forecast_pool(accounts, NOW, demand(points_per_hour), active=True)


def test_with_much_left_nothing_runs_out() -> None:
    found = looked([account("a", 0.9), account("b", 1.0)], 15)
    assert [free.likely for free in found.free] == [2, 2, 2, 2]
    assert found.exhausted_probability < 0.05
    assert found.exhausted_at is None


def test_with_little_left_all_run_out_soon() -> None:
    found = looked([account("a", 0.2), account("b", 0.1)], 40)
    assert found.exhausted_probability > 0.7
    assert found.exhausted_at is not None
    assert timedelta(minutes=15) <= found.exhausted_at - NOW <= 1.5 * HOUR
    assert is_exhausted_soon(found, before=False)


def test_accounts_are_used_up_one_after_the_other() -> None:
    found = looked([account("a", 0.3), account("b", 1.0), account("c", 1.0)], 30)
    now, in_one, in_three, _ = found.free
    assert (now.low, now.likely, now.high) == (3, 3, 3)
    assert in_three.likely == 2
    assert in_three.low <= in_three.likely <= in_three.high
    assert in_one.likely >= in_three.likely


def test_a_reset_frees_an_account() -> None:
    found = looked([account("a", 0.0, HOUR / 2)], 10)
    assert found.free[0].likely == 0
    assert found.free[1].likely == 1


def test_what_is_exhausted_is_said_to_be() -> None:
    assert looked([account("a", 0.0)], 30).exhausted_probability == 1


def test_supply_ends_with_the_week_and_its_reserve() -> None:
    spent = account("a", 0.5, week=0.1)
    assert supply(spent, NOW, NOW) == 50
    assert round(supply(spent, NOW, NOW + DAY)) == 70
    assert supply(replace(spent, reserve=0.1), NOW, NOW + DAY) == 0
    assert supply(replace(spent, plan_weight=4.0), NOW, NOW) == 200
    assert supply(spent, NOW, NOW + 4 * DAY) > 500


def test_it_is_said_until_it_is_clearly_over() -> None:
    vague = PoolForecast(NOW, (), 0.2, None)
    assert not is_exhausted_soon(vague, before=False)
    assert is_exhausted_soon(vague, before=True)
    assert not is_exhausted_soon(PoolForecast(NOW, (), 0.004, None), before=True)


def test_a_burst_of_work_moves_what_is_said_by_and_by() -> None:
    accounts, calm = [account("a", 0.2), account("b", 0.1)], demand(1)
    before = forecast_pool(accounts, NOW, calm, active=True)
    after = [before]
    for minutes in (3, 12, 120):
        at = NOW + timedelta(minutes=minutes)
        after.append(forecast_pool(accounts, at, demand(40), active=True, before=after[-1]))
    said = [found.exhausted_probability for found in after]
    assert said[0] < 0.05 < said[1] < 0.3 < said[2] < 0.7 < said[3]


def test_an_account_that_is_free_again_is_judged_by_itself() -> None:
    exhausted = looked([account("a", 0.0), account("b", 0.0)], 10)
    free = [account("a", 1.0, 5 * HOUR), account("b", 0.0)]
    found = forecast_pool(free, NOW, demand(1), active=True, before=exhausted)
    assert found.exhausted_probability < 0.05


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.floats(1, 80))
def test_counts_lie_within_their_bands(levels: list[float], rate: float) -> None:
    found = looked([account(str(i), level) for i, level in enumerate(levels)], rate)
    for free in found.free:
        assert 0 <= free.low <= free.likely <= free.high <= len(levels)
    assert 0 <= found.exhausted_probability <= 1


def test_the_probability_rises_faster_than_it_falls() -> None:
    accounts, later = [account("a", 0.2), account("b", 0.1)], NOW + timedelta(minutes=10)
    low, high = looked(accounts, 1), looked(accounts, 40)
    rising = forecast_pool(accounts, later, demand(40), active=True, before=low)
    falling = forecast_pool(accounts, later, demand(1), active=True, before=high)
    span = high.exhausted_probability - low.exhausted_probability
    assert rising.exhausted_probability - low.exhausted_probability > span / 2
    assert high.exhausted_probability - falling.exhausted_probability < span / 2

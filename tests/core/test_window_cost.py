"""What a full window costs of the week, and when that changed."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from monitor.core.window_cost import Reading, WeekCost, learn_cost
from tools.backtest.costs import false_steps, told_after

START = datetime(2026, 1, 5, tzinfo=UTC)
FIVE_HOURS = timedelta(hours=5)
WEEK = timedelta(days=7)


def readings(windows: int, cost: float, start: datetime = START) -> Iterator[Reading]:
    """Full windows, one after the other, read every ten minutes in whole percents; the week holds them all."""
    week = 0.0
    for number in range(windows):
        opened = start + number * FIVE_HOURS
        for step in range(30):
            level = step * 100 / 29
            at = opened + step * timedelta(minutes=10)
            yield Reading(
                at,
                math.floor(level) / 100,
                math.floor(week + level * cost) / 100,
                opened + FIVE_HOURS,
                start + WEEK,
            )
        week += 100 * cost


def cost_of(found: WeekCost | None) -> WeekCost:
    assert found is not None
    return found


def test_nothing_is_said_before_a_full_window() -> None:
    assert learn_cost(list(readings(1, 0.143))[:20]) is None


def test_it_is_learned_from_whole_percents() -> None:
    assert cost_of(learn_cost(readings(2, 0.143))).ratio == pytest.approx(0.143, abs=0.004)
    found = cost_of(learn_cost(readings(6, 0.143)))
    assert found.ratio == pytest.approx(0.143, abs=0.002)
    assert found.change is None
    assert found.windows_left(0.5) == pytest.approx(3.5, abs=0.05)


def test_resets_are_no_negative_use() -> None:
    weeks = [*readings(6, 0.143), *readings(6, 0.143, START + WEEK)]
    assert cost_of(learn_cost(weeks)).ratio == pytest.approx(0.143, abs=0.002)


def test_windows_that_passed_unseen_teach_nothing() -> None:
    seen = list(readings(6, 0.1))
    gap = [
        r for r in seen if not START + 6 * timedelta(hours=1) < r.at < START + timedelta(hours=17)
    ]
    assert cost_of(learn_cost(gap)).ratio == pytest.approx(0.1, abs=0.003)


def test_a_limit_that_doubled_is_told_with_its_factor_and_the_ratio_follows() -> None:
    before = list(readings(6, 0.1))
    after = list(readings(2, 0.2, START + WEEK))
    found = cost_of(learn_cost([*before, *after]))
    assert found.change is not None
    assert found.change.factor == pytest.approx(2, abs=0.1)
    assert abs(found.change.at - (START + WEEK)) <= FIVE_HOURS
    assert found.ratio == pytest.approx(0.2, abs=0.01)


def test_it_is_told_once_and_the_way_back_is_another_step() -> None:
    first = [*readings(6, 0.1), *readings(5, 0.2, START + WEEK)]
    told = cost_of(learn_cost(first)).change
    later = cost_of(learn_cost([*first, *readings(2, 0.2, START + 2 * WEEK)])).change
    assert told is not None and later is not None and later.at == told.at
    back = cost_of(learn_cost([*first, *readings(4, 0.1, START + 2 * WEEK)])).change
    assert back is not None
    assert back.factor == pytest.approx(0.5, abs=0.05)


def test_every_doubling_is_told_within_two_full_windows() -> None:
    told = list(told_after(21, 25, 2.0))
    assert len(told) == 25
    assert all(windows is not None and 0 <= windows <= 2 for windows in told)


def test_steady_accounts_tell_nothing_in_a_thousand_weeks_of_gaps_and_mixes() -> None:
    assert false_steps(22, 1000) == 0


def test_order_is_all_that_counts() -> None:
    """Readings that repeat change nothing."""
    seen = list(readings(4, 0.143))
    rng = Random(1)
    twice = [r for r in seen for _ in range(rng.choice((1, 2)))]
    assert cost_of(learn_cost(twice)).ratio == cost_of(learn_cost(seen)).ratio

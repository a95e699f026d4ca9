"""Forecasts of single windows: what they say, and what they must never do."""

import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.forecast import (
    Finished,
    Forecast,
    RateChange,
    RunOut,
    calibrate,
    fits,
    forecast,
    gamma_quantiles,
    is_running_out,
    run_out,
    score,
    upper_gamma,
)
from monitor.core.profiles import (
    Activity,
    Profile,
    Sample,
    learn,
    learn_demand,
    split_periods,
)

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WEEK = timedelta(days=7)
FIVE_HOURS = timedelta(hours=5)
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


def office(weeks: float, points_per_hour: float, start: datetime = MONDAY) -> list[Sample]:
    """Hourly samples of somebody who works from 9 to 17, every day, at the same pace."""
    samples = []
    level, resets_at = 0.0, start + WEEK
    for hour in range(round(weeks * 168)):
        at = start + hour * HOUR
        if at >= resets_at:
            level, resets_at = 0.0, resets_at + WEEK
        samples.append(Sample(at, min(math.floor(level), 100) / 100, resets_at))
        if 9 <= at.hour < 17:
            level += points_per_hour
    return samples


def unsteady(seed: int, weeks: int, mean: float = 0.8) -> list[Sample]:
    """Hourly samples of somebody whose hours and days differ."""
    rng = Random(seed)
    samples = []
    level, resets_at, day = 0.0, MONDAY + WEEK, 1.0
    for hour in range(weeks * 168):
        at = MONDAY + hour * HOUR
        if at >= resets_at:
            level, resets_at = 0.0, resets_at + WEEK
        samples.append(Sample(at, min(math.floor(level), 100) / 100, resets_at))
        if at.hour == 4:
            day = rng.uniform(0.3, 1.9)
        if 8 <= at.hour < 22:
            level += rng.expovariate(1 / (mean * day))
    return samples


def said(samples: Sequence[Sample], now: datetime, duration: timedelta = WEEK) -> Forecast | None:
    return forecast(samples, now, duration, learn(samples, now, duration))


def distribution(samples: Sequence[Sample], now: datetime, duration: timedelta = WEEK) -> RunOut:
    found = run_out(samples, now, duration, learn(samples, now, duration))
    assert found is not None
    return found


class TestWeek:
    def test_a_heavy_week_runs_out_about_when_the_same_pace_says(self) -> None:
        samples = office(2.5, 3.0)  # full after 34 working hours: on the fifth day at 11
        now = MONDAY + 2 * WEEK + 3 * DAY
        found = said(samples, now)
        assert found is not None and found.full_at is not None
        assert found.run_out_probability > 0.9
        assert abs(found.full_at.p50 - (MONDAY + 2 * WEEK + 4 * DAY + 11 * HOUR)) < 8 * HOUR
        assert found.full_at.p10 <= found.full_at.p50 <= found.full_at.p90 <= MONDAY + 3 * WEEK

    def test_a_light_week_lasts(self) -> None:
        found = said(office(2.5, 0.8), MONDAY + 2 * WEEK + 3 * DAY)
        assert found is not None
        assert found.run_out_probability < 0.05
        assert found.full_at is None

    def test_nothing_is_said_in_the_first_two_days(self) -> None:
        assert said(office(1, 3.0), MONDAY + 1.5 * DAY) is None
        assert said(office(1, 3.0), MONDAY + 2.5 * DAY) is not None

    def test_nothing_is_said_where_no_window_is_open(self) -> None:
        samples = [Sample(s.at, 0.0, None) for s in office(1, 0)]
        assert said(samples, MONDAY + 6 * DAY) is None

    def test_nothing_is_said_once_the_reset_has_passed(self) -> None:
        assert said(office(1, 1.0), MONDAY + WEEK + HOUR) is None

    def test_a_full_window_is_full_since_it_was(self) -> None:
        samples = office(1, 5.0)
        now = MONDAY + 6 * DAY
        first = next(s.at for s in samples if s.utilization >= 1)
        found = said(samples, now)
        assert found is not None and found.full_at is not None
        assert found.run_out_probability == 1
        assert found.full_at.p50 == first

    def test_no_time_is_told_at_night_when_nobody_works(self) -> None:
        found = distribution(office(3, 2.4), MONDAY + 2 * WEEK + 3 * DAY + 18 * HOUR)
        evening, morning, noon = (MONDAY + 2 * WEEK + 3 * DAY + h * HOUR for h in (19, 33, 38))
        assert found.full_probability(noon) - found.full_probability(morning) > 3 * (
            found.full_probability(morning) - found.full_probability(evening)
        )

    def test_an_early_reset_starts_a_new_period(self) -> None:
        before = office(1.5, 2.0)
        at = before[-1].at + HOUR
        after = [Sample(s.at, s.utilization, s.resets_at) for s in office(0.2, 2.0, at)]
        assert len(split_periods([*before, *after])) == 3
        found = said([*before, *after], after[-1].at)
        assert found is not None
        assert found.full_at is None or found.full_at.p50 > at + 4 * DAY

    def test_a_single_wrong_zero_is_no_reset(self) -> None:
        samples = office(1.5, 2.0)
        index = len(samples) - 10
        wrong = Sample(samples[index].at + timedelta(minutes=10), 0.0, samples[index].resets_at)
        soon = Sample(
            samples[index].at + timedelta(minutes=20),
            samples[index].utilization,
            samples[index].resets_at,
        )
        with_zero = [*samples[: index + 1], wrong, soon, *samples[index + 1 :]]
        assert len(split_periods(with_zero)) == 2

    def test_jitter_of_the_reset_is_no_reset(self) -> None:
        samples = [
            Sample(s.at, s.utilization, s.resets_at and s.resets_at + timedelta(seconds=i % 3))
            for i, s in enumerate(office(0.9, 2.0))
        ]
        assert len(split_periods(samples)) == 1

    def test_hours_at_the_limit_teach_nothing(self) -> None:
        full, open_ended = office(2, 6.0), office(2, 1.5)
        profile = learn(full, MONDAY + 2 * WEEK, WEEK)
        other = learn(open_ended, MONDAY + 2 * WEEK, WEEK)
        assert isinstance(profile, Profile) and isinstance(other, Profile)
        noon = MONDAY + 3 * WEEK + 5 * DAY + 11 * HOUR  # the heavy week was full by then
        assert profile.between(noon, noon + HOUR) > 2 * other.between(noon, noon + HOUR)

    def test_the_hours_are_those_of_the_local_clock(self) -> None:
        tz = ZoneInfo("America/New_York")
        profile = learn(office(3, 2.0), MONDAY + 3 * WEEK, WEEK, tz)
        assert isinstance(profile, Profile)
        by_hour = [profile.points_per_hour[h] for h in range(24)]
        assert max(range(24), key=by_hour.__getitem__) in range(4, 12)  # 9 to 17 UTC

    def test_work_that_costs_twice_as_much_is_full_sooner(self) -> None:
        samples = office(2.4, 1.2)
        now = samples[-1].at
        learned = learn(samples, now, WEEK)
        change = RateChange(now - HOUR, 2.0)
        before = forecast(samples, now, WEEK, learned)
        after = forecast(samples, now, WEEK, learned, change=change)
        assert before is not None and after is not None
        assert after.run_out_probability > before.run_out_probability + 0.2

    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 1000), st.integers(20, 24 * 20))
    def test_the_probability_grows_with_time(self, seed: int, hours: int) -> None:
        samples = unsteady(seed, 3)
        found = run_out(
            samples,
            MONDAY + hours * HOUR,
            WEEK,
            learn(samples, MONDAY + hours * HOUR, WEEK),
        )
        if found is None or found.need <= 0:
            return
        instants = [found.start + i * timedelta(hours=3.7) for i in range(50)]
        chances = [found.full_probability(at) for at in instants]
        assert all(0 <= chance <= 1 for chance in chances)
        assert all(a <= b + 1e-9 for a, b in pairwise(chances))
        assert found.full_by(0.1) <= found.full_by(0.5) <= found.full_by(0.9) <= found.resets_at
        if found.full_by(0.5) < found.resets_at:
            assert found.full_probability(found.full_by(0.5)) == pytest.approx(0.5, abs=0.03)

    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 1000), st.integers(60, 24 * 20))
    def test_the_future_is_not_looked_at(self, seed: int, hours: int) -> None:
        samples = unsteady(seed, 3)
        now = MONDAY + hours * HOUR
        past = [sample for sample in samples if sample.at <= now]
        assert said(samples, now) == said(past, now)

    @settings(max_examples=15, deadline=None)
    @given(st.integers(0, 1000), st.floats(0.02, 0.3))
    def test_a_fuller_window_runs_out_more_likely(self, seed: int, more: float) -> None:
        samples = unsteady(seed, 3, 0.5)[: 168 * 2 + 80]
        now = samples[-1].at
        learned = learn(samples, now, WEEK)
        low = run_out(samples, now, WEEK, learned)
        raised = [*samples[:-1], Sample(now, samples[-1].utilization + more, samples[-1].resets_at)]
        high = run_out(raised, now, WEEK, learned)
        assert low is not None and high is not None
        assert high.probability >= low.probability

    def test_it_does_not_flip_from_look_to_look(self) -> None:
        turns = looks = 0
        for seed in range(12):
            samples = unsteady(seed, 4, 0.55)
            answers = []
            for hours in range(12, 168, 3):
                found = said(samples, MONDAY + 3 * WEEK + hours * HOUR)
                if found is not None and found.run_out_probability < 1:
                    answers.append(found.run_out_probability >= 0.5)
            turns += sum(a != b for a, b in pairwise(answers))
            looks += len(answers)
        assert looks > 300
        assert turns <= 2 * 12


def five_hours(days: int, points_per_hour: float, hours: range = range(9, 17)) -> list[Sample]:
    """Samples every five minutes of somebody who works in these hours of each day, without a pause."""
    samples: list[Sample] = []
    level, resets_at = 0.0, None
    for step in range(days * 288):
        at = MONDAY + step * timedelta(minutes=5)
        if resets_at is not None and at >= resets_at:
            level, resets_at = 0.0, None
        samples.append(Sample(at, min(math.floor(level), 100) / 100, resets_at))
        if at.hour in hours:
            resets_at = resets_at or at + FIVE_HOURS
            level += points_per_hour / 12
    return samples


class TestFiveHours:
    def test_who_works_fast_is_full_before_the_reset(self) -> None:
        now = MONDAY + 6 * DAY + 10 * HOUR
        found = said(five_hours(8, 30), now, FIVE_HOURS)
        assert found is not None and found.full_at is not None
        assert found.run_out_probability > 0.5
        later = said(five_hours(8, 30), now + 1.5 * HOUR, FIVE_HOURS)
        assert later is not None and later.full_at is not None
        assert later.run_out_probability > found.run_out_probability
        assert abs(later.full_at.p50 - (now + timedelta(hours=2.3))) < 0.75 * HOUR

    def test_who_stops_at_noon_is_not(self) -> None:
        now = MONDAY + 6 * DAY + 11.9 * HOUR
        found = said(five_hours(8, 18, range(9, 12)), now, FIVE_HOURS)
        assert found is not None
        assert found.run_out_probability < 0.3

    def test_it_counts_for_more_to_be_at_work_than_not_to_be(self) -> None:
        activity = learn(five_hours(8, 20), MONDAY + 8 * DAY, FIVE_HOURS)
        assert isinstance(activity, Activity)
        at = MONDAY + 8 * DAY + 20 * HOUR
        working = sum(points for _, points in activity.steps(at, at + HOUR, active=True))
        resting = sum(points for _, points in activity.steps(at, at + HOUR, active=False))
        assert working > resting

    def test_after_the_last_hour_of_work_nobody_is_taken_to_work_on(self) -> None:
        activity = learn(five_hours(15, 20, range(9, 18)), MONDAY + 15 * DAY, FIVE_HOURS)
        assert isinstance(activity, Activity)
        end = MONDAY + 15 * DAY + 18 * HOUR
        before, after = (
            sum(points for _, points in activity.steps(start, start + 2 * HOUR, active=True))
            for start in (end - 2 * HOUR, end)
        )
        assert after < 0.2 * before

    def test_few_days_do_not_spread_the_hours_of_work_over_the_night(self) -> None:
        learned = learn(five_hours(4, 20, range(9, 18)), MONDAY + 4 * DAY, FIVE_HOURS)
        assert isinstance(learned, Activity)
        noon, midnight = learned.chance[24], learned.chance[0]
        assert noon > 0.9
        assert midnight < 0.05

    def test_the_reading_that_shows_a_full_window_counts_as_use(self) -> None:
        hourly = [
            Sample(MONDAY + hour * HOUR, level, MONDAY + 5 * HOUR)
            for hour, level in enumerate((0.0, 0.5, 1.0, 1.0))
        ]
        learned = learn(hourly, MONDAY + 4 * HOUR, FIVE_HOURS)
        assert isinstance(learned, Activity)
        assert learned.observed == 2 * HOUR

    def test_no_open_window_no_forecast(self) -> None:
        assert said(five_hours(8, 20), MONDAY + 6 * DAY + 3 * HOUR, FIVE_HOURS) is None

    def test_the_demand_of_two_accounts_is_that_of_one_person(self) -> None:
        one = five_hours(8, 20, range(9, 12))
        two = five_hours(8, 20, range(12, 15))
        demand = learn_demand({"a": one, "b": two}, {"b": 2.0}, UTC, MONDAY + 8 * DAY)
        start = MONDAY + 8 * DAY
        morning = sum(p for _, p in demand.steps(start + 10 * HOUR, start + 12 * HOUR, True))
        noon = sum(p for _, p in demand.steps(start + 13 * HOUR, start + 15 * HOUR, True))
        night = sum(p for _, p in demand.steps(start, start + 3 * HOUR, False))
        assert night < 0.1 * morning
        assert morning == pytest.approx(noon, rel=0.2)  # the rate while active is one figure


def test_what_is_said_holds_until_it_is_clearly_wrong() -> None:
    said, vague, unlikely = (Forecast(p, None) for p in (0.8, 0.55, 0.3))
    assert is_running_out(said, before=False)
    assert not is_running_out(vague, before=False)
    assert is_running_out(vague, before=True)
    assert not is_running_out(unlikely, before=True)
    assert not is_running_out(None, before=True)


class TestFits:
    def test_a_task_that_is_larger_than_what_is_left_does_not_fit(self) -> None:
        found = distribution(office(2.5, 1.0), MONDAY + 2 * WEEK + 3 * DAY)
        assert fits([(found, found.need + 1)], HOUR) == 0

    def test_a_small_one_fits(self) -> None:
        found = distribution(office(2.5, 1.0), MONDAY + 2 * WEEK + 3 * DAY)
        assert fits([(found, 1.0)], HOUR) > 0.95

    def test_the_tightest_window_decides(self) -> None:
        loose = distribution(office(2.5, 0.5), MONDAY + 2 * WEEK + 3 * DAY)
        tight = distribution(office(2.5, 2.0), MONDAY + 2 * WEEK + 3 * DAY)
        need = tight.need + 1
        assert need < loose.need
        assert fits([(loose, need), (tight, need)], HOUR) == 0

    @given(st.floats(0.1, 60), st.floats(0.1, 60))
    def test_a_larger_task_is_less_likely_to_fit(self, one: float, other: float) -> None:
        window = RunOut(
            MONDAY, MONDAY + FIVE_HOURS, (2.5, 5.0), (20.0, 40.0), (0.7, 1.0, 1.4), 55.0, 6.0
        )
        small, large = sorted((one, other))
        assert fits([(window, small)], 2 * HOUR) >= fits([(window, large)], 2 * HOUR)


class TestCalibration:
    def test_few_forecasts_change_nothing(self) -> None:
        assert calibrate([Finished(0.99, 0.99)] * 10) == 1

    def test_intervals_that_were_too_narrow_are_widened(self) -> None:
        assert calibrate([Finished(0.01, 0.01), Finished(0.99, 0.99)] * 40) > 1.5

    def test_intervals_that_were_too_wide_are_narrowed(self) -> None:
        assert calibrate([Finished(0.5, 0.5)] * 80) < 0.9

    def test_a_window_that_lasted_counts_by_what_was_left_open(self) -> None:
        assert Finished(0.0, 1.0).covered == pytest.approx(0.8)
        assert Finished(0.9, 1.0).covered == 0

    def test_a_score_is_the_probability_of_what_came(self) -> None:
        found = distribution(office(2.5, 3.0), MONDAY + 2 * WEEK + 3 * DAY)
        assert score(found, None) == Finished(found.probability, 1.0)
        assert score(found, found.full_by(0.5)).low == pytest.approx(0.5, abs=0.03)


class TestGamma:
    def test_the_upper_function_is_that_of_the_tables(self) -> None:
        assert upper_gamma(1, 2) == pytest.approx(math.exp(-2), abs=1e-6)
        assert upper_gamma(2, 3) == pytest.approx(4 * math.exp(-3), abs=1e-6)
        assert upper_gamma(0.5, 0.5) == pytest.approx(math.erfc(math.sqrt(0.5)), abs=1e-6)
        assert upper_gamma(5, 10) == pytest.approx(0.02925268807696108, abs=1e-6)
        assert upper_gamma(0, 1) == 0

    @given(st.floats(0.01, 200), st.floats(0.01, 200))
    def test_it_is_a_probability_that_falls_with_x(self, shape: float, x: float) -> None:
        assert 0 <= upper_gamma(shape, x + 1) <= upper_gamma(shape, x) + 1e-6 <= 1 + 1e-5

    def test_quantiles_have_the_mean_of_the_distribution(self) -> None:
        paces = gamma_quantiles(6, 6)
        assert sum(paces) / len(paces) == pytest.approx(1, abs=0.02)
        assert list(paces) == sorted(paces)


def test_a_forecast_takes_less_than_20_milliseconds() -> None:
    """Measured by the processor's time, the best of some: others load the machine."""
    week, short = unsteady(1, 8), five_hours(8, 25)
    for samples, duration in ((week, WEEK), (short, FIVE_HOURS)):
        now = next(
            s.at
            for s in reversed(samples[:-70])
            if s.resets_at is not None and 0.2 < s.utilization < 0.8
        )
        learned = learn(samples, now, duration)
        spent = []
        for _ in range(7):
            began = time.process_time()
            assert forecast(samples, now, duration, learned) is not None
            spent.append(time.process_time() - began)
        assert min(spent) < 0.020

"""What `make backtest` and `make plan` print, and that they judge by the past alone."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.core.profiles import Period, Sample
from tools import plan
from tools.backtest import methods, report, scores
from tools.backtest.looks import WEEKLY, looks
from tools.backtest.methods import Answer, Look
from tools.backtest.users import WEEK, Track, five_hour_users, week_users

HOUR = timedelta(hours=1)
START = datetime(2026, 1, 5, tzinfo=UTC)


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    last = capsys.readouterr().out.splitlines()[-1]
    found: dict[str, Any] = json.loads(last)
    return found


def test_the_last_line_has_the_keys_of_the_interface(capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main(["--only-given"]) == 0
    given = document(capsys)["given"]
    keys = {"looks", "false", "missed", "median_error_minutes", "brier"}
    assert keys | {"interval_coverage", "ms"} <= given["ours"].keys()
    names = {"window_average", "slope_6h", "slope_24h", "hour_profile_point"}
    assert names <= given["naive"].keys()
    assert all(keys <= given["naive"][name].keys() for name in names)
    assert len({given["naive"][name]["looks"] for name in names} | {given["ours"]["looks"]}) == 1


def test_only_looks_from_the_date_on_are_scored(capsys: pytest.CaptureFixture[str]) -> None:
    report.main(["--only-given"])
    every = document(capsys)["given"]["ours"]
    report.main(["--only-given", "--score-since", "2026-08-25"])
    late = document(capsys)["given"]["ours"]
    assert 0 < late["looks"] < every["looks"]


def test_other_data_take_the_place_of_the_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = report.GIVEN.read_text(encoding="utf-8").splitlines()
    other = tmp_path / "other.csv"
    other.write_text("\n".join(lines[: 24 * 15]), encoding="utf-8")
    report.main(["--only-given", "--data", str(other)])
    assert 0 < document(capsys)["given"]["ours"]["looks"] < 100


def test_what_comes_later_changes_no_answer() -> None:
    track = week_users(7, 1)[0]
    cut = Track(track.name, "7d", track.samples[: 24 * 21])
    whole = {o.now: o.answers for o in looks(track, WEEK, WEEKLY, methods.WEEK_NAIVE)}
    early = {o.now: o.answers for o in looks(cut, WEEK, WEEKLY, methods.WEEK_NAIVE)}
    assert len(early) > 20
    assert all(whole[now] == answers for now, answers in early.items())


def test_a_week_that_is_read_as_unused_after_a_gap_begins_there() -> None:
    first = [Sample(START + h * HOUR, 0.005 * h, START + WEEK) for h in range(168)]
    begins = START + WEEK + 74 * HOUR
    second = [Sample(begins + h * HOUR, 0.01 * h, START + 2 * WEEK) for h in range(94)]
    track = Track("one", "7d", (*first, *second))
    found = [o for o in looks(track, WEEK, WEEKLY, methods.WEEK_NAIVE) if o.now > begins]
    assert found[0].now == begins + 12 * HOUR
    resets_at = START + 2 * WEEK  # at 1 % an hour it lasts, and would from the week's first day on
    assert {o.answers["window_average"] for o in found} == {Answer(0.0, resets_at)}
    doubled = [s._replace(utilization=min(2 * s.utilization, 1)) for s in second]
    track = Track("one", "7d", (*first, *doubled))
    found = [o for o in looks(track, WEEK, WEEKLY, methods.WEEK_NAIVE) if o.now > begins]
    full_at = [o.answers["window_average"].full_at - begins for o in found]
    assert all(abs(after - 50 * HOUR) < HOUR for after in full_at)


def test_simulated_users_are_the_same_by_their_seed() -> None:
    assert week_users(3, 2) == week_users(3, 2) != week_users(4, 2)
    assert five_hour_users(3, 1) == five_hour_users(3, 1) != five_hour_users(4, 1)


def look(levels: list[float]) -> Look:
    """Hourly levels from the start of a week on, looked at after the last."""
    samples = tuple(
        Sample(START + hour * HOUR, level, START + WEEK) for hour, level in enumerate(levels)
    )
    return Look(samples[-1].at, START, START + WEEK, Period(samples), ())


@pytest.mark.parametrize("name", ["window_average", "slope_6h", "slope_24h", "predict_linear_24h"])
def test_naive_rules_agree_on_an_even_pace(name: str) -> None:
    answer = methods.WEEK_NAIVE[name](look([hour / 100 for hour in range(50)]))
    assert answer.probability == 1
    assert abs(answer.full_at - (START + 100 * HOUR)) < HOUR


@pytest.mark.parametrize("name", sorted(methods.WEEK_NAIVE))
def test_naive_rules_see_that_nothing_is_used(name: str) -> None:
    assert methods.WEEK_NAIVE[name](look([0.0] * 50)) == Answer(0.0, START + WEEK)


def test_reliability_is_by_tenths() -> None:
    table = scores.reliability([(0.81, True), (0.89, True), (0.85, False), (0.1, False)])
    assert [row["looks"] for row in table] == [1, 3]
    assert table[1]["was"] == pytest.approx(0.667)


def test_plan_prints_every_policy_and_nobody_beats_the_bound(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert plan.main(["--seeds", "1"]) == 0
    found = document(capsys)
    assert found["settings"] == 8
    keys = {
        "avoidable_loss_points",
        "none_free_percent",
        "week_expired_percent",
        "switches_per_day",
    }
    for name in plan.POLICIES:
        assert keys <= found[name].keys()
        assert found[name]["avoidable_loss_points"] >= 0
    assert found["ours_with_advice"]["avoidable_loss_points"] < min(
        found[name]["avoidable_loss_points"] for name in ("most_room", "in_order", "soonest_reset")
    )

"""The demo tells its story by the seconds since it began, whatever the time of day is."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from monitor.api.wire import parse_usage
from monitor.core.alerts.machine import observe
from monitor.core.alerts.rules import RuleBook, WindowMemory
from monitor.core.model import Usage
from monitor.core.window_cost import Reading, learn_cost
from monitor.demo.scenario import demo_accounts, past_samples
from monitor.demo.server import SimulatedAccount, usage_body
from monitor.storage.samples import StoredSample
from tests.builders import NOW, after

TIMES_OF_DAY = [NOW + timedelta(hours=7 * n, minutes=13 * n, seconds=29 * n) for n in range(4)]


def seen(account: SimulatedAccount, at: datetime) -> Usage:
    return parse_usage(json.dumps(usage_body(account.limits(at))).encode(), at)


def alerts_of(start: datetime, seconds: int, interval: int = 2) -> list[tuple[int, str, str]]:
    """The alerts of the imported accounts: second, account and rule."""
    fired: list[tuple[int, str, str]] = []
    for account in demo_accounts(start)[:-1]:
        memories: Mapping[str, WindowMemory] = {}
        for second in range(0, seconds, interval):
            usage = seen(account, start + timedelta(seconds=second))
            memories, alerts = observe(account.email, memories, usage, RuleBook())
            fired += [(second, account.email, alert.rule) for alert in alerts]
    return sorted(fired)


@pytest.mark.parametrize("start", TIMES_OF_DAY)
def test_its_alerts_come_at_the_same_seconds_at_any_time_of_day(start: datetime) -> None:
    assert alerts_of(start, 60) == [
        (8, "user@work.com", "threshold_80"),
        (20, "user@client.com", "threshold_100"),
        (34, "user@client.com", "reset"),
        (50, "user@personal.com", "threshold_100"),
    ]


def test_it_goes_on_with_alerts_and_resets_after_the_story() -> None:
    rules = {rule for second, _, rule in alerts_of(NOW, 420) if second > 60}
    assert rules >= {"threshold_80", "threshold_95", "reset"}


@pytest.mark.parametrize("start", TIMES_OF_DAY)
def test_failures_come_only_after_a_minute(start: datetime) -> None:
    def faults(second: int) -> list[int]:
        at = start + timedelta(seconds=second)
        return [fault.status for a in demo_accounts(start) if (fault := a.fault(at))]

    assert not any(map(faults, range(61)))
    assert sorted(faults(75)) == [401, 429]


def test_one_account_has_per_model_weeks() -> None:
    assert any(seen(account, NOW).window("7d_opus") for account in demo_accounts(NOW))


def test_the_week_ends_at_one_instant_however_long_the_demo_runs() -> None:
    account = demo_accounts(NOW)[0]
    ends = set()
    for hours in range(48):
        week = seen(account, after(hours=hours)).window("7d")
        ends.add(week and week.resets_at)
    assert len(ends) == 1


@pytest.mark.parametrize("start", TIMES_OF_DAY)
def test_its_past_leads_to_the_figures_that_it_begins_with(start: datetime) -> None:
    accounts = demo_accounts(start)
    for account in accounts:
        samples: dict[str, list[StoredSample]] = {"5h": [], "7d": []}
        for row in past_samples(accounts, start, account.email):
            samples[row.window].append(row)
        now = account.limits(start)
        assert now.seven_day and now.five_hour and now.five_hour.resets_at
        assert samples["7d"][-1].utilization == pytest.approx(now.seven_day.percent / 100, abs=0.06)
        assert start - samples["7d"][0].at > timedelta(days=21)
        last = samples["5h"][-1]
        assert last.utilization == pytest.approx(now.five_hour.percent / 100, abs=0.05)
        assert last.resets_at
        assert abs(last.resets_at - now.five_hour.resets_at) < timedelta(seconds=3)
        ends = [s.resets_at for s in samples["5h"] if s.resets_at]
        jumps = [b - a for a, b in pairwise(ends) if a != b]
        assert min(jumps) > timedelta(hours=4, minutes=59), "no window ends before its time"
        assert all(0 <= s.utilization <= 1 for key in ("5h", "7d") for s in samples[key])
        pairs = zip(samples["5h"], samples["7d"], strict=True)
        cost = learn_cost(
            Reading(five.at, five.utilization, week.utilization, five.resets_at, week.resets_at)
            for five, week in pairs
        )
        assert cost is None or cost.change is None, "no alert that a limit has changed"


def test_an_account_of_another_name_has_no_past() -> None:
    assert list(past_samples(demo_accounts(NOW), NOW, "renamed")) == []

"""The demo is worth watching: within a few minutes everything that the program can show has happened."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta

from monitor.api.wire import parse_usage
from monitor.core.alerts.machine import observe
from monitor.core.alerts.memory import WindowMemory
from monitor.core.alerts.rules import RuleBook
from monitor.core.effects import Alert, AlertKind
from monitor.core.model import Usage
from monitor.demo.bodies import usage_body
from monitor.demo.scenario import demo_accounts
from monitor.demo.server import SimulatedAccount
from tests.builders import NOW, after


def seen(account: SimulatedAccount, at: datetime) -> Usage:
    return parse_usage(json.dumps(usage_body(account.limits(at))).encode(), at)


def told(account: SimulatedAccount, minutes: int) -> list[Alert]:
    memories: Mapping[str, WindowMemory] = {}
    alerts: list[Alert] = []
    for tick in range(0, minutes * 60, 5):
        memories, news = observe(
            account.email, memories, seen(account, NOW + timedelta(seconds=tick)), RuleBook()
        )
        alerts.extend(news)
    return alerts


def test_some_account_crosses_thresholds_and_resets_within_four_minutes() -> None:
    kinds = {alert.kind for account in demo_accounts(NOW) for alert in told(account, 4)}
    assert kinds == {AlertKind.THRESHOLD, AlertKind.RESET}


def test_some_account_reaches_its_limit() -> None:
    full = [a for a in demo_accounts(NOW) if any(x.threshold == 1 for x in told(a, 4))]
    assert full


def test_one_is_rate_limited_one_has_expired_and_one_has_per_model_weeks() -> None:
    accounts = demo_accounts(NOW)
    faults = [fault.status for a in accounts if (fault := a.fault(after(seconds=30)))]
    assert sorted(faults) == [401, 429]
    assert any(seen(account, NOW).window("7d_opus") for account in accounts)


def test_the_week_ends_at_one_instant_however_long_the_demo_runs() -> None:
    account = demo_accounts(NOW)[0]
    ends = set()
    for hours in range(48):
        week = seen(account, after(hours=hours)).window("7d")
        ends.add(week and week.resets_at)
    assert len(ends) == 1

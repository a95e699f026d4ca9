from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from monitor.core.alerts.conditions import firing_alerts
from monitor.core.alerts.rules import (
    DEFAULT_RULES,
    Alert,
    AlertKind,
    Condition,
    Override,
    Rule,
    RuleBook,
)
from monitor.core.errors import Failure, Reason
from monitor.core.events import PollFailed, PollSucceeded, Ticked
from monitor.core.model import Window
from monitor.core.state import Policy, State
from monitor.core.update import update
from tests.builders import NOW, after, live, state, usage, window

END = timedelta(hours=2)


def polled(of: State, minutes: float, *windows: Window, account: str = "a") -> State:
    """The state after a poll so many minutes from now."""
    at = after(minutes=minutes)
    event = PollSucceeded(at, account, usage(*windows, at=at), timedelta(seconds=1))
    return update(of, event)[0]


def fresh(*names: str, rules: RuleBook | None = None) -> State:
    """Accounts that were polled once, at 10 %."""
    policy = Policy(alerts=rules or RuleBook())
    known = state(*(live(name) for name in names or ("a",)), policy=policy)
    for name in names or ("a",):
        known = polled(known, 0, window("5h", 10, END), account=name)
    return known


def five_hours(percent: float) -> Window:
    return window("5h", percent, END)


def names(of: State, now: datetime) -> list[str]:
    return [alert.rule for alert in firing_alerts(of, now)]


def test_nothing_fires_below_every_threshold() -> None:
    assert firing_alerts(fresh(), after(minutes=1)) == ()


def test_a_threshold_fires_from_the_sample_that_reached_it() -> None:
    high = polled(polled(fresh(), 3, five_hours(85)), 6, five_hours(88))
    (alert,) = firing_alerts(high, after(minutes=7))
    assert alert == Alert(
        AlertKind.THRESHOLD,
        "a",
        "5h",
        after(minutes=3),
        utilization=0.88,
        threshold=0.8,
        resets_at=NOW + END,
        period=alert.period,
    )
    assert alert.period


def test_all_thresholds_that_were_passed_fire() -> None:
    full = polled(fresh(), 3, five_hours(100))
    assert names(full, after(minutes=4)) == ["threshold_80", "threshold_95", "threshold_100"]


def test_the_limit_fires_by_itself_where_it_is_no_threshold() -> None:
    rules = RuleBook(thresholds=(0.5,))
    full = polled(fresh(rules=rules), 3, five_hours(100))
    assert names(full, after(minutes=4)) == ["threshold_50", "limit"]


def test_a_threshold_goes_on_firing_while_figures_are_revised() -> None:
    revised = polled(polled(fresh(), 3, five_hours(81)), 6, five_hours(79))
    assert names(revised, after(minutes=7)) == ["threshold_80"]


@pytest.mark.parametrize(("minutes", "fires"), [(119, True), (120, False), (200, False)])
def test_a_threshold_fires_until_its_window_ends(minutes: int, fires: bool) -> None:
    high = polled(fresh(), 3, five_hours(85))
    assert bool(firing_alerts(high, after(minutes=minutes))) is fires


def test_nothing_of_the_old_period_fires_in_the_new_one() -> None:
    high = polled(fresh(), 3, five_hours(85))
    rolled = polled(high, 121, window("5h", 3, timedelta(hours=7)))
    assert firing_alerts(rolled, after(minutes=122)) == ()


def test_what_was_high_at_the_first_look_fires_though_it_was_not_told() -> None:
    first = polled(state(live("a")), 0, five_hours(85))
    assert names(first, after(minutes=1)) == ["threshold_80"]


def silenced(kind: AlertKind) -> RuleBook:
    return RuleBook(rules={**DEFAULT_RULES, kind: Rule(enabled=False)})


@pytest.mark.parametrize(
    "rules",
    [
        silenced(AlertKind.THRESHOLD),
        RuleBook(enabled=False),
        RuleBook(overrides={"a": Override(silent=frozenset({AlertKind.THRESHOLD}))}),
        RuleBook(overrides={"a": Override(thresholds=(0.9,))}),
        RuleBook(rules={AlertKind.THRESHOLD: Rule(windows=("7d",))}),
    ],
)
def test_what_the_rules_are_silent_about_does_not_fire(rules: RuleBook) -> None:
    high = polled(fresh(), 3, five_hours(85))
    silent = replace(high, policy=Policy(alerts=rules))
    assert firing_alerts(silent, after(minutes=4)) == ()


def failed(of: State, minutes: float, reason: Reason) -> State:
    return update(of, PollFailed(after(minutes=minutes), "a", Failure(reason, detail="refused")))[0]


def ticked(of: State, minutes: float) -> State:
    return update(of, Ticked(after(minutes=minutes)))[0]


def test_a_login_that_is_needed_fires_once_it_is_told_and_says_why() -> None:
    refused = failed(fresh(), 3, Reason.AUTH)
    assert firing_alerts(refused, after(minutes=4)) == ()
    told = ticked(refused, 8)
    (alert,) = firing_alerts(told, after(minutes=9))
    assert alert == Alert(AlertKind.LOGIN, "a", "", after(minutes=3), detail="refused")


@pytest.mark.parametrize(("minutes", "rules"), [(29, ["login"]), (30, [])])
def test_a_condition_fires_for_ten_minutes_longer_than_it_holds(
    minutes: int, rules: list[str]
) -> None:
    told = ticked(failed(fresh(), 3, Reason.AUTH), 8)
    again = polled(told, 20, five_hours(10))
    assert names(again, after(minutes=minutes)) == rules


def test_all_accounts_at_their_limit_fire_as_one() -> None:
    full = fresh("a", "b")
    for name in ("a", "b"):
        full = polled(full, 3, five_hours(100), account=name)
    (alert,) = [a for a in firing_alerts(full, after(minutes=4)) if a.kind is AlertKind.EXHAUSTED]
    assert (alert.account, alert.detail, alert.resets_at) == ("", "a", NOW + END)


def test_a_condition_of_another_version_is_shown_once_it_is_seen_again() -> None:
    old = {"login:": Condition(since=NOW, told_at=NOW)}
    now = state(live("a", conditions=old))
    assert firing_alerts(now, after(minutes=1)) == ()
    (alert,) = firing_alerts(failed(now, 2, Reason.AUTH), after(minutes=2))
    assert (alert.at, alert.detail) == (NOW, "refused")


def test_what_has_ceased_is_called_as_it_was_and_by_the_account_s_name_of_now() -> None:
    was = Alert(AlertKind.PACE, "before", "7d_opus", NOW, 0.62)
    condition = Condition(NOW, told_at=NOW, ceased_at=NOW, alert=was)
    (alert,) = firing_alerts(state(live("a", conditions={"pace:7d_opus": condition})), NOW)
    assert alert == replace(was, account="a")

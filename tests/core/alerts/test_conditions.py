"""Lasting conditions by tables: what is so at which minute, and what is told when."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.alerts.conditions import Fact, advance, evaluate_conditions
from monitor.core.alerts.rules import (
    Alert,
    AlertKind,
    Condition,
    Point,
    Rule,
    RuleBook,
    WindowMemory,
)
from monitor.core.alerts.text import format_alert, summarize
from monitor.core.codec import decode, encode
from monitor.core.errors import Cause, Failure, Reason
from monitor.core.events import ClockStepped, Forecasted, PollSucceeded, Ticked
from monitor.core.exhaustion import PoolForecast
from monitor.core.forecast import Forecast, FullAt, RateChange
from monitor.core.model import AccountForecast, AccountState, Down
from monitor.core.state import Policy, State
from monitor.core.update import update
from monitor.core.window_cost import WeekCost
from monitor.storage.cache import AlertMemory
from tests.builders import NOW, after, before, live, state, usage, window

HOLD = timedelta(minutes=5)
FACT = Fact(Alert(AlertKind.LOGIN, "a", "", NOW))


def told_at(pattern: str, until: datetime | None = None) -> list[int]:
    """The minutes at which a condition is told that holds where the pattern has `#`, minute by minute."""
    condition: Condition | None = None
    told: list[int] = []
    for minute, mark in enumerate(pattern):
        at = after(minutes=minute)
        condition = advance(
            condition, replace(FACT, until=until) if mark == "#" else None, HOLD, at
        )
        if condition is not None and condition.told_at == at:
            told.append(minute)
    return told


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        pytest.param("#" * 20, [5], id="told once it has lasted"),
        pytest.param("####....", [], id="not told if it ceases before"),
        pytest.param("####.######", [10], id="the time starts anew"),
        pytest.param("#######...##########", [5], id="a flicker is not told again"),
        pytest.param("######" + "." * 11 + "######", [5, 22], id="after ten minutes it is"),
    ],
)
def test_a_condition_is_told_once_it_has_lasted(pattern: str, told: list[int]) -> None:
    assert told_at(pattern) == told


def test_a_condition_of_a_period_is_told_once_in_it() -> None:
    pattern = "######" + "." * 30 + "#######"
    assert told_at(pattern, until=after(minutes=40)) == [5]
    assert told_at(pattern, until=after(minutes=20)) == [5, 41]


@given(st.text("#.", max_size=80))
def test_no_order_of_events_tells_a_condition_twice_within_ten_minutes(pattern: str) -> None:
    told = told_at(pattern)
    assert all(late - early >= 10 for early, late in pairwise(told))


def alerts_at(now: State, *minutes: float) -> list[Alert]:
    """What is told of an unchanging state at these minutes."""
    alerts: list[Alert] = []
    for minute in minutes:
        now, told = evaluate_conditions(now, after(minutes=minute))
        alerts.extend(told)
    return alerts


def down(name: str, reason: Reason) -> AccountState:
    return replace(live(name), down=Down(NOW, Failure(reason, detail="the detail")))


@pytest.mark.parametrize(
    ("reason", "kind", "minutes"),
    [
        (Reason.AUTH, AlertKind.LOGIN, 5),
        (Reason.SCOPE, AlertKind.LOGIN, 5),
        (Reason.CONNECTION, AlertKind.UNREADABLE, 15),
        (Reason.CREDENTIALS, AlertKind.UNREADABLE, 15),
        (Reason.RATE_LIMITED, AlertKind.UNREADABLE, 15),
    ],
)
def test_an_account_that_stays_down_is_told(
    reason: Reason, kind: AlertKind, minutes: float
) -> None:
    now = state(down("a", reason))
    assert alerts_at(now, 0, minutes - 0.1) == []
    (alert,) = alerts_at(now, 0, minutes, minutes + 60)
    assert (alert.kind, alert.account, alert.detail) == (kind, "a", "the detail")


def test_the_conditions_of_one_account_go_on_without_the_others_but_for_what_is_of_all() -> None:
    now, _ = evaluate_conditions(state(down("a", Reason.AUTH), down("b", Reason.AUTH)), NOW)
    now, (alert,) = evaluate_conditions(now, after(minutes=6), "b")
    assert alert.account == "b"
    _, (alert,) = evaluate_conditions(now, after(minutes=7))
    assert alert.account == "a"
    _, (alert,) = evaluate_conditions(state(full("a", 99), full("b", 99)), NOW, "b")
    assert alert.kind is AlertKind.EXHAUSTED
    assert evaluate_conditions(now, after(minutes=7), "gone")[1] == ()


def failing(name: str, since: datetime, reason: Reason, detail: str = "") -> AccountState:
    return replace(live(name), down=Down(since, Failure(reason, detail=detail)))


def told_of(*rounds: tuple[int, AccountState]) -> list[tuple[int, Alert]]:
    """What is told in which minute, as each account's state comes in then; a tick is at each minute."""
    now, told = (
        state(*{a.account.name: live(a.account.name) for _, a in rounds}.values()),
        list[tuple[int, Alert]](),
    )
    for minute in range(60):
        for _, account in (r for r in rounds if r[0] == minute):
            now = replace(now, accounts={**now.accounts, account.account.name: account})
        now, alerts = evaluate_conditions(now, after(minutes=minute))
        told += [(minute, alert) for alert in alerts]
    return told


def test_accounts_that_fail_alike_at_one_moment_are_one_alert() -> None:
    rounds = [(n % 3, failing(f"a{n}", NOW, Reason.BLOCKED, f"HTTP 403, {n}")) for n in range(5)]
    ((minute, alert),) = told_of(*rounds)
    assert (minute, alert.kind, alert.account) == (15, AlertKind.UNREADABLE, "")
    assert alert.detail.startswith("for a0, a1, a2 and 2 more: ")
    assert "login" not in format_alert(alert).title


def test_one_that_joins_a_failure_that_was_told_is_part_of_it_and_one_of_much_later_is_not() -> (
    None
):
    first = (0, failing("a", NOW, Reason.CONNECTION))
    assert len(told_of(first, (5, failing("b", NOW, Reason.TIMEOUT)))) == 1
    alerts = told_of(first, (20, failing("b", NOW, Reason.TIMEOUT)))
    assert [(minute, alert.account) for minute, alert in alerts] == [(15, "a"), (35, "b")]


def test_other_failures_are_alike_only_where_they_say_the_same() -> None:
    def names(*details: str) -> list[str]:
        rounds = [
            (0, failing(n, NOW, Reason.REFUSED, d)) for n, d in zip("ab", details, strict=True)
        ]
        return [alert.account for _, alert in told_of(*rounds)]

    assert names("organization is disabled", "organization is disabled") == [""]
    assert names("organization is disabled", "not from this address") == ["a", "b"]


def test_each_login_that_is_needed_is_told_by_itself() -> None:
    rounds = [(0, failing(name, NOW, Reason.AUTH)) for name in "ab"]
    assert [alert.account for _, alert in told_of(*rounds)] == ["a", "b"]


def test_an_account_that_waits_for_claude_code_to_renew_its_token_is_no_matter() -> None:
    rests = Down(NOW, Failure(Reason.AUTH, Cause.WAITING))
    now = state(replace(live("a"), down=rests))
    assert alerts_at(now, 0, 10, 20, 24 * 60) == []


def test_the_end_of_a_login_is_told_three_days_ahead_and_once() -> None:
    now = state(replace(live("a"), login_expires_at=after(days=10)))
    minutes_of_a_day = 24 * 60
    days = [day * minutes_of_a_day for day in (1, 6.9, 7.1, 8, 9, 9.9)]
    (alert,) = alerts_at(now, *days)
    assert (alert.kind, alert.resets_at) == (AlertKind.EXPIRY, after(days=10))
    assert alert.at == after(days=7.1)


def test_a_rule_that_is_off_tells_nothing() -> None:
    off = RuleBook(rules={AlertKind.LOGIN: Rule(enabled=False)})
    now = state(down("a", Reason.AUTH), policy=Policy(alerts=off))
    assert alerts_at(now, 0, 60) == []


def climbing(*percents: float, minutes: float = 5, resets: float = 300) -> list[Alert]:
    """What is told while a 5h window climbs so, one sample each `minutes`; it resets at minute `resets`."""
    now = state(replace(live("a"), usage=None))
    alerts: list[Alert] = []
    for place, percent in enumerate(percents):
        at = after(minutes=place * minutes)
        seen = usage(window("5h", percent, timedelta(minutes=resets)), at=at)
        now, effects = update(now, PollSucceeded(at, "a", seen, timedelta(seconds=1)))
        alerts.extend(effects)
    return [alert for alert in alerts if alert.kind is AlertKind.PACE]


def test_a_pace_that_will_not_last_is_told_once() -> None:
    (alert,) = climbing(*range(40, 80, 3))
    assert alert.window == "5h"
    assert alert.resets_at is not None
    assert after(minutes=80) < alert.resets_at < after(minutes=140), "when it will be full"


@pytest.mark.parametrize(
    ("percents", "resets"),
    [
        pytest.param(range(10, 45, 3), 300, id="still below half"),
        pytest.param([60] * 14, 300, id="no climb"),
        pytest.param(range(40, 80, 3), 90, id="the reset comes first"),
        pytest.param([40, 55, 70], 300, id="not known for long enough"),
    ],
)
def test_a_pace_is_not_told_for_nothing(percents: list[float], resets: float) -> None:
    assert climbing(*percents, resets=resets) == []


def forecast_alerts(*probabilities: float, percent: float = 30) -> list[Alert]:
    """What is told of a 7d window whose probability to run out is this at each look, an hour apart."""
    ends = timedelta(days=3)
    now = state(replace(live("a"), usage=None))
    alerts: list[Alert] = []
    for place, probability in enumerate(probabilities):
        at = after(hours=place)
        full_at = FullAt(at, after(hours=30), NOW + ends) if probability >= 0.5 else None
        seen = usage(window("7d", percent, ends), at=at)
        for event in (
            PollSucceeded(at, "a", seen, timedelta(seconds=1)),
            Forecasted(at, "a", AccountForecast(at, {"7d": Forecast(probability, full_at)})),
            Ticked(at + timedelta(minutes=6)),
        ):
            now, effects = update(now, event)
            alerts.extend(effects)
    return [alert for alert in alerts if alert.kind is AlertKind.PACE]


def test_a_window_that_most_likely_runs_out_is_told_once_a_period_with_the_time() -> None:
    (alert,) = forecast_alerts(0.3, 0.6, 0.75, 0.9, 0.95)
    assert (alert.at, alert.window) == (after(hours=2, minutes=6), "7d")
    assert alert.resets_at == after(hours=30)


@pytest.mark.parametrize(
    "probabilities",
    [
        pytest.param((0.6, 0.65, 0.69), id="never likely enough"),
        pytest.param((0.1, 0.2, 0.1), id="it lasts"),
    ],
)
def test_what_is_not_likely_is_not_told(probabilities: tuple[float, ...]) -> None:
    assert forecast_alerts(*probabilities) == []


def test_a_probability_that_wavers_tells_no_second_time() -> None:
    assert len(forecast_alerts(0.8, 0.45, 0.8, 0.2, 0.9, 0.1, 0.85)) == 1


def test_before_there_is_a_forecast_a_week_is_not_judged_by_its_slope() -> None:
    now = state(replace(live("a"), usage=None))
    alerts: list[Alert] = []
    for hour in range(8):
        seen = usage(window("7d", 40 + 7 * hour, timedelta(days=3)), at=after(hours=hour))
        now, effects = update(
            now, PollSucceeded(after(hours=hour), "a", seen, timedelta(seconds=1))
        )
        alerts.extend(effects)
    assert not [alert for alert in alerts if alert.kind is AlertKind.PACE]


def test_nor_is_it_by_points_that_an_older_version_has_kept() -> None:
    track = tuple(Point(before(hours=6 - n), 0.5 + n / 50) for n in range(6))
    memory = WindowMemory(NOW, 0.6, after(days=5), 0.6, track=track)
    now = state(replace(live("a", window("7d", 60, timedelta(days=5))), alerts={"7d": memory}))
    assert alerts_at(now, 0, 5, 10) == []


def changed(factor: float, days_ago: float) -> AccountState:
    cost = WeekCost(0.28, 0.01, 5, RateChange(NOW - timedelta(days=days_ago), factor))
    return replace(live("a"), forecast=AccountForecast(NOW, week_cost=cost))


def test_a_window_that_costs_more_of_the_week_is_told_with_both_figures() -> None:
    (alert,) = alerts_at(state(changed(2.0, 0.5)), 0, 60, 24 * 60, 10 * 24 * 60)
    assert alert.kind is AlertKind.LIMIT_CHANGED
    assert alert.detail == "a full 5h window costs 28% of the week, and cost 14%"
    assert "The mix of models" in format_alert(alert, UTC).body
    line = summarize([alert, alert], UTC).body.splitlines()[0]
    assert line == f"a: limits or mix of models changed: {alert.detail}"


def test_each_change_of_what_a_window_costs_is_told_once() -> None:
    """The first one is learned again with another begin, by a clock that is set back, and after a restart."""
    now, told = state(live("a")), list[tuple[int, str]]()
    for hour in range(24 * 18):
        at = after(hours=hour)
        if hour < 4 * 24:
            begin, ratio, factor = before(hours=5), 0.28, 2.0
        elif hour < 9 * 24:
            begin, ratio, factor = after(hours=4 * 24 - 3), 0.14, 0.5
        else:
            begin, ratio, factor = after(hours=9 * 24 - 3), 0.17, 1.2
        begin += timedelta(hours=hour % 3 - 1, days=2 if hour % 96 > 60 else 0)
        known = AccountForecast(at, week_cost=WeekCost(ratio, 0.01, 5, RateChange(begin, factor)))
        now, alerts = update(now, Forecasted(at, "a", known))
        told += [(hour, alert.detail.partition(" of the week")[0]) for alert in alerts]
        if hour in (30, 130):
            now, _ = update(now, ClockStepped(at, timedelta(hours=-12)))
        if hour in (50, 150):
            (account,) = now.accounts.values()
            conditions = decode(
                AlertMemory, encode(AlertMemory, AlertMemory.of(account))
            ).conditions
            now = state(replace(account, conditions=conditions))
    assert told == [
        (0, "a full 5h window costs 28%"),
        (4 * 24, "a full 5h window costs 14%"),
        (9 * 24, "a full 5h window costs 17%"),
    ]


def test_a_change_of_long_ago_is_no_news() -> None:
    assert alerts_at(state(changed(2.0, 8)), 0, 60) == []


def pool(probability: float, at: datetime = NOW) -> PoolForecast:
    return PoolForecast(at, (), probability, at + timedelta(minutes=90))


def test_that_all_accounts_are_soon_exhausted_is_told_ahead_and_once() -> None:
    now = replace(state(full("a", 3, 60), full("b", 1, 70)), pool=pool(0.5))
    (alert,) = alerts_at(now, 0, 30, 60)
    assert (alert.kind, alert.account, alert.resets_at) == (
        AlertKind.EXHAUSTED_SOON,
        "",
        after(minutes=90),
    )
    assert alerts_at(replace(now, pool=pool(0.2)), 0, 30) == []
    assert alerts_at(replace(now, pool=pool(0.5, NOW - timedelta(hours=4))), 0, 30) == []


def test_once_all_are_exhausted_that_alone_is_told() -> None:
    now = replace(state(full("a", 3), full("b", 1)), pool=pool(1.0))
    assert [alert.kind for alert in alerts_at(now, 0, 5)] == [AlertKind.EXHAUSTED]


def full(name: str, hours: float, percent: float = 100) -> AccountState:
    return live(
        name, window("5h", percent, timedelta(hours=hours)), window("7d", 50, timedelta(days=3))
    )


def test_all_accounts_exhausted_names_the_first_to_be_free() -> None:
    (alert,) = alerts_at(state(full("a", 3), full("b", 1)), 0, 1, 30)
    assert alert.kind is AlertKind.EXHAUSTED
    assert (alert.detail, alert.resets_at) == ("b", after(hours=1))


@pytest.mark.parametrize(
    "others",
    [
        pytest.param([full("b", 1, percent=99)], id="one has room"),
        pytest.param([replace(live("b"), usage=None)], id="one is not known"),
        pytest.param([], id="there is only one"),
    ],
)
def test_not_all_accounts_are_exhausted(others: list[AccountState]) -> None:
    assert alerts_at(state(full("a", 3), *others), 0, 30) == []


def test_an_account_that_cannot_be_used_does_not_count() -> None:
    (alert,) = alerts_at(state(full("a", 3), down("b", Reason.AUTH)), 0)
    assert (alert.kind, alert.detail) == (AlertKind.EXHAUSTED, "a")


def test_the_first_account_that_is_free_again_is_told_when_a_poll_has_seen_it() -> None:
    now = state(full("a", 3), full("b", 1))
    now, told = evaluate_conditions(now, NOW)
    assert [alert.kind for alert in told] == [AlertKind.EXHAUSTED]
    now, told = evaluate_conditions(now, after(minutes=61))
    assert told == (), "what is expected is not told"
    free = full("b", 6, percent=1)
    now, told = evaluate_conditions(
        replace(now, accounts={**now.accounts, "b": free}), after(minutes=62)
    )
    assert [(alert.kind, alert.account) for alert in told] == [(AlertKind.FREE, "b")]
    assert evaluate_conditions(now, after(minutes=63))[1] == ()


def lived(pattern: str) -> list[AlertKind]:
    """What is told of two accounts, minute by minute: full both where the pattern has `#`, else one has room."""
    now, kinds = state(full("a", 99), full("b", 99)), list[AlertKind]()
    for minute, mark in enumerate(pattern):
        b = full("b", 99, percent=100 if mark == "#" else 99)
        now = replace(now, accounts={**now.accounts, "b": b})
        now, told = evaluate_conditions(now, after(minutes=minute))
        kinds += [alert.kind for alert in told]
    return kinds


@pytest.mark.parametrize(
    ("pattern", "free"),
    [
        pytest.param("##..", 1, id="at once"),
        pytest.param("##.##.#.##...", 1, id="a flicker is not told again"),
        pytest.param("##...........##..", 2, id="after ten minutes it is"),
        pytest.param("..", 0, id="they were never full"),
    ],
)
def test_a_free_account_is_told_once_however_the_others_waver(pattern: str, free: int) -> None:
    assert lived(pattern) == [AlertKind.EXHAUSTED, AlertKind.FREE] * free


@given(st.text("#.", max_size=60))
def test_full_and_free_take_turns_whatever_the_order_of_events(pattern: str) -> None:
    told = lived(pattern)
    assert told[:1] in ([], [AlertKind.EXHAUSTED])
    assert all(early != late for early, late in pairwise(told))


def test_an_account_that_is_seen_only_after_the_others_have_gone_is_told_as_free() -> None:
    now, told = evaluate_conditions(state(full("a", 99), full("b", 99)), NOW)
    gone = {"a": down("a", Reason.AUTH), "b": replace(down("b", Reason.AUTH), usage=None)}
    now, _ = evaluate_conditions(replace(now, accounts=gone), after(minutes=1))
    back = {**gone, "b": full("b", 99, percent=1)}
    now, told = evaluate_conditions(replace(now, accounts=back), after(minutes=2))
    assert [(alert.kind, alert.account) for alert in told] == [(AlertKind.FREE, "b")]

import gzip
import math
import platform
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporters.headers import OPENMETRICS, TEXT
from exporters.metrics import titles_of
from exporters.prometheus import Exposition
from exporters.server import LoopLag
from monitor import __version__
from monitor.core.alerts.conditions import condition_key, firing_alerts
from monitor.core.alerts.rules import Alert, AlertKind, Condition, Override, Rule, RuleBook
from monitor.core.errors import Cause, ChannelReason, Failure, Reason
from monitor.core.events import PolicyChanged, PollSucceeded, ReloadFailed
from monitor.core.exhaustion import FreeAccounts, PoolForecast
from monitor.core.model import Account, AccountForecast, Down, Window
from monitor.core.state import NotificationLog, Policy, State
from monitor.core.update import update
from tests.builders import NOW, after, before, failing, live, state, usage, waiting, window
from tests.exporters.contract import CONTRACT
from tests.exporters.factories import HOSTILE, next_page, render, rich_state
from tests.exporters.library import families, rendered
from tests.real.need import need

VALUES = (
    "claude_usage_utilization_ratio",
    "claude_usage_reset_timestamp_seconds",
    "claude_usage_reset_seconds",
)


@pytest.mark.parametrize(
    ("accept", "name"),
    [("text/plain", "metrics.txt"), ("application/openmetrics-text", "metrics.openmetrics.txt")],
)
def test_the_page_of_every_condition(
    accept: str, name: str, golden: Callable[[str, str], None]
) -> None:
    body, _ = render(rich_state(NOW), NOW, accept)
    golden(name, without_versions(body.decode()))


def test_the_metrics_are_those_of_the_public_interface() -> None:
    seen = {
        (sample.name, family.type): set(sample.labels)
        for family in (*families(rich_state(NOW), NOW), *LoopLag().collect())
        for sample in family.samples
    }
    assert seen == CONTRACT


def test_every_metric_is_documented(golden: Callable[[str, str], None]) -> None:
    rows = []
    for family in (*families(State(), NOW), *LoopLag().collect()):
        [(sample, kind)] = [
            (name, kind)
            for name, kind in CONTRACT
            if name in (family.name, f"{family.name}_total", f"{family.name}_info")
        ]
        labels = ", ".join(sorted(CONTRACT[sample, kind]))
        text = family.documentation.partition(" Polled:")[0].rstrip(".")
        rows.append(f"| `{sample}` | {kind} | {labels} | {text[:1].lower()}{text[1:]} |\n")
    page = Path("docs/metrics.md").read_text(encoding="utf-8")
    head, rule, rest = page.partition("| --- | --- | --- | --- |\n")
    table = re.match(r"(\|.*\n)*", rest)
    assert table
    golden("../../docs/metrics.md", head + rule + "".join(sorted(rows)) + rest[table.end() :])


def test_both_forms_say_the_same() -> None:
    text, openmetrics = (
        {(s.name, frozenset(s.labels.items())): s.value for f in page for s in f.samples}
        for page in (text_page(rich_state(NOW)), openmetrics_page(rich_state(NOW)))
    )
    assert text == openmetrics


def test_each_form_has_its_own_content_type() -> None:
    assert render(state(), NOW, "text/plain")[1] == TEXT
    assert render(state(), NOW, "application/openmetrics-text")[1] == OPENMETRICS


def test_promtool_has_no_objection() -> None:
    need("promtool")
    body, _ = render(rich_state(NOW), NOW, "")
    done = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_no_metric_speaks_of_percent() -> None:
    for family in families(rich_state(NOW), NOW):
        assert not re.search("percent|pct", family.name + family.documentation, re.IGNORECASE)


def test_counters_have_no_created_series() -> None:
    assert not [n for n in names(rich_state(NOW)) if n.endswith("_created")]


def test_every_seconds_and_ratio_metric_declares_its_unit() -> None:
    for family in openmetrics_page(rich_state(NOW)):
        last = family.name.rpartition("_")[2]
        assert family.unit == (last if last in ("seconds", "ratio") else "")


def test_help_texts_are_constant() -> None:
    """A text with a figure of the settings in it would be another metadata entry after each reload."""
    often, seldom = (
        [
            f.documentation
            for f in families(state(policy=Policy(interval=timedelta(seconds=s))), NOW)
        ]
        for s in (30, 300)
    )
    assert often == seldom


def test_a_window_is_shown_as_ratio_reset_and_countdown() -> None:
    shown = state(live("a", window("5h", 42, timedelta(hours=2, seconds=0.9))))
    assert value(shown, "claude_usage_utilization_ratio", account="a", window="5h") == 0.42
    at = value(shown, "claude_usage_reset_timestamp_seconds", account="a", window="5h")
    assert at == after(hours=2, seconds=0.9).timestamp()
    assert value(shown, "claude_usage_reset_seconds", account="a", window="5h") == 7200


def test_utilization_above_one_is_not_cut_off() -> None:
    shown = state(live("a", window("7d", 104)))
    assert value(shown, "claude_usage_utilization_ratio", account="a", window="7d") == 1.04


def test_no_reset_series_while_no_window_is_open() -> None:
    shown = names(state(live("a", window("5h", 0))))
    assert "claude_usage_utilization_ratio" in shown
    assert not {n for n in shown if "reset" in n}


def test_a_passed_reset_shows_zero_and_no_countdown() -> None:
    passed = state(live("a", window("5h", 65, timedelta(seconds=-1))))
    assert value(passed, "claude_usage_utilization_ratio", account="a", window="5h") == 0
    assert not {n for n in names(passed) if "reset" in n}


@pytest.mark.parametrize(
    ("minutes", "interval", "shown"),
    [(15, 180, True), (15.1, 180, False), (30, 600, True), (30.1, 600, False)],
)
def test_values_are_kept_while_polls_fail_and_dropped_when_they_are_old(
    minutes: float, interval: int, shown: bool
) -> None:
    account = live("a", window("5h", 65, timedelta(hours=4)), at=before(minutes=minutes))
    old = failing(account, Reason.SERVER, interval=timedelta(hours=1))
    page = state(old, policy=Policy(interval=timedelta(seconds=interval)))
    assert all((name in names(page)) is shown for name in VALUES)
    assert value(state(old), "claude_usage_up", account="a") == 0
    assert value(state(old), "claude_usage_last_success_timestamp_seconds", account="a") > 0


def test_a_new_account_is_down_and_counted_from_the_start() -> None:
    new = state(waiting("a"))
    assert value(new, "claude_usage_up", account="a") == 0
    assert value(new, "claude_usage_last_success_timestamp_seconds", account="a") == 0
    assert value(new, "claude_usage_polls_total", account="a") == 0
    for reason in Reason:
        assert value(new, "claude_usage_poll_failures_total", account="a", reason=reason) == 0


@pytest.mark.parametrize(("reason", "required"), [(Reason.AUTH, 1), (Reason.SERVER, 0)])
def test_a_login_is_required_only_where_nothing_else_helps(reason: Reason, required: int) -> None:
    down = state(failing(live("a"), reason))
    assert value(down, "claude_usage_login_required", account="a") == required
    assert value(down, "claude_usage_poll_failures_total", account="a", reason=reason) == 1


def test_no_login_is_required_where_claude_code_only_has_to_be_used() -> None:
    rests = Down(NOW, Failure(Reason.AUTH, Cause.WAITING))
    waits = state(replace(live("a"), down=rests))
    assert value(waits, "claude_usage_login_required", account="a") == 0
    assert value(waits, "claude_usage_up", account="a") == 0


def test_the_account_that_claude_code_would_use_is_marked() -> None:
    shown = state(live("a"), live("b"), logged_in="b")
    assert value(shown, "claude_usage_logged_in", account="a") == 0
    assert value(shown, "claude_usage_logged_in", account="b") == 1


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("token_expires_at", "claude_usage_token_expiry_timestamp_seconds"),
        ("login_expires_at", "claude_usage_login_expiry_timestamp_seconds"),
        ("backoff_until", "claude_usage_backoff_until_timestamp_seconds"),
    ],
)
def test_instants_are_shown_only_where_they_are_known(field: str, name: str) -> None:
    known: dict[str, Any] = {field: after(hours=1)}
    assert name not in names(state(live("a")))
    assert value(state(live("a", **known)), name, account="a") == after(hours=1).timestamp()


def test_a_back_off_that_is_over_is_not_shown() -> None:
    over = state(live("a", backoff_until=NOW))
    assert "claude_usage_backoff_until_timestamp_seconds" not in names(over)


def test_only_requests_of_the_last_hour_are_counted() -> None:
    sent = (before(minutes=60), before(minutes=59, seconds=59), before(minutes=1), NOW)
    shown = state(live("a", requests=sent))
    assert value(shown, "claude_usage_requests_last_hour", account="a") == 3


def climbed(percent: float, rules: RuleBook, *names: str) -> State:
    """Accounts after two polls, the second of which showed this percentage of both windows."""
    known = state(*(waiting(name) for name in names or ("a",)), policy=Policy(alerts=rules))
    for at, used in ((NOW, 10), (after(minutes=3), percent)):
        for name in known.accounts:
            windows = window("5h", used, timedelta(hours=4)), window("7d", 10, timedelta(days=4))
            polled = PollSucceeded(at, name, usage(*windows, at=at), timedelta(seconds=1))
            known, _ = update(known, polled)
    return known


def firing(shown: State, now: datetime = NOW) -> dict[str, float]:
    """What the page says of each alert, as `account rule`."""
    page = (sample for family in families(shown, now) for sample in family.samples)
    return {
        " ".join(s.labels[name] for name in ("account", "rule")): s.value
        for s in page
        if s.name == "claude_usage_alert_firing"
    }


@pytest.mark.parametrize(
    ("percent", "thresholds", "rules"),
    [
        (79, (0.8, 0.975), {"threshold_80": 0, "threshold_97.5": 0, "limit": 0}),
        (80, (0.8, 0.975), {"threshold_80": 1, "threshold_97.5": 0, "limit": 0}),
        (100, (0.8, 0.975), {"threshold_80": 1, "threshold_97.5": 1, "limit": 1}),
        (100, (0.8, 1.0), {"threshold_80": 1, "threshold_100": 1}),
        (100, (), {"limit": 1}),
    ],
)
def test_each_threshold_of_an_account_has_a_series_and_the_limit_where_it_is_none(
    percent: float, thresholds: tuple[float, ...], rules: dict[str, int]
) -> None:
    said = firing(climbed(percent, RuleBook(thresholds=thresholds)))
    assert {
        place.removeprefix("a "): value
        for place, value in said.items()
        if place == "a limit" or place.startswith("a threshold")
    } == rules


@pytest.mark.parametrize(
    "rules",
    [
        RuleBook(rules={AlertKind.THRESHOLD: Rule(enabled=False)}),
        RuleBook(rules={AlertKind.THRESHOLD: Rule(accounts=("b",))}),
        RuleBook(overrides={"a": Override(silent=frozenset({AlertKind.THRESHOLD}))}),
        RuleBook(enabled=False),
    ],
)
def test_what_the_settings_silence_has_no_series(rules: RuleBook) -> None:
    assert not [place for place in firing(climbed(97, rules)) if "threshold" in place]


def test_a_threshold_that_is_to_last_fires_once_it_has() -> None:
    held = RuleBook(rules={AlertKind.THRESHOLD: Rule(hold=timedelta(minutes=10))})
    assert firing(climbed(97, held))["a threshold_95"] == 0


def test_a_threshold_fires_until_its_window_ends_whatever_the_newest_figures() -> None:
    at = after(minutes=6)
    revised = usage(window("5h", 78, timedelta(hours=4)), at=at)
    shown, _ = update(
        climbed(81, RuleBook()), PollSucceeded(at, "a", revised, timedelta(seconds=1))
    )
    assert firing(shown, at)["a threshold_80"] == 1
    assert firing(shown, after(hours=3))["a threshold_80"] == 1, "though they are old"
    assert firing(shown, after(hours=4))["a threshold_80"] == 0


def test_that_no_account_has_room_is_said_of_no_account() -> None:
    assert firing(climbed(97, RuleBook(), "a", "b"))[" exhausted"] == 0
    assert firing(climbed(100, RuleBook(), "a", "b"))[" exhausted"] == 1
    assert " exhausted" not in firing(climbed(100, RuleBook()))


@pytest.mark.parametrize(("minutes", "fires"), [(0, 1), (9, 1), (10, 0)])
def test_a_lasting_condition_fires_from_when_it_was_told_until_ten_minutes_after_it_ceased(
    minutes: float, fires: int
) -> None:
    def page(condition: Condition) -> float:
        shown = state(live("a", conditions={condition_key(AlertKind.LOGIN): condition}))
        return firing(shown, after(minutes=minutes))["a login"]

    alert = Alert(AlertKind.LOGIN, "a", "", NOW)
    assert page(Condition(since=NOW, alert=alert)) == 0
    assert page(Condition(since=NOW, told_at=NOW, alert=alert)) == 1
    assert page(Condition(since=NOW, told_at=NOW, ceased_at=NOW, alert=alert)) == fires


rule_sets = st.builds(
    RuleBook,
    thresholds=st.sampled_from([(), (0.8,), (0.8, 1.0)]),
    rules=st.dictionaries(
        st.sampled_from(AlertKind),
        st.builds(Rule, st.booleans(), st.sampled_from([None, ("5h",)]), hold=st.just(timedelta())),
    ),
    overrides=st.dictionaries(
        st.sampled_from("ab"),
        st.builds(Override, st.none(), st.frozensets(st.sampled_from(AlertKind))),
    ),
    enabled=st.booleans(),
)


@given(rule_sets, st.sampled_from([10, 85, 100]))
def test_what_fires_to_the_program_fires_on_the_page_and_nothing_else(
    rules: RuleBook, percent: float
) -> None:
    shown, now = climbed(percent, rules, "a", "b"), after(minutes=4)
    fires = {f"{a.account} {a.rule}" for a in firing_alerts(shown, now)}
    assert {place for place, value in firing(shown, now).items() if value} == fires


def test_without_alerts_none_has_a_series() -> None:
    quiet = state(live("a", window("5h", 99)), policy=Policy(alerts=RuleBook(enabled=False)))
    assert "claude_usage_alert_firing" not in names(quiet)


def test_the_share_of_the_week_that_expires_ends_with_the_week() -> None:
    expected = AccountForecast(NOW, week_expiring=0.35)
    week = window("7d", 20, timedelta(hours=1))
    assert "claude_usage_week_expiring_ratio" in names(state(live("a", week, forecast=expected)))
    for shown in (
        live("a", window("7d", 20, -timedelta(minutes=1)), forecast=expected),
        live("a", week, at=before(minutes=16), forecast=expected),
        live("a", week, forecast=AccountForecast(NOW)),
    ):
        assert "claude_usage_week_expiring_ratio" not in names(state(shown))


def test_free_accounts_are_counted_by_horizon_until_that_is_old() -> None:
    free = (FreeAccounts(NOW, 2, 2, 3), FreeAccounts(after(hours=8), 0, 1, 3))
    pool = PoolForecast(NOW, free, 0.25, None)
    shown = state(pool=pool)
    name = "claude_usage_accounts_free"
    assert value(shown, name, horizon="8h", percentile="10") == 0
    assert value(shown, name, horizon="8h", percentile="50") == 1
    assert value(shown, name, horizon="0h", percentile="90") == 3
    assert value(shown, "claude_usage_accounts_exhausted_probability_ratio") == 0.25
    assert "claude_usage_accounts_exhausted_timestamp_seconds" not in names(shown)
    old = names(state(pool=replace(pool, at=before(minutes=16))))
    assert not {each for each in old if "_accounts_" in each}


def test_the_lengths_of_all_windows_are_known() -> None:
    shown = state(live("a", window("7d_opus", 3)))
    assert {
        s.labels["window"]: s.value
        for s in samples(shown)
        if s.name == "claude_usage_window_duration_seconds"
    } == {"5h": 18000, "7d": 604800, "7d_opus": 604800}


def test_an_account_goes_by_its_label() -> None:
    named = live("user@example.com", account=Account("user@example.com", label="work"))
    assert value(state(named), "claude_usage_up", account="work") == 1


def test_accounts_of_one_title_are_told_apart() -> None:
    twice = state(
        live("a@example.com", account=Account("a@example.com", label="work")),
        waiting("b@example.com", account=Account("b@example.com", label="work")),
    )
    assert value(twice, "claude_usage_up", account="work") == 1
    assert value(twice, "claude_usage_up", account="work (2)") == 0


def test_a_number_never_makes_one_title_that_of_another() -> None:
    assert titles_of(map(waiting, ["a", "a (2)", "a", "a"])) == ["a", "a (2)", "a (3)", "a (4)"]
    assert titles_of(map(waiting, ["a", "a", "a (2)"])) == ["a", "a (2)", "a (2) (2)"]


def test_what_no_scraper_can_read_in_a_name_is_replaced() -> None:
    shown = state(live("nul\0", Window("7d_\ud800", 0.5)))
    body, _ = render(shown, NOW, "")
    assert 'account="nul\N{REPLACEMENT CHARACTER}",window="7d_\N{REPLACEMENT CHARACTER}"' in (
        body.decode()
    )


def test_hostile_names_come_back_as_they_were() -> None:
    accounts = {s.labels["account"] for s in samples(rich_state(NOW)) if "account" in s.labels}
    assert HOSTILE in accounts


def test_an_account_that_is_gone_leaves_nothing() -> None:
    shown = rich_state(NOW)
    gone = replace(shown, accounts={"new@example.com": shown.accounts["new@example.com"]})
    accounts = {s.labels["account"] for s in samples(gone) if "account" in s.labels}
    assert accounts == {"new@example.com"}


def test_other_collectors_follow_on_the_same_page() -> None:
    body, _ = render(
        state(), NOW, "application/openmetrics-text", [ProcessCollector(registry=None)]
    )
    assert body.index(b"claude_usage_reset_seconds") < body.index(b"process_start_time_seconds")
    assert body.endswith(b"# EOF\n")


titles = st.text(st.characters(), min_size=1) | st.text('\\\n"{},=', min_size=1)
account_lists = st.lists(
    st.tuples(titles, st.floats(min_value=0, allow_infinity=False), titles), max_size=4
)


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"])
@given(accounts=account_lists, minutes=st.integers(0, 90))
def test_the_page_is_byte_for_byte_that_of_the_library(
    accept: str, accounts: list[tuple[str, float, str]], minutes: int
) -> None:
    shown = rich_state(NOW)
    more = {
        f"{place}": live(name, usage=usage(Window("5h", ratio, after(hours=1)), Window(key, ratio)))
        for place, (name, ratio, key) in enumerate(accounts)
    }
    shown, now = replace(shown, accounts={**shown.accounts, **more}), after(minutes=minutes)
    body, content_type = render(shown, now, accept)
    assert body == rendered(shown, now, openmetrics=content_type == OPENMETRICS)


SECONDS = (
    0,
    1,
    2,
    300,
    480,
    600,
    720.7,
    888,
    900,
    1500,
    3000,
    3180,
    3600,
    8040,
    17960,
    18000,
    700000,
)
TURNS = [after(seconds=s) + timedelta(microseconds=m) for s in SECONDS for m in (-1, 0, 1)]
"""Around each instant from which the page says something else of the state below, though nothing happens."""

instants = st.sampled_from(TURNS) | st.integers(-100, 800_000).map(lambda s: after(seconds=s))
CHANGES = [
    "poll",
    "mute",
    "log in",
    "remove",
    "rules",
    "label",
    "cease",
    "cease all",
    "expect",
    "nothing",
]


@given(scrapes=st.lists(st.tuples(instants, st.sampled_from(CHANGES)), max_size=6))
def test_what_is_kept_from_one_scrape_to_the_next_is_never_old(
    scrapes: list[tuple[datetime, str]],
) -> None:
    exposition, shown = Exposition(), rich_state(NOW)
    for at, change in scrapes:
        shown = changed(shown, change, at)
        page = next_page(exposition, shown, at)
        assert page.body() == rendered(shown, at, openmetrics=True)
        assert gzip.decompress(page.gzip()) == page.body()
        assert b"".join(page.pieces()) == page.body()
        assert page.size == len(page.body())


@pytest.mark.parametrize("interval", [3, 400])
@pytest.mark.parametrize("change", CHANGES)
def test_nothing_is_kept_beyond_the_instant_that_changes_it(change: str, interval: int) -> None:
    exposition, shown = Exposition(), changed(rich_state(NOW), change, NOW)
    policy = replace(shown.policy, interval=timedelta(minutes=interval))
    shown = replace(shown, policy=policy)
    for at in TURNS:
        assert next_page(exposition, shown, at).body() == rendered(shown, at, openmetrics=True)


def changed(shown: State, change: str, at: datetime) -> State:
    first = next(iter(shown.accounts), "")
    match change:
        case "poll" if first:
            news = usage(Window("5h", 0.97, at + timedelta(hours=1)), at=at)
            return update(shown, PollSucceeded(at, first, news, timedelta(seconds=1)))[0]
        case "expect" if shown.pool is not None:
            pool = replace(shown.pool, at=at, exhausted_probability=0.77)
            return replace(shown, pool=pool)
        case "mute":
            return replace(shown, muted_until=at + timedelta(minutes=5))
        case "log in":
            return replace(shown, logged_in=first)
        case "remove":
            return replace(shown, accounts=dict(list(shown.accounts.items())[1:]))
        case "rules":
            return replace(shown, policy=Policy(alerts=RuleBook(thresholds=(0.5,))))
        case "cease" if first:
            alert = Alert(AlertKind.LOGIN, first, "", at)
            over = Condition(at - timedelta(minutes=9), told_at=at, ceased_at=at, alert=alert)
            old = replace(shown.accounts[first], conditions={"login:": over})
            return replace(shown, accounts={**shown.accounts, first: old})
        case "cease all":
            alert = Alert(AlertKind.EXHAUSTED, "", "", at)
            over = Condition(at - timedelta(minutes=9), told_at=at, ceased_at=at, alert=alert)
            return replace(shown, conditions={"exhausted:": over})
        case "label" if first:
            old = shown.accounts[first]
            new = replace(old, account=replace(old.account, label="new@example.com"))
            return replace(shown, accounts={**shown.accounts, first: new})
    return shown


def test_a_counter_of_a_channel_is_there_before_its_first_notification() -> None:
    fresh = state(notifications=NotificationLog(channels=("desktop",)))
    for kind in AlertKind:
        assert value(fresh, "claude_usage_notifications_total", channel="desktop", kind=kind) == 0
    for reason in ChannelReason:
        labels = {"channel": "desktop", "reason": reason}
        assert value(fresh, "claude_usage_notification_failures_total", **labels) == 0
    assert "claude_usage_notification_last_success_timestamp_seconds" not in names(fresh)


def test_wrong_settings_are_seen_until_they_are_right_again() -> None:
    successful, at = (
        f"claude_usage_config_last_reload_{what}"
        for what in ("successful", "success_timestamp_seconds")
    )
    shown, _ = update(state(), PolicyChanged(NOW, Policy()))
    wrong, _ = update(shown, ReloadFailed(after(minutes=1)))
    right, _ = update(wrong, PolicyChanged(after(minutes=2), Policy()))
    assert [value(s, successful) for s in (shown, wrong, right)] == [1, 0, 1]
    assert [value(s, at) for s in (shown, wrong)] == [NOW.timestamp()] * 2
    assert value(right, at) == after(minutes=2).timestamp()


def test_the_lag_of_the_loop_is_the_longest_of_the_last_minute() -> None:
    lag = LoopLag()
    said = []
    for late, measured in (
        (0.1, 1),
        (0.5, 40),
        (0.2, 80),
        (0.0, 119),
        (0.0, 1),
        (0.0, 39),
        (0.0, 80),
    ):
        lag.seen += [late] + [0.0] * (measured - 1)
        said += [s.value for family in lag.collect() for s in family.samples]
    assert said == [0.1, 0.5, 0.5, 0.5, 0.5, 0.2, 0.0]


@given(accounts=account_lists)
def test_every_page_parses_without_doubles_or_nan(
    accounts: list[tuple[str, float, str]],
) -> None:
    shown = {
        f"{place}": live(name, usage=usage(Window("5h", ratio, after(hours=1)), Window(key, ratio)))
        for place, (name, ratio, key) in enumerate(accounts)
    }
    page = openmetrics_page(State(accounts=shown))
    series = [(s.name, frozenset(s.labels.items())) for f in page for s in f.samples]
    assert len(series) == len(set(series))
    assert not any(math.isnan(s.value) for f in page for s in f.samples)
    ups = [s for f in page for s in f.samples if s.name == "claude_usage_up"]
    assert len(ups) == len(accounts)


def openmetrics_page(shown: State) -> list[Metric]:
    body, _ = render(shown, NOW, "application/openmetrics-text")
    return list(parse_openmetrics(body.decode()))  # type: ignore[no-untyped-call]  # the library's own gap


def text_page(shown: State) -> list[Metric]:
    body, _ = render(shown, NOW, "")
    return list(parse_text(body.decode()))


def samples(shown: State) -> list[Any]:
    return [sample for family in openmetrics_page(shown) for sample in family.samples]


def names(shown: State) -> set[str]:
    return {sample.name for sample in samples(shown)} - {"claude_usage_window_duration_seconds"}


def value(shown: State, name: str, **labels: str) -> float:
    """The one sample with this name and these labels."""
    found = [s.value for s in samples(shown) if (s.name, s.labels) == (name, labels)]
    assert len(found) == 1, (name, labels, found)
    return float(found[0])


def without_versions(page: str) -> str:
    page = re.sub('revision="[0-9a-f]*"', 'revision=""', page)
    return page.replace(platform.python_version(), "3.x").replace(f'"{__version__}"', '"0.0.0"')

"""The state as Prometheus metrics, made anew for each scrape from one frozen `State`. Never polls, never waits.

A value that is not known is left out: no series, rather than 0 or NaN. HELP texts are constant.
"""

import platform
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from prometheus_client import generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

from exporters import negotiation
from monitor import __version__
from monitor.core.alerts.firing import firing_alerts, may_fire
from monitor.core.errors import Reason
from monitor.core.model import FIVE_HOURS, SEVEN_DAYS, AccountState, Up, Window, window_duration
from monitor.core.state import State

HOUR: Final = timedelta(hours=1)

_UNSPEAKABLE: Final = re.compile("[\0\ud800-\udfff]")
"""What no scraper can read in a label value, and what would cost it the whole page."""


@dataclass(frozen=True, slots=True)
class Row:
    """One account at one instant. `title` is its `account` label, which no other account has."""

    title: str
    account: AccountState
    logged_in: bool
    fresh: bool
    now: datetime

    @property
    def name(self) -> str:
        return self.account.account.name

    @property
    def windows(self) -> dict[str, Window]:
        """The windows by their label; none where the values are too old to be shown."""
        if not self.fresh:
            return {}
        return {label_text(window.key): window for window in self.account.windows(self.now)}


def account_rows(state: State, now: datetime) -> list[Row]:
    titles = unique([label_text(a.account.title) for a in state.accounts.values()])
    return [
        Row(
            title,
            account,
            logged_in=name == state.logged_in,
            fresh=account.values_are_fresh(now, state.policy.interval),
            now=now,
        )
        for title, (name, account) in zip(titles, state.accounts.items(), strict=True)
    ]


def unique(titles: Sequence[str]) -> list[str]:
    """The titles, a repeated one numbered from its second use: `work`, `work (2)`."""
    taken: dict[str, None] = {}
    for title in titles:
        new, number = title, 1
        while new in taken:
            number += 1
            new = f"{title} ({number})"
        taken[new] = None
    return list(taken)


def label_text(text: str) -> str:
    return _UNSPEAKABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def render(
    state: State, now: datetime, accept: str, others: Iterable[Collector] = ()
) -> tuple[bytes, str]:
    """The page in the form that the Accept header asks for, and its content type; `others` follow our own metrics."""
    page = UsageCollector(state, now, tuple(others))
    content_type = negotiation.content_type(accept)
    if content_type == negotiation.OPENMETRICS:
        body: bytes = generate_openmetrics(page)  # type: ignore[no-untyped-call]  # the library's own gap
        return body, content_type
    return generate_latest(page), content_type


@dataclass(frozen=True, slots=True)
class UsageCollector(Collector):
    """One state at one instant as metric families; what `others` collect comes after them."""

    state: State
    now: datetime
    others: tuple[Collector, ...] = ()

    def collect(self) -> Iterator[Metric]:
        yield from families(self.state, self.now)
        for other in self.others:
            yield from other.collect()


def families(state: State, now: datetime) -> Iterator[Metric]:
    """Every metric of the public interface."""
    rows = account_rows(state, now)
    yield from window_gauges(rows)
    yield window_durations(state)
    yield from account_gauges(rows)
    yield from extra_amounts(rows)
    yield alerts_firing(state, rows, now)
    yield muted_until(state, now)
    yield polls(rows)
    yield poll_failures(rows)
    yield account_info(rows)
    yield from notifications(state)
    yield build_info()


@dataclass(frozen=True, slots=True)
class WindowGauge:
    name: str
    help: str
    value: Callable[[Window, datetime], float | None]


WINDOW_GAUGES: Final = (
    WindowGauge(
        "claude_usage_utilization_ratio",
        "Used part of the window as a ratio: 1 is all of it, and more is possible.",
        lambda window, _now: window.utilization,
    ),
    WindowGauge(
        "claude_usage_reset_timestamp_seconds",
        "When the window resets, in seconds since 1970; absent while no window is open.",
        lambda window, _now: _timestamp(window.resets_at),
    ),
    WindowGauge(
        "claude_usage_reset_seconds",
        "Whole seconds from this scrape until the window resets; absent while no window is open.",
        lambda window, now: _whole_seconds(window.resets_in(now)),
    ),
)


def window_gauges(rows: Sequence[Row]) -> Iterator[Metric]:
    for gauge in WINDOW_GAUGES:
        family = _gauge(gauge.name, f"{gauge.help} {AGE}", "account", "window")
        for row in rows:
            for key, window in row.windows.items():
                _add(family, (row.title, key), gauge.value(window, row.now))
        yield family


AGE: Final = (
    "Polled: as old as the account's last success, and absent once that is older than"
    " 15 minutes or 3 poll intervals, whichever is more."
)


@dataclass(frozen=True, slots=True)
class AccountGauge:
    name: str
    help: str
    value: Callable[[Row], float | None]


ACCOUNT_GAUGES: Final = (
    AccountGauge(
        "claude_usage_up",
        "1 if the last poll of the account succeeded, 0 if it failed or none has ended yet.",
        lambda row: isinstance(row.account.health, Up),
    ),
    AccountGauge(
        "claude_usage_login_required",
        "1 when only a new login helps.",
        lambda row: row.account.login_required,
    ),
    AccountGauge(
        "claude_usage_logged_in",
        "1 for the account that Claude Code would use now.",
        lambda row: row.logged_in,
    ),
    AccountGauge(
        "claude_usage_last_success_timestamp_seconds",
        "When the account's usage was last fetched, in seconds since 1970; 0 before the first time.",
        lambda row: _timestamp(row.account.last_success_at) or 0,
    ),
    AccountGauge(
        "claude_usage_token_expiry_timestamp_seconds",
        "When the access token expires, in seconds since 1970; absent where that is not known.",
        lambda row: _timestamp(row.account.token_expires_at),
    ),
    AccountGauge(
        "claude_usage_login_expiry_timestamp_seconds",
        "When Claude Code's own login expires, in seconds since 1970; absent where that is not known.",
        lambda row: _timestamp(row.account.login_expires_at),
    ),
    AccountGauge(
        "claude_usage_backoff_until_timestamp_seconds",
        "Until when nothing is sent for the account, in seconds since 1970; absent while it need not wait.",
        lambda row: _timestamp(_still_to_come(row.account.backoff_until, row.now)),
    ),
    AccountGauge(
        "claude_usage_requests_last_hour",
        "Requests sent for the account in the last 60 minutes, whichever process sent them.",
        lambda row: sum(row.now - at < HOUR for at in row.account.requests),
    ),
    AccountGauge(
        "claude_usage_poll_duration_seconds",
        "How long the last poll took, in seconds; absent before the first.",
        lambda row: _seconds(row.account.poll_duration),
    ),
    AccountGauge(
        "claude_usage_poll_interval_seconds",
        "Time between two polls of the account in seconds, its back-off included.",
        lambda row: row.account.interval.total_seconds(),
    ),
)


def account_gauges(rows: Sequence[Row]) -> Iterator[Metric]:
    for gauge in ACCOUNT_GAUGES:
        family = _gauge(gauge.name, gauge.help, "account")
        for row in rows:
            _add(family, (row.title,), gauge.value(row))
        yield family


def extra_amounts(rows: Sequence[Row]) -> Iterator[Metric]:
    used = _gauge(
        "claude_usage_extra_used_amount",
        f"Money spent on extra usage, in whole units of the currency. {AGE}",
        "account",
        "currency",
    )
    limit = _gauge(
        "claude_usage_extra_limit_amount",
        f"Limit of the money for extra usage, in whole units; absent where there is none. {AGE}",
        "account",
        "currency",
    )
    for row in rows:
        extra = row.account.usage.extra_usage if row.fresh and row.account.usage else None
        if extra is not None and extra.enabled:
            labels = (row.title, extra.currency)
            _add(used, labels, None if extra.used is None else float(extra.used))
            _add(limit, labels, None if extra.limit is None else float(extra.limit))
    yield used
    yield limit


def window_durations(state: State) -> Metric:
    family = _gauge(
        "claude_usage_window_duration_seconds", "Length of the window in seconds.", "window"
    )
    seen = [w.key for a in state.accounts.values() if a.usage for w in a.usage.windows]
    lengths = {label_text(key): window_duration(key) for key in (FIVE_HOURS, SEVEN_DAYS, *seen)}
    for key, length in lengths.items():
        if length is not None:
            _add(family, (key,), length.total_seconds())
    return family


def alerts_firing(state: State, rows: Sequence[Row], now: datetime) -> Metric:
    """Make a series for each account and rule that may speak of it, and in any case for what fires."""
    family = _gauge(
        "claude_usage_alert_firing",
        "1 while the alert rule fires for a window of the account, else 0; absent where the settings silence it."
        " An empty account stands for all of them.",
        "account",
        "rule",
    )
    titles = {row.name: row.title for row in rows}
    fires = {(titles.get(account, ""), rule): False for account, rule in may_fire(state)}
    fires |= {(titles.get(a.account, ""), a.rule): True for a in firing_alerts(state, now)}
    for series, value in fires.items():
        _add(family, series, value)
    return family


def muted_until(state: State, now: datetime) -> Metric:
    family = _gauge(
        "claude_usage_alerts_muted_until_timestamp_seconds",
        "Until when alerts are muted, in seconds since 1970; absent while they are not.",
    )
    _add(family, (), _timestamp(_still_to_come(state.muted_until, now)))
    return family


def polls(rows: Sequence[Row]) -> Metric:
    family = _counter("claude_usage_polls_total", "Polls begun, failed ones included.", "account")
    for row in rows:
        _add(family, (row.title,), row.account.polls)
    return family


def poll_failures(rows: Sequence[Row]) -> Metric:
    """Every reason has its series from the start, so that a first failure is an increase."""
    family = _counter(
        "claude_usage_poll_failures_total", "Polls that failed, by reason.", "account", "reason"
    )
    for row in rows:
        for reason in Reason:
            _add(family, (row.title, reason), row.account.failures.get(reason, 0))
    return family


def account_info(rows: Sequence[Row]) -> Metric:
    family = InfoMetricFamily(
        "claude_usage_account",
        "What is known of the account, empty where it is not; join with * on(account) group_left(plan).",
        labels=("account",),
    )
    for row in rows:
        known = {"org_id": row.account.org_id, "plan": row.account.plan or ""}
        family.add_metric((row.title,), {name: label_text(value) for name, value in known.items()})
    return family


def notifications(state: State) -> Iterator[Metric]:
    log = state.notifications
    told = _counter(
        "claude_usage_notifications_total",
        "Notifications that a channel delivered, by what they say.",
        "channel",
        "kind",
    )
    failed = _counter(
        "claude_usage_notification_failures_total",
        "Notifications that a channel could not deliver, by reason.",
        "channel",
        "reason",
    )
    for family, counts in ((told, log.told), (failed, log.failed)):
        for labels, count in sorted(counts.items()):
            _add(family, labels, count)
        yield family


def build_info() -> Metric:
    family = InfoMetricFamily("claude_usage_build", "The program's version, and Python's.")
    family.add_metric((), {"version": __version__, "pythonversion": platform.python_version()})
    return family


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    unit = name.rpartition("_")[2]
    return GaugeMetricFamily(
        name, text, labels=labels, unit=unit if unit in ("seconds", "ratio") else ""
    )


def _counter(name: str, text: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, labels=labels)


def _add(
    family: GaugeMetricFamily | CounterMetricFamily, labels: Sequence[str], value: float | None
) -> None:
    if value is not None:
        family.add_metric([label_text(label) for label in labels], float(value))


def _timestamp(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()


def _whole_seconds(duration: timedelta | None) -> int | None:
    return None if duration is None else int(duration.total_seconds())


def _still_to_come(at: datetime | None, now: datetime) -> datetime | None:
    return at if at is not None and at > now else None

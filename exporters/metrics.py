"""The metrics of the public interface: name, HELP text, and the samples of one account or of all together.

A value that is not known has no series, rather than 0 or NaN. HELP texts are constant.
"""

import platform
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from typing import Final, SupportsFloat

from monitor import __version__, revision
from monitor.core.alerts.conditions import (
    condition_ends,
    firing_ends,
    firing_of_account,
    firing_of_all,
    rules_of_account,
    rules_of_all,
)
from monitor.core.alerts.rules import AlertKind
from monitor.core.errors import ChannelReason, Reason
from monitor.core.exhaustion import PoolForecast
from monitor.core.forecast import Forecast
from monitor.core.model import (
    FIVE_HOURS,
    FORECAST_WITHIN,
    LONGEST_EXPECTED,
    SEVEN_DAYS,
    AccountState,
    ExtraUsage,
    Window,
    fresh_for,
    window_duration,
)
from monitor.core.state import Policy, State

HOUR: Final = timedelta(hours=1)
JUST_AFTER: Final = timedelta(microseconds=1)
FOREVER: Final = datetime.max.replace(tzinfo=UTC)
_revision: Final = cache(revision)

_UNREADABLE: Final = re.compile("[\0\ud800-\udfff]")
"""The characters of a label value for which scrapers refuse the whole page."""

Labels = tuple[str, ...]
Sample = tuple[Labels, float | None]


@dataclass(frozen=True)
class Row:
    """One account at one instant. `title` is the value of its label `account`, which is unique."""

    title: str
    account: AccountState
    logged_in: bool
    policy: Policy
    now: datetime

    @cached_property
    def is_fresh(self) -> bool:
        return self.account.values_are_fresh(self.now, self.policy.interval)

    @cached_property
    def windows(self) -> Sequence[Window]:
        """Return the windows, one for each label; none once the values are too old to be shown."""
        shown = self.account.windows(self.now) if self.is_fresh else ()
        return list({label_text(window.key): window for window in shown}.values())

    @cached_property
    def forecasts(self) -> Mapping[str, Forecast]:
        """Return the forecasts of these windows."""
        expected = self.account.newest_forecast(self.now)
        known = expected.windows if expected else ()
        found = {
            window.key: self.account.forecast_of(window.key, self.now)
            for window in self.windows
            if window.key in known
        }
        return {key: forecast for key, forecast in found.items() if forecast is not None}

    @property
    def extra(self) -> ExtraUsage | None:
        """Return the extra usage, where it is enabled."""
        usage = self.account.usage if self.is_fresh else None
        extra = usage.extra_usage if usage else None
        return extra if extra is not None and extra.enabled else None

    def valid_until(self) -> datetime:
        """Return the first instant at which time alone changes a sample that is no countdown."""
        account = self.account
        at = [request + HOUR for request in account.requests]
        at += firing_ends(account)
        if account.backoff_until is not None:
            at.append(account.backoff_until)
        if account.last_success_at is not None:
            at.append(account.last_success_at + fresh_for(self.policy.interval) + JUST_AFTER)
        if account.usage is not None and account.forecast_is_due:
            at.append(account.usage.at + FORECAST_WITHIN + JUST_AFTER)
        for window in account.usage.windows if account.usage else ():
            if window.resets_at is not None:
                length = window_duration(window.key) or LONGEST_EXPECTED
                at += (window.resets_at, window.resets_at + length)
        return min((instant for instant in at if instant > self.now), default=FOREVER)


@dataclass(frozen=True, slots=True)
class Fleet:
    """All accounts together at one instant."""

    state: State
    now: datetime

    @property
    def pool(self) -> PoolForecast | None:
        return self.state.fresh_pool(self.now)

    def valid_until(self) -> datetime:
        """Return the first instant at which time alone changes a sample."""
        at = list(condition_ends(self.state.conditions))
        if self.state.pool is not None:
            at.append(self.state.pool.at + fresh_for(self.state.policy.interval) + JUST_AFTER)
        if self.state.muted_until is not None:
            at.append(self.state.muted_until)
        return min((instant for instant in at if instant > self.now), default=FOREVER)


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """One metric, with its sorted `labels`; the samples of a counter end in `_total`, those of an info in `_info`.

    A sample is the labels' values, and a number or None for one that is not known.
    """

    name: str
    help: str
    labels: Labels
    of_account: Callable[[Row], Iterable[Sample]] = lambda _: ()
    of_all: Callable[[Fleet], Iterable[Sample]] = lambda _: ()
    kind: str = "gauge"

    @property
    def unit(self) -> str:
        last = self.name.rpartition("_")[2]
        return last if last in ("seconds", "ratio") else ""


def titles_of(accounts: Iterable[AccountState]) -> list[str]:
    """Return the values of the label `account`; a repeated title is numbered: `work`, `work (2)`."""
    taken: dict[str, None] = {}
    for account in accounts:
        title = label_text(account.account.title)
        new, number = title, 1
        while new in taken:
            number += 1
            new = f"{title} ({number})"
        taken[new] = None
    return list(taken)


def label_text(text: str) -> str:
    if text.isascii() and "\0" not in text:
        return text
    return _UNREADABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def _of_window(name: str, text: str, value: Callable[[Window, Row], float | None]) -> Family:
    def samples(row: Row) -> Iterator[Sample]:
        for window in row.windows:
            yield (row.title, window.key), value(window, row)

    return Family(f"claude_usage_{name}", f"{text} {_AGE}", ("account", "window"), samples)


def _of_account(name: str, text: str, value: Callable[[Row], float | None]) -> Family:
    return Family(
        f"claude_usage_{name}", text, ("account",), lambda row: [((row.title,), value(row))]
    )


def _of_all(name: str, text: str, value: Callable[[Fleet], float | None]) -> Family:
    return Family(f"claude_usage_{name}", text, (), of_all=lambda fleet: [((), value(fleet))])


_AGE: Final = (
    "Polled: as old as the account's last success, and absent once that is older than"
    " 15 minutes or 3 poll intervals, whichever is more."
)


def _full_at(row: Row) -> Iterator[Sample]:
    for key, forecast in row.forecasts.items():
        if (at := forecast.full_at) is not None:
            for percentile, instant in (("10", at.p10), ("50", at.p50), ("90", at.p90)):
                yield (row.title, percentile, key), instant.timestamp()


def _week_cost(row: Row) -> float | None:
    forecast = row.account.forecast
    return forecast.week_cost.ratio if forecast and forecast.week_cost else None


def _week_expiring(row: Row) -> float | None:
    """Return None once the week has reset, and while its values or forecast are too old to be shown."""
    forecast = row.account.newest_forecast(row.now) if row.is_fresh else None
    week = next((window for window in row.windows if window.key == SEVEN_DAYS), None)
    return forecast.week_expiring if forecast and week and week.confirmed else None


def _of_money(name: str, text: str, amount: Callable[[ExtraUsage], SupportsFloat | None]) -> Family:
    def samples(row: Row) -> Iterator[Sample]:
        if (extra := row.extra) is not None and (money := amount(extra)) is not None:
            yield (row.title, extra.currency), float(money)

    return Family(f"claude_usage_{name}", f"{text} {_AGE}", ("account", "currency"), samples)


def _alerts(row: Row) -> Iterator[Sample]:
    """Yield a sample for each rule that applies to the account, and for what fires."""
    rules = row.policy.alerts
    fires = dict.fromkeys(rules_of_account(row.account.account.name, rules), 0)
    fires |= {alert.rule: 1 for alert in firing_of_account(row.account, rules, row.now)}
    return (((row.title, rule), value) for rule, value in fires.items())


def _failures(row: Row) -> Iterator[Sample]:
    """Yield a sample for each reason, 0 from the start, so that a first failure is an increase."""
    return (((row.title, reason), row.account.failures.get(reason, 0)) for reason in Reason)


def _durations(fleet: Fleet) -> Iterator[Sample]:
    accounts = fleet.state.accounts.values()
    seen = {w.key: None for a in accounts if a.usage for w in a.usage.windows}
    for key in {FIVE_HOURS: None, SEVEN_DAYS: None, **seen}:
        yield (key,), _seconds(window_duration(key))


def _fleet_alerts(fleet: Fleet) -> Iterator[Sample]:
    fires = dict.fromkeys(rules_of_all(fleet.state), 0)
    fires |= {alert.rule: 1 for alert in firing_of_all(fleet.state, fleet.now)}
    return ((("", kind), value) for kind, value in fires.items())


def _channel_counts(
    fleet: Fleet, values: Iterable[str], counts: Mapping[tuple[str, str], int]
) -> list[Sample]:
    """Return a sample for each channel and value, 0 from the start, as of failures."""
    channels = fleet.state.notifications.channels
    pairs = dict.fromkeys([(channel, str(value)) for channel in channels for value in values], 0)
    return sorted((pairs | dict(counts)).items())


def _free(fleet: Fleet) -> Iterator[Sample]:
    if (pool := fleet.pool) is not None:
        for free in pool.free:
            horizon = f"{(free.at - pool.at) // HOUR}h"
            for percentile, count in (("10", free.low), ("50", free.likely), ("90", free.high)):
                yield (horizon, percentile), count


COUNTDOWN: Final = _of_window(
    "reset_seconds",
    "Whole seconds from this scrape until the window resets; absent while no window is open.",
    lambda window, row: _whole_seconds(window.resets_in(row.now)),
)

ACCOUNT_FAMILIES: Final[Sequence[Family]] = (
    _of_window(
        "utilization_ratio",
        "Used part of the window as a ratio: 1 is all of it, and more is possible.",
        lambda window, _: window.utilization,
    ),
    _of_window(
        "reset_timestamp_seconds",
        "When the window resets, in seconds since 1970; absent while no window is open.",
        lambda window, _: _timestamp(window.resets_at),
    ),
    Family(
        "claude_usage_run_out_probability_ratio",
        "Probability (0 to 1) that the window is full before its reset; absent while too little is known."
        f" {_AGE}",
        ("account", "window"),
        lambda row: (
            ((row.title, key), forecast.run_out_probability)
            for key, forecast in row.forecasts.items()
        ),
    ),
    Family(
        "claude_usage_full_timestamp_seconds",
        "By when the window is full with a probability of 10, 50 and 90 in 100, in seconds since 1970;"
        f" absent where it most likely lasts to its reset. {_AGE}",
        ("account", "percentile", "window"),
        _full_at,
    ),
    _of_account(
        "week_cost_ratio",
        "The part of the week that one full 5-hour window costs; absent until that is known.",
        _week_cost,
    ),
    _of_account(
        "week_expiring_ratio",
        f"The part of the week that most likely is unused at its reset; absent while too little is known. {_AGE}",
        _week_expiring,
    ),
    _of_account(
        "up",
        "1 if the last poll of the account succeeded, 0 if it failed or none has ended yet.",
        lambda row: row.account.down is None and row.account.last_success_at is not None,
    ),
    _of_account(
        "login_required", "1 when only a new login helps.", lambda row: row.account.login_required
    ),
    _of_account(
        "logged_in",
        "1 for the account that Claude Code would use now.",
        lambda row: row.logged_in,
    ),
    _of_account(
        "last_success_timestamp_seconds",
        "When the account's usage was last fetched, in seconds since 1970; 0 before the first time.",
        lambda row: _timestamp(row.account.last_success_at) or 0,
    ),
    _of_account(
        "token_expiry_timestamp_seconds",
        "When the access token expires, in seconds since 1970; absent where that is not known.",
        lambda row: _timestamp(row.account.token_expires_at),
    ),
    _of_account(
        "login_expiry_timestamp_seconds",
        "When Claude Code's own login expires, in seconds since 1970; absent where that is not known.",
        lambda row: _timestamp(row.account.login_expires_at),
    ),
    _of_account(
        "backoff_until_timestamp_seconds",
        "Until when nothing is sent for the account, in seconds since 1970; absent while it need not wait.",
        lambda row: _timestamp(_unless_past(row.account.backoff_until, row.now)),
    ),
    _of_account(
        "requests_last_hour",
        "Requests sent for the account in the last 60 minutes, whichever process sent them.",
        lambda row: sum(row.now - at < HOUR for at in row.account.requests),
    ),
    _of_account(
        "poll_duration_seconds",
        "How long the last poll took, in seconds; absent before the first.",
        lambda row: _seconds(row.account.poll_duration),
    ),
    _of_account(
        "poll_interval_seconds",
        "Time between two polls of the account in seconds, its back-off included.",
        lambda row: row.account.interval.total_seconds(),
    ),
    _of_money(
        "extra_used_amount",
        "Money spent on extra usage, in whole units of the currency.",
        lambda extra: extra.used,
    ),
    _of_money(
        "extra_limit_amount",
        "Limit of the money for extra usage, in whole units; absent where there is none.",
        lambda extra: extra.limit,
    ),
    Family(
        "claude_usage_alert_firing",
        "1 while the alert rule fires for a window of the account, else 0; absent where the settings silence it."
        " An empty account stands for all of them.",
        ("account", "rule"),
        _alerts,
        _fleet_alerts,
    ),
    Family(
        "claude_usage_polls",
        "Polls begun, failed ones included.",
        ("account",),
        lambda row: [((row.title,), row.account.polls)],
        kind="counter",
    ),
    Family(
        "claude_usage_poll_failures",
        "Polls that failed, by reason.",
        ("account", "reason"),
        _failures,
        kind="counter",
    ),
    Family(
        "claude_usage_account",
        "What is known of the account, empty where it is not; join with * on(account) group_left(plan).",
        ("account", "org_id", "plan"),
        lambda row: [((row.title, row.account.org_id, row.account.plan or ""), 1)],
        kind="info",
    ),
)


FLEET_FAMILIES: Final[Sequence[Family]] = (
    Family(
        "claude_usage_window_duration_seconds",
        "Length of the window in seconds.",
        ("window",),
        of_all=_durations,
    ),
    Family(
        "claude_usage_accounts_free",
        "Accounts that have room, now and in some hours: at most so many with a probability of 10, 50 and 90 in 100;"
        " absent of a single account, and while too little is known.",
        ("horizon", "percentile"),
        of_all=_free,
    ),
    _of_all(
        "accounts_exhausted_probability_ratio",
        "Probability (0 to 1) that all accounts are full within 4 hours; absent as the free accounts are.",
        lambda fleet: fleet.pool.exhausted_probability if fleet.pool else None,
    ),
    _of_all(
        "accounts_exhausted_timestamp_seconds",
        "When all accounts most likely are full, in seconds since 1970; absent where they most likely are not within"
        " 8 hours.",
        lambda fleet: _timestamp(fleet.pool.exhausted_at) if fleet.pool else None,
    ),
    _of_all(
        "alerts_muted_until_timestamp_seconds",
        "Until when alerts are muted, in seconds since 1970; absent while they are not.",
        lambda fleet: _timestamp(_unless_past(fleet.state.muted_until, fleet.now)),
    ),
    Family(
        "claude_usage_notifications",
        "Notifications that a channel delivered, by what they say.",
        ("channel", "kind"),
        of_all=lambda fleet: _channel_counts(fleet, AlertKind, fleet.state.notifications.told),
        kind="counter",
    ),
    Family(
        "claude_usage_notification_failures",
        "Notifications that a channel could not deliver, by reason.",
        ("channel", "reason"),
        of_all=lambda fleet: _channel_counts(
            fleet, ChannelReason, fleet.state.notifications.failed
        ),
        kind="counter",
    ),
    Family(
        "claude_usage_notification_last_success_timestamp_seconds",
        "When the channel last delivered a notification, in seconds since 1970; absent before the first time.",
        ("channel",),
        of_all=lambda fleet: (
            ((channel,), at.timestamp())
            for channel, at in sorted(fleet.state.notifications.sent_at.items())
        ),
    ),
    _of_all(
        "config_last_reload_successful",
        "1 if the settings were valid when they were last read, 0 if those before are still in force.",
        lambda fleet: not fleet.state.reload_failed,
    ),
    _of_all(
        "config_last_reload_success_timestamp_seconds",
        "When the settings in force were read, in seconds since 1970.",
        lambda fleet: _timestamp(fleet.state.loaded_at),
    ),
    _of_all(
        "clock_offset_seconds",
        "Seconds that the machine's clock is ahead of the API's, negative if behind; 0 within half a minute.",
        lambda fleet: -fleet.state.clock_offset.total_seconds(),
    ),
    Family(
        "claude_usage_build",
        "The program's version and revision, the latter empty where it is not known, and Python's version.",
        ("pythonversion", "revision", "version"),
        of_all=lambda _: [((platform.python_version(), _revision(), __version__), 1)],
        kind="info",
    ),
)


def _timestamp(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()


def _whole_seconds(duration: timedelta | None) -> int | None:
    return None if duration is None else int(duration.total_seconds())


def _unless_past(at: datetime | None, now: datetime) -> datetime | None:
    return at if at is not None and at > now else None

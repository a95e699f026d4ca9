"""Lasting conditions: what is true for a while, and becomes an alert once it has been true for long enough. Pure.

The machine in `monitor.core.alerts.machine` makes alerts of what happens at one sample. A condition lasts, and needs
no sample at all: a login that is needed, an account that cannot be read, a pace that will not last, no account left.
Each condition is, in Prometheus's words:

    state       while                                   next
    -----       -----                                   ----
    inactive    it is false                             pending, when it is true
    pending     it is true, for less than the rule's    firing, when that time has passed: the alert is sent;
                `for`                                   inactive, when it ceases
    firing      the alert was sent                      resolved, when it has ceased for ten minutes and the
                                                        window period that it is about, if any, has ended
    resolved    -                                       inactive, at once

The ten minutes keep a condition that flickers from alerting again and again; the end of the period keeps a forecast
that wavers to one alert in each window period.

Accounts that cannot be read for the same reason, and since about the same time, share one alert.

That no account has room is the one condition whose end is an alert as well: at once, as soon as an account is seen to
have room, and once in the condition's life, however often it flickers.

The unused part of a week that has ended is reported once, some minutes after the end was noticed, together with all
other weeks that have ended by then. Where the end was only moved, that has become known by then.

What is *firing* is sent again and again to receivers that want it so. A threshold that was reached fires until the
window's end, whatever the next figures are: usage does not fall within a period, and revised figures are no news.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from monitor.core.alerts.machine import FULL, PLAN_WIDE, SAME_END, full_by_slope
from monitor.core.alerts.rules import (
    OF_ACCOUNTS,
    OF_ALL,
    Alert,
    AlertKind,
    Condition,
    RuleBook,
    WindowMemory,
    threshold_rule,
)
from monitor.core.errors import Reason, describe
from monitor.core.exhaustion import AHEAD, is_exhausted_soon
from monitor.core.forecast import is_running_out
from monitor.core.format import duration, percent
from monitor.core.model import FIVE_HOURS, SEVEN_DAYS, WEEK, AccountState, Window
from monitor.core.state import State

RESOLVED_AFTER: Final = timedelta(minutes=10)
LOGIN_ENDS_IN: Final = timedelta(days=3)
WORTH_A_FORECAST: Final = 0.5
"""Below this utilization a slope makes no alert."""

TIME_TO_ACT: Final = timedelta(minutes=15)
"""A window that fills within this time of its reset makes no alert."""

CHANGE_IS_NEWS: Final = timedelta(days=7)
"""A change of a window's cost fires for so long."""

CHANGE_IS_KNOWN: Final = timedelta(days=14)
"""A change that is learned within so long, and began before the last one was seen, is that same change."""

ANOTHER_COST: Final = 0.1
"""The least difference of the logarithms of two costs. A step is 0.18 at least, and is known to some percent."""

WEEKS_GATHER_FOR: Final = timedelta(minutes=10)
WEEK_IS_NEWS_FOR: Final = timedelta(days=2)
READ_SHORTLY_BEFORE: Final = timedelta(hours=1)
"""A last reading this close to the end of its week needs no mention."""

OF_THE_WAY: Final = frozenset({Reason.CONNECTION, Reason.TIMEOUT, Reason.BLOCKED, Reason.SERVER})
"""Failures of the network or of the API, which turn into one another; none is an account's own."""

NAMED: Final = 3
"""An alert about several accounts names so many."""

Conditions = Mapping[str, Condition]


@dataclass(frozen=True, slots=True)
class Fact:
    """A condition that is true now, with the alert of it; `until` as in `Condition`.

    One that `is_another` than the condition of the same kind that is remembered begins anew.
    """

    alert: Alert
    until: datetime | None = None
    is_another: bool = False


def condition_key(kind: AlertKind, window: str = "") -> str:
    """The key of a condition among those of an account, or of all accounts."""
    return f"{kind}:{window}"


def evaluate_conditions(
    state: State, at: datetime, name: str | None = None
) -> tuple[State, tuple[Alert, ...]]:
    """Evaluate the conditions of all accounts, or of the one of this name, and those of all accounts together.

    Returns the state with what is to be remembered of them, and the alerts to be sent.
    """
    alerts: list[Alert] = []
    accounts, rules = dict(state.accounts), state.policy.alerts
    for one in accounts if name is None else accounts.keys() & {name}:
        account = accounts[one]
        conditions, new = _advance_all(account.conditions, account_facts(account, at), rules, at)
        if conditions != account.conditions:
            accounts[one] = replace(account, conditions=conditions)
        alerts += new
    alerts = _group_unreadable(accounts, alerts, 2 * state.policy.interval, at)
    if name is None:
        alerts += _report_expired_weeks(accounts, rules, at)
    common, new = _advance_all(state.conditions, _common_facts(state, at), rules, at)
    common, freed = _report_first_free(state, common, at)
    return replace(state, accounts=accounts, conditions=common), (*alerts, *new, *freed)


def _advance_all(
    old: Conditions, facts: Iterator[Fact], rules: RuleBook, at: datetime
) -> tuple[Conditions, list[Alert]]:
    """Advance the conditions of which the rules speak, and return those that have begun to fire as alerts."""
    now = {
        condition_key(fact.alert.kind, fact.alert.window): fact
        for fact in facts
        if rules.applies(fact.alert.kind, fact.alert.account, fact.alert.window)
    }
    conditions, alerts = {}, []
    for key in {**old, **now}:
        fact, before = now.get(key), old.get(key)
        if fact is not None and fact.is_another:
            before = None
        hold = rules.rule(fact.alert.kind).hold if fact is not None else timedelta(0)
        condition = advance(before, fact, hold, at)
        if condition is not None:
            conditions[key] = condition
            was_told = before is not None and before.told_at is not None
            if fact is not None and condition.told_at is not None and not was_told:
                alerts.append(fact.alert)
    return conditions, alerts


def advance(
    old: Condition | None, fact: Fact | None, hold: timedelta, at: datetime
) -> Condition | None:
    """Return one condition's next state by the table above; None is inactive."""
    if fact is not None:
        known = old or Condition(since=at)
        return replace(
            known,
            told_at=known.told_at or (at if at - known.since >= hold else None),
            ceased_at=None,
            until=fact.until or known.until,
            alert=replace(fact.alert, at=known.since),
        )
    if old is None or old.told_at is None:
        return None
    ceased_at = old.ceased_at or at
    is_over = at - ceased_at >= RESOLVED_AFTER and not (old.until and at < old.until)
    return None if is_over else replace(old, ceased_at=ceased_at)


def _group_unreadable(
    accounts: dict[str, AccountState], alerts: Iterable[Alert], span: timedelta, at: datetime
) -> list[Alert]:
    """Replace the alerts of accounts that cannot be read for the same reason, since within this span, by one.

    Accounts whose condition is still pending join it at once; one that fails alike later gets no alert of its own.
    """
    key = condition_key(AlertKind.UNREADABLE)
    grouped: list[Alert] = []
    done: set[str] = set()
    for alert in alerts:
        if alert.kind is not AlertKind.UNREADABLE:
            grouped.append(alert)
        elif alert.account not in done:
            first = accounts[alert.account]
            since = first.conditions[key].since
            alike = {
                name: other.conditions[key]
                for name, other in accounts.items()
                if key in other.conditions
                and _fails_alike(first, other)
                and abs(other.conditions[key].since - since) <= span
            }
            done |= alike.keys()
            if any(condition.told_at not in (None, at) for condition in alike.values()):
                continue
            for name, condition in alike.items():
                conditions = {**accounts[name].conditions, key: replace(condition, told_at=at)}
                accounts[name] = replace(accounts[name], conditions=conditions)
            if len(alike) > 1:
                more = f" and {len(alike) - NAMED} more" if len(alike) > NAMED else ""
                detail = f"for {', '.join(sorted(alike)[:NAMED])}{more}: {alert.detail}"
                alert = replace(alert, account="", detail=detail)
            grouped.append(alert)
    return grouped


def _fails_alike(one: AccountState, other: AccountState) -> bool:
    if one.down is None or other.down is None:
        return False
    ours, theirs = one.down.failure, other.down.failure
    if ours.reason in OF_THE_WAY:
        return theirs.reason in OF_THE_WAY
    return describe(ours) == describe(theirs)


def account_facts(account: AccountState, at: datetime) -> Iterator[Fact]:
    """Find the conditions that are true of one account."""
    name, down, login_ends = account.account.name, account.down, account.login_expires_at
    if down is not None and not down.failure.renewable:
        # One that is only to be renewed needs nobody: Claude Code does so when it is next used.
        kind = AlertKind.LOGIN if account.login_required else AlertKind.UNREADABLE
        yield Fact(Alert(kind, name, "", at, detail=describe(down.failure)))
    if login_ends is not None and timedelta(0) < login_ends - at <= LOGIN_ENDS_IN:
        yield Fact(Alert(AlertKind.EXPIRY, name, "", at, resets_at=login_ends), until=login_ends)
    for key, memory in account.alerts.items():
        full_at = _full_at(account, key, memory, at)
        if full_at is not None:
            alert = Alert(
                AlertKind.PACE,
                name,
                key,
                at,
                utilization=memory.utilization,
                resets_at=full_at,
                period=memory.period,
            )
            yield Fact(alert, until=memory.resets_at)
    cost = account.forecast.week_cost if account.forecast else None
    change = cost.change if cost else None
    if cost is not None and change is not None and at - change.at < CHANGE_IS_NEWS:
        before, now = percent(cost.ratio / change.factor), percent(cost.ratio)
        detail = f"a full 5h window costs {now} of the week, and cost {before}"
        alert = Alert(AlertKind.LIMIT_CHANGED, name, "", at, utilization=cost.ratio, detail=detail)
        known = account.conditions.get(condition_key(AlertKind.LIMIT_CHANGED))
        told = known.alert.utilization if known and known.alert else 0.0
        if known is None or _is_another_change(cost.ratio, change.at, told, known.until):
            yield Fact(alert, at + CHANGE_IS_KNOWN, is_another=True)
        else:
            yield Fact(replace(alert, utilization=told), known.until)


def _is_another_change(ratio: float, began: datetime, told: float, until: datetime | None) -> bool:
    """Return whether a change began after the one that was told, and has led to another cost.

    Either alone may also come of learning the same change again, from samples that are kept hourly by now.
    """
    is_later = until is not None and began > until - CHANGE_IS_KNOWN
    return is_later and told > 0 and abs(math.log(ratio / told)) > ANOTHER_COST


def _full_at(
    account: AccountState, key: str, memory: WindowMemory, at: datetime
) -> datetime | None:
    """Say when the window will be full, where that is early enough before its reset to be worth an alert.

    The forecast's probability decides. Before there is one, a 5-hour window goes by its slope, a longer one gives None.
    """
    if memory.resets_at is None or memory.low_since is not None or memory.resets_at <= at:
        return None
    if memory.utilization >= 1:
        return None
    found = account.forecast_of(key, at)
    if found is None:
        # An older version has kept points of a week, too.
        is_worth_it = memory.utilization >= WORTH_A_FORECAST and key.startswith(FIVE_HOURS)
        full_at = full_by_slope(memory.track) if is_worth_it else None
    elif is_running_out(found, condition_key(AlertKind.PACE, key) in account.conditions):
        full_at = found.full_at.p50 if found.full_at else memory.resets_at - TIME_TO_ACT
    else:
        full_at = None
    return full_at if full_at is not None and full_at + TIME_TO_ACT <= memory.resets_at else None


def _common_facts(state: State, at: datetime) -> Iterator[Fact]:
    """Find what is true of all accounts together: none of two or more that can be used has room, or soon none will."""
    accounts = state.accounts.values()
    if len(accounts) < 2:
        return
    if any(not account.login_required and full_until(account) is None for account in accounts):
        pool, key = state.pool, condition_key(AlertKind.EXHAUSTED_SOON)
        if pool and at < pool.at + AHEAD and is_exhausted_soon(pool, key in state.conditions):
            alert = Alert(AlertKind.EXHAUSTED_SOON, "", "", at, resets_at=pool.exhausted_at)
            yield Fact(alert, until=pool.at + AHEAD)
        return
    frees = [
        (end, account.account.name)
        for account in accounts
        if not account.login_required and (end := full_until(account))
    ]
    if frees:
        until, name = min(frees)
        yield Fact(Alert(AlertKind.EXHAUSTED, "", "", at, resets_at=until, detail=name))


def full_until(account: AccountState) -> datetime | None:
    """Say when an account that is known to be full has room again; None where it has now, or nothing is known.

    An end that has passed counts as full until a poll says otherwise. After a restart the windows are as the alert
    machine remembers them, until the first poll.
    """
    remembered = (Window(key, m.utilization, m.resets_at) for key, m in account.alerts.items())
    ends = [
        window.resets_at
        for window in (account.usage.windows if account.usage is not None else remembered)
        if window.key in PLAN_WIDE and window.utilization >= 1 and window.resets_at is not None
    ]
    return max(ends, default=None)


def _report_expired_weeks(
    accounts: dict[str, AccountState], rules: RuleBook, at: datetime
) -> list[Alert]:
    """Report the unused part of all weeks that have ended, once the first of them was noticed some minutes ago.

    Each is then forgotten, without an alert where its end was moved, nothing expired, or it is no news any more.
    """
    ended = {
        name: week
        for name, account in accounts.items()
        if (memory := account.alerts.get(SEVEN_DAYS)) and (week := memory.ended_week)
    }
    if not any(at - week.noticed_at >= WEEKS_GATHER_FOR for week in ended.values()):
        return []
    alerts = []
    for name, week in ended.items():
        account = accounts[name]
        memory = account.alerts[SEVEN_DAYS]
        is_over = memory.resets_at is None or memory.resets_at - week.end >= WEEK - SAME_END
        is_worth_it = 1 - week.utilization >= 0.01 and at - week.end <= WEEK_IS_NEWS_FOR
        if is_over and is_worth_it and rules.applies(AlertKind.WEEK_EXPIRED, name, SEVEN_DAYS):
            unread = week.end - week.read_at
            before = f"at the last reading, {duration(unread, seconds=False)} before the reset"
            alert = Alert(
                AlertKind.WEEK_EXPIRED,
                name,
                SEVEN_DAYS,
                at,
                utilization=week.utilization,
                resets_at=week.end,
                detail=before if unread > READ_SHORTLY_BEFORE else "",
                period=week.period,
            )
            alerts.append(alert)
        memories = {**account.alerts, SEVEN_DAYS: replace(memory, ended_week=None)}
        accounts[name] = replace(account, alerts=memories)
    return alerts


def _report_first_free(
    state: State, common: Conditions, at: datetime
) -> tuple[Conditions, list[Alert]]:
    """Report the first account that is free again, after an alert that all were full."""
    key = condition_key(AlertKind.EXHAUSTED)
    told = common.get(key)
    if told is None or told.ceased_at is None or told.freed_at is not None:
        return common, []
    free = next(
        (
            name
            for name, account in state.accounts.items()
            if account.usage and full_until(account) is None and not account.login_required
        ),
        None,
    )
    if free is None:
        return common, []
    alert = Alert(AlertKind.FREE, free, "", at, resets_at=at)
    speaks = state.policy.alerts.applies(alert.kind, free)
    return {**common, key: replace(told, freed_at=at)}, [alert] if speaks else []


# What is firing


def firing_alerts(state: State, now: datetime) -> tuple[Alert, ...]:
    """List the firing alerts; `at` of each is since when. A mute changes nothing here."""
    rules = state.policy.alerts
    firing = [*firing_of_all(state, now)]
    for account in state.accounts.values():
        firing += firing_of_account(account, rules, now)
    return tuple(firing)


def firing_of_account(account: AccountState, rules: RuleBook, now: datetime) -> Iterator[Alert]:
    """List the firing alerts of one account."""
    name = account.account.name
    thresholds = rules.thresholds_of(name)
    for key, memory in account.alerts.items():
        if memory.resets_at is not None and memory.resets_at <= now:
            continue
        for threshold in sorted(memory.told & {*thresholds, FULL}):
            is_set = threshold in thresholds
            alert = Alert(
                AlertKind.THRESHOLD if is_set else AlertKind.LIMIT,
                name,
                key,
                memory.reached.get(threshold, memory.at),
                utilization=memory.utilization,
                threshold=threshold if is_set else None,
                resets_at=memory.resets_at,
                period=memory.period,
            )
            if rules.applies(alert.kind, name, key):
                yield alert
    yield from _firing_conditions(account.conditions, name, rules, now)


def firing_ends(account: AccountState) -> Iterator[datetime]:
    """List the instants at which alerts of the account may cease to fire by themselves."""
    for memory in account.alerts.values():
        if memory.resets_at is not None:
            yield memory.resets_at
    yield from condition_ends(account.conditions)


def condition_ends(conditions: Conditions) -> Iterator[datetime]:
    """List the instants at which conditions that have ceased are resolved."""
    for condition in conditions.values():
        if condition.ceased_at is not None:
            yield condition.ceased_at + RESOLVED_AFTER


def rules_of_account(account: str, rules: RuleBook) -> Iterator[str]:
    """Name the rules that the settings let fire for the account."""
    thresholds = rules.thresholds_of(account)
    if rules.applies(AlertKind.THRESHOLD, account):
        yield from map(threshold_rule, thresholds)
    if FULL not in thresholds and rules.applies(AlertKind.LIMIT, account):
        yield AlertKind.LIMIT
    for kind in (AlertKind.PACE, *OF_ACCOUNTS):
        if rules.applies(kind, account):
            yield kind


def rules_of_all(state: State) -> Iterator[str]:
    """Name the rules that the settings let fire for all accounts together."""
    if len(state.accounts) > 1:
        yield from (kind for kind in OF_ALL if state.policy.alerts.applies(kind, ""))


def firing_of_all(state: State, now: datetime) -> Iterator[Alert]:
    """List the firing alerts that concern all accounts together."""
    return _firing_conditions(state.conditions, "", state.policy.alerts, now)


def _firing_conditions(
    conditions: Conditions, account: str, rules: RuleBook, now: datetime
) -> Iterator[Alert]:
    for condition in conditions.values():
        alert, ceased_at = condition.alert, condition.ceased_at
        is_over = ceased_at is not None and now - ceased_at >= RESOLVED_AFTER
        if alert is None or condition.told_at is None or is_over:
            continue
        if rules.applies(alert.kind, account, alert.window or None):
            yield replace(alert, account=account)  # which may have been renamed since

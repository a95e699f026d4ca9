"""Which alerts are firing now: those of the state that last, as a receiver wants them that is told again and again.

A threshold that has spoken fires until the window's end, whatever the next figures are: usage does not fall within a
period, and revised figures are no news. A lasting condition fires for ten minutes longer than it holds, so that one
that flickers neither resolves nor fires again with each turn. Pure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from monitor.core.alerts.conditions import OF_ACCOUNTS, OF_ALL, RESOLVED_AFTER
from monitor.core.alerts.machine import FULL
from monitor.core.alerts.memory import Condition
from monitor.core.alerts.rules import Alert, AlertKind, RuleBook, threshold_rule
from monitor.core.model import AccountState
from monitor.core.state import State

Conditions = Mapping[str, Condition]


def firing_alerts(state: State, now: datetime) -> tuple[Alert, ...]:
    """The firing alerts, each with `at` being since when. Muting changes nothing here: what is so stays so."""
    rules = state.policy.alerts
    firing = [*fleet_firing(state, now)]
    for account in state.accounts.values():
        firing += account_firing(account, rules, now)
    return tuple(firing)


def account_firing(account: AccountState, rules: RuleBook, now: datetime) -> Iterator[Alert]:
    """The alerts of one account among them."""
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
    yield from _lasting(account.conditions, name, rules, now)


def turns(account: AccountState) -> Iterator[datetime]:
    """The instants from which other alerts of the account may be firing, though nothing else happens."""
    for memory in account.alerts.values():
        if memory.resets_at is not None:
            yield memory.resets_at
    yield from condition_ends(account.conditions)


def condition_ends(conditions: Conditions) -> Iterator[datetime]:
    """The instants from which conditions that have ceased fire no more."""
    for condition in conditions.values():
        if condition.ceased_at is not None:
            yield condition.ceased_at + RESOLVED_AFTER


def may_fire(account: str, rules: RuleBook) -> Iterator[str]:
    """Name the rules that the settings let fire for the account."""
    thresholds = rules.thresholds_of(account)
    if rules.applies(AlertKind.THRESHOLD, account):
        yield from map(threshold_rule, thresholds)
    if FULL not in thresholds and rules.applies(AlertKind.LIMIT, account):
        yield AlertKind.LIMIT
    for kind in (AlertKind.PACE, *OF_ACCOUNTS):
        if rules.applies(kind, account):
            yield kind


def fleet_may_fire(state: State) -> Iterator[str]:
    """Name the rules that the settings let fire for all accounts together."""
    if len(state.accounts) > 1:
        yield from (kind for kind in OF_ALL if state.policy.alerts.applies(kind, ""))


def fleet_firing(state: State, now: datetime) -> Iterator[Alert]:
    """The alerts among them that concern all accounts together."""
    return _lasting(state.conditions, "", state.policy.alerts, now)


def _lasting(
    conditions: Conditions, account: str, rules: RuleBook, now: datetime
) -> Iterator[Alert]:
    for condition in conditions.values():
        alert, ceased_at = condition.alert, condition.ceased_at
        is_over = ceased_at is not None and now - ceased_at >= RESOLVED_AFTER
        if alert is None or condition.told_at is None or is_over:
            continue
        if rules.applies(alert.kind, account, alert.window or None):
            yield replace(alert, account=account)  # which may have been renamed since

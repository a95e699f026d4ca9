"""Which alerts are firing now: those of the state that last, as a receiver wants them that is told again and again.

A threshold that has spoken fires until the window's end, whatever the next figures are: usage does not fall within a
period, and revised figures are no news. A lasting condition fires for ten minutes longer than it holds, so that one
that flickers neither resolves nor fires again with each turn. Pure.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from monitor.core.alerts.conditions import (
    OF_ACCOUNTS,
    OF_ALL,
    RESOLVED_AFTER,
    account_facts,
    fleet_facts,
)
from monitor.core.alerts.machine import FULL
from monitor.core.alerts.memory import Condition, WindowMemory
from monitor.core.alerts.rules import RuleBook
from monitor.core.effects import Alert, AlertKind, threshold_rule
from monitor.core.model import AccountState
from monitor.core.state import State

Conditions = Mapping[str, Condition]
_KINDS: Final = {str(kind): kind for kind in AlertKind}


def firing_alerts(state: State, now: datetime) -> tuple[Alert, ...]:
    """The firing alerts, each with `at` being since when. Muting changes nothing here: what is so stays so."""
    rules = state.policy.alerts
    firing = [*fleet_firing(state, now)]
    for account in state.accounts.values():
        firing += account_firing(account, rules, now)
    return tuple(firing)


def account_firing(account: AccountState, rules: RuleBook, now: datetime) -> Iterator[Alert]:
    """The alerts of one account among them."""
    yield from _thresholds(account, rules, now)
    yield from _conditions(account, rules, now)


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


def _thresholds(account: AccountState, rules: RuleBook, now: datetime) -> Iterator[Alert]:
    thresholds = rules.thresholds_of(account.account.name)
    for key, memory in account.alerts.items():
        if memory.resets_at is not None and memory.resets_at <= now:
            continue
        for threshold in sorted(memory.told & {*thresholds, FULL}):
            alert = _high(account, key, memory, threshold)
            if threshold in thresholds:
                alert = replace(alert, kind=AlertKind.THRESHOLD, threshold=threshold)
            if _speaks(rules, alert):
                yield alert


def _high(account: AccountState, key: str, memory: WindowMemory, threshold: float) -> Alert:
    return Alert(
        AlertKind.LIMIT,
        account.account.name,
        key,
        memory.reached.get(threshold, memory.at),
        utilization=memory.utilization,
        resets_at=memory.resets_at,
        period=memory.period,
    )


def _conditions(account: AccountState, rules: RuleBook, now: datetime) -> Iterator[Alert]:
    facts = (fact.alert for fact in account_facts(account, rules, now))
    for alert in _lasting(account.conditions, account.account.name, facts, now):
        if _speaks(rules, alert):
            yield alert


def fleet_firing(state: State, now: datetime) -> Iterator[Alert]:
    """The alerts among them that concern all accounts together."""
    facts = (fact.alert for fact in fleet_facts(state, now))
    for alert in _lasting(state.conditions, "", facts, now):
        if _speaks(state.policy.alerts, alert):
            yield alert


def _lasting(
    conditions: Conditions, account: str, facts: Iterable[Alert], now: datetime
) -> Iterator[Alert]:
    """The conditions that are firing, with what is known of them now; where none is, nothing is looked up."""
    firing = {key: condition for key, condition in conditions.items() if _fires(condition, now)}
    known = {(alert.kind, alert.window): alert for alert in facts} if firing else {}
    for key, condition in firing.items():
        name, _, window = key.partition(":")
        kind = _KINDS.get(name)
        if kind is not None:
            alert = known.get((kind, window), Alert(kind, account, window, now))
            yield replace(alert, at=condition.since)


def _fires(condition: Condition, now: datetime) -> bool:
    ceased = condition.ceased_at
    return condition.told_at is not None and (ceased is None or now - ceased < RESOLVED_AFTER)


def _speaks(rules: RuleBook, alert: Alert) -> bool:
    return rules.applies(alert.kind, alert.account, alert.window or None)

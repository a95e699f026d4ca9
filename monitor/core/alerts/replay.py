"""What would have been told, and when: stored samples through the same rules that the running program has. Pure."""

from collections.abc import Iterable
from datetime import timedelta

from monitor.core.alerts.conditions import evaluate_conditions
from monitor.core.alerts.machine import observe
from monitor.core.alerts.rules import RuleBook
from monitor.core.effects import Alert
from monitor.core.model import Account, AccountState, Up, Usage
from monitor.core.policy import Policy
from monitor.core.state import State


def replayed(samples: Iterable[tuple[str, Usage]], rules: RuleBook) -> list[Alert]:
    """The alerts over these samples of accounts by name, oldest first; nothing is known before the first one.

    Samples are what polls brought. What polls did not bring (a login that was needed, say) cannot be replayed.
    """
    state, told = State(policy=Policy(alerts=rules)), list[Alert]()
    for name, usage in samples:
        state, alerts = _one_on(state, name, usage)
        told.extend(alerts)
    return told


def _one_on(state: State, name: str, usage: Usage) -> tuple[State, list[Alert]]:
    old = state.accounts.get(name) or AccountState(Account(name), usage.at, timedelta(0))
    memories, observed = observe(name, old.alerts, usage, state.policy.alerts)
    new = AccountState(
        account=old.account,
        next_poll_at=usage.at,
        interval=old.interval,
        usage=usage,
        health=Up(usage.at),
        last_success_at=usage.at,
        alerts=memories,
        conditions=old.conditions,
    )
    accounts = {**state.accounts, name: new}
    state, lasting = evaluate_conditions(
        State(state.policy, accounts, conditions=state.conditions), usage.at
    )
    return state, [*observed, *lasting]

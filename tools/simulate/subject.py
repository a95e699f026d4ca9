"""The seam to the program under test: events in through `update`, alerts out as `Told`. Nothing else here knows it.

What survives the end of a process is what `remembered` makes of the state: its accounts, with the alert machine's
memory, in the form in which the state database keeps them.
"""

import json
from datetime import datetime, timedelta

from monitor.core.alerts.rules import DEFAULT_RULES, Alert, AlertKind, Rule, RuleBook
from monitor.core.codec import decode, encode
from monitor.core.errors import Failure, Reason
from monitor.core.events import (
    AccountsLoaded,
    ClockStepped,
    Event,
    PollFailed,
    PollStarted,
    PollSucceeded,
    RefreshRequested,
    RequestSent,
    Restored,
    Ticked,
)
from monitor.core.model import Account, AccountState, Usage
from monitor.core.state import Policy, State
from monitor.core.update import update
from tools.simulate.record import Told, seconds

JUDGED = (AlertKind.THRESHOLD, AlertKind.RESET, AlertKind.EARLY_RESET, AlertKind.WEEK_EXPIRED)
"""Alerts of other kinds are no part of this proof."""


class Subject:
    """The program on one machine: started, killed and started again, with what it remembers."""

    def __init__(
        self, names: tuple[str, ...], thresholds: tuple[float, ...], interval: float
    ) -> None:
        self._accounts = tuple(Account(name, org_id=f"org-{name}") for name in names)
        self._policy = Policy(
            interval=timedelta(seconds=interval),
            alerts=RuleBook(
                thresholds=tuple(percent / 100 for percent in thresholds),
                rules={**DEFAULT_RULES, AlertKind.WEEK_EXPIRED: Rule()},
            ),
        )
        self._state = State(self._policy)
        self._kept = remembered(self._state)

    def start(self, at: datetime) -> None:
        restored, _ = update(State(self._policy), Restored(at, parsed(self._kept)))
        self._state, _ = update(restored, AccountsLoaded(at, self._accounts))

    def kill(self) -> None:
        self._kept = remembered(self._state)

    def due(self) -> tuple[datetime, str]:
        """When which account is to be polled next."""
        return min((a.next_poll_at, name) for name, a in self._state.accounts.items())

    def poll_started(self, at: datetime, name: str) -> list[tuple[str, Told]]:
        return [*self._told(PollStarted(at, name)), *self._told(RequestSent(at, name))]

    def poll_succeeded(
        self, at: datetime, name: str, usage: Usage, chance: float
    ) -> list[tuple[str, Told]]:
        return self._told(PollSucceeded(at, name, usage, timedelta(seconds=1), chance))

    def poll_failed(
        self, at: datetime, name: str, reason: Reason, retry_after: timedelta | None, chance: float
    ) -> list[tuple[str, Told]]:
        return self._told(
            PollFailed(
                at,
                name,
                Failure(reason, detail="simulated", retry_after=retry_after),
                jitter=chance,
            )
        )

    def refresh(self, at: datetime) -> list[tuple[str, Told]]:
        return self._told(RefreshRequested(at))

    def clock_stepped(self, at: datetime, by: float) -> list[tuple[str, Told]]:
        return self._told(ClockStepped(at, timedelta(seconds=by)))

    def _told(self, event: Event) -> list[tuple[str, Told]]:
        """Fold the event in, and let time pass; (account, alert) of each threshold, reset and week that was told."""
        self._state, alerts = update(self._state, event)
        self._state, later = update(self._state, Ticked(event.at))
        return [(a.account, _told(a)) for a in (*alerts, *later) if a.kind in JUDGED]


def _told(alert: Alert) -> Told:
    end = None if alert.resets_at is None else seconds(alert.resets_at)
    if alert.kind is AlertKind.WEEK_EXPIRED:
        return Told(alert.window, None, _percent(alert.utilization), end, is_week=True)
    if alert.threshold is None:
        return Told(alert.window)
    return Told(alert.window, _percent(alert.threshold), _percent(alert.utilization), end)


def _percent(ratio: float) -> float:
    return round(ratio * 100, 6)


def remembered(state: State) -> str:
    """What a process leaves behind, in the form of the state database."""
    return json.dumps({name: encode(AccountState, a) for name, a in state.accounts.items()})


def parsed(kept: str) -> dict[str, AccountState]:
    """What the next one takes up."""
    return {name: decode(AccountState, document) for name, document in json.loads(kept).items()}

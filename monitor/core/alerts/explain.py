"""Explains why a rule has or has not fired, and replays stored samples to see which alerts they would fire. Pure.

An explanation is read off the memory by which the alert machine decided; nothing is decided anew.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Final

from monitor.core import format
from monitor.core.alerts.conditions import (
    RESOLVED_AFTER,
    TIME_TO_ACT,
    WEEKS_GATHER_FOR,
    WORTH_A_FORECAST,
    condition_key,
)
from monitor.core.alerts.machine import CONFIRM_AFTER, FULL, LOOK_BACK, SAME_END, full_by_slope
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
from monitor.core.events import AccountsLoaded, PollSucceeded, Ticked
from monitor.core.forecast import LIKELY
from monitor.core.model import FIVE_HOURS, SEVEN_DAYS, Account, AccountState, Usage
from monitor.core.state import LoggedAlert, Policy, State
from monitor.core.update import update

_RULE_CELLS: Final = 16


def explain(
    known: AccountState,
    rules: RuleBook,
    now: datetime,
    log: Iterable[LoggedAlert] = (),
    *,
    window: str | None = None,
    zone: tzinfo | None = None,
) -> list[str]:
    """Explain each rule for each window (or the one of that key), a line each; times in `zone` (None: the machine's).

    The `log` has the newest alerts, oldest first. With a `window`, what concerns the whole account is left out.
    """
    account = known.account.name
    explainer = _Explainer(
        account, rules, now, zone, [e for e in log if e.alert.account == account]
    )
    lines: list[str] = []
    for key, memory in known.alerts.items():
        if window in (None, key):
            lines += [f"{account}  {key}", *explainer.explain_window(key, memory, known), ""]
    if window is None:
        lines += [
            account,
            *(explainer.explain_condition(kind, known.conditions) for kind in OF_ACCOUNTS),
            "",
        ]
    return lines[:-1]


def explain_all(
    conditions: Mapping[str, Condition],
    rules: RuleBook,
    now: datetime,
    zone: tzinfo | None = None,
) -> list[str]:
    """Explain the rules about all accounts together, a line each."""
    explainer = _Explainer("", rules, now, zone)
    return ["all accounts", *(explainer.explain_condition(kind, conditions) for kind in OF_ALL)]


@dataclass(frozen=True, slots=True)
class _Explainer:
    """Puts into words what is remembered of one account, at one moment."""

    account: str
    rules: RuleBook
    now: datetime
    zone: tzinfo | None
    log: Sequence[LoggedAlert] = ()

    def explain_window(self, key: str, memory: WindowMemory, known: AccountState) -> Iterator[str]:
        thresholds, end = self.rules.thresholds_of(self.account), memory.resets_at
        age = format.age(self.now - memory.at)
        peak = f", {_percent(memory.peak)} at most" if memory.peak > memory.utilization else ""
        used = f"{_percent(memory.utilization)} at {self._clock(memory.at)}"
        yield _line("sample", f"{used} ({age} ago){peak}")
        period = "no window is open"
        if end is not None:
            period = f"until {self._clock(end)} (in {format.duration(end - self.now)})"
            if end <= self.now:
                period = f"ended at {self._clock(end)}; no sample of a new one yet"
        yield _line("period", period)
        for threshold in thresholds:
            rule = threshold_rule(threshold)
            words = self._threshold(AlertKind.THRESHOLD, rule, threshold, key, memory)
            yield self._rule_line(AlertKind.THRESHOLD, key, words, rule)
        limit = f"covered by {threshold_rule(FULL)}"
        if FULL not in thresholds:
            limit = self._threshold(AlertKind.LIMIT, AlertKind.LIMIT, FULL, key, memory)
        yield self._rule_line(AlertKind.LIMIT, key, limit)
        yield self._rule_line(AlertKind.RESET, key, self._reset(memory))
        early = "no sudden drop seen"
        if memory.low_since is not None:
            early = (
                f"a low sample at {self._clock(memory.low_since)} hints at one: waits for another, "
            )
            early += f"{CONFIRM_AFTER.seconds}s later or more"
        yield self._rule_line(AlertKind.EARLY_RESET, key, early)
        yield self._rule_line(AlertKind.PACE, key, self._pace(key, memory, known))
        if key == SEVEN_DAYS:
            yield self._rule_line(AlertKind.WEEK_EXPIRED, key, self._week_expired(memory))

    def explain_condition(self, kind: AlertKind, conditions: Mapping[str, Condition]) -> str:
        condition = conditions.get(condition_key(kind))
        words = self._condition(kind, condition) if condition else "not firing: condition is false"
        return self._rule_line(kind, "", words)

    def _rule_line(self, kind: AlertKind, window: str, words: str, name: str = "") -> str:
        silence = self.rules.silence(kind, self.account, window)
        return _line(name or str(kind), f"silent: {silence}" if silence else words)

    def _threshold(
        self, kind: AlertKind, rule: str, threshold: float, key: str, memory: WindowMemory
    ) -> str:
        since = memory.reached.get(threshold)
        if threshold not in memory.told:
            if since is not None:
                return f"reached at {self._clock(since)}; {self._hold(kind, since)}"
            missing = _points(threshold - memory.utilization)
            return f"waits for {format.exact_percent(threshold)}: {missing} more"
        period = [entry for entry in reversed(self.log) if _is_of(entry.alert, key, memory)]
        own = next((one for one in period if one.alert.rule == rule), None)
        higher = next((one for one in period if (one.alert.threshold or 0) > threshold), None)
        done = "skipped: already exceeded at the first reading, or covered by a higher threshold"
        if own is not None:
            done = self._outcome(own)
        elif higher is not None:
            done = f"skipped, covered by {higher.alert.rule}: {self._outcome(higher)}"
        below = "" if since is not None else "; usage below it now does not re-arm it"
        return f"{done}; not again until the window resets{below}"

    def _outcome(self, entry: LoggedAlert) -> str:
        at = self._clock(entry.alert.at)
        if entry.is_sent:
            return f"fired at {at}"
        return f"decided at {at}, {entry.outcome or 'not sent yet'}"

    def _reset(self, memory: WindowMemory) -> str:
        lowest = min(self.rules.thresholds_of(self.account), default=None)
        if lowest is None:
            return "never fires: no thresholds are set"
        if memory.peak < lowest:
            return (
                f"will not fire: the period was at {_percent(memory.peak)} at most, "
                f"below {format.exact_percent(lowest)}"
            )
        if memory.resets_at is None:
            return "waits for a window to open"
        return (
            f"fires at the first sample after {self._clock(memory.resets_at)} that is below "
            f"{format.exact_percent(lowest)}: the period was at {_percent(memory.peak)}"
        )

    def _week_expired(self, memory: WindowMemory) -> str:
        if memory.ended_week is not None:
            ended, told_at = memory.ended_week, memory.ended_week.noticed_at + WEEKS_GATHER_FOR
            left = _percent(1 - ended.utilization)
            return f"{left} expired at {self._clock(ended.end)}: sent at {self._clock(told_at)}"
        kind = AlertKind.WEEK_EXPIRED
        last = next((one for one in reversed(self.log) if one.alert.kind is kind), None)
        outcome = f"{self._outcome(last)}; " if last else ""
        if memory.resets_at is None:
            return f"{outcome}waits for a window to open"
        left = _percent(1 - memory.utilization)
        return f"{outcome}fires after {self._clock(memory.resets_at)}: {left} is unused so far"

    def _pace(self, key: str, memory: WindowMemory, known: AccountState) -> str:
        condition = known.conditions.get(condition_key(AlertKind.PACE, key))
        if condition is not None:
            return self._condition(AlertKind.PACE, condition)
        return f"inactive: {self._why_no_pace(key, memory, known)}"

    def _why_no_pace(self, key: str, memory: WindowMemory, known: AccountState) -> str:
        """Say why the last sample did not look like a window that fills too early."""
        if memory.resets_at is None:
            return "no window is open"
        if memory.low_since is not None:
            return "the last sample was a low one, which is to be confirmed"
        if memory.utilization >= FULL:
            return "the window is full"
        early = f"{format.duration(TIME_TO_ACT, seconds=False)} before the reset"
        expected = known.forecast_of(key, self.now)
        if expected is not None:
            chance = (
                f"{format.percent(expected.run_out_probability)} likely to be full by the reset"
            )
            if expected.run_out_probability < LIKELY:
                return f"{chance}; fires from {format.exact_percent(LIKELY)} up"
            return f"{chance}, but not {early}"
        if not key.startswith(FIVE_HOURS):
            return "too early for a forecast"
        if memory.utilization < WORTH_A_FORECAST:
            return f"pace is only checked from {format.exact_percent(WORTH_A_FORECAST)} up"
        full_at = full_by_slope(memory.track)
        if full_at is None:
            least = format.duration(LOOK_BACK / 2, seconds=False)
            return f"flat, or less than {least} of data"
        words = f"at this pace full at {self._clock(full_at)}"
        if full_at + TIME_TO_ACT > memory.resets_at:
            return f"{words}, not {early}"
        return f"{words}, but not so when conditions were looked at last"

    def _condition(self, kind: AlertKind, condition: Condition) -> str:
        if condition.told_at is None:
            since = f"pending: so since {self._clock(condition.since)}"
            return f"{since}; {self._hold(kind, condition.since)}"
        told = f"sent at {self._clock(condition.told_at)}"
        if condition.ceased_at is None:
            return f"firing: so since {self._clock(condition.since)}, {told}"
        again = condition.ceased_at + RESOLVED_AFTER
        if condition.until is not None:
            again = max(again, condition.until)
        ceased = f"{told}, not so since {self._clock(condition.ceased_at)}"
        return f"resolved: {ceased}; can fire again after {self._clock(again)}"

    def _hold(self, kind: AlertKind, since: datetime) -> str:
        hold = self.rules.rule(kind).hold
        return f"fires if that is still true at {self._clock(since + hold)}"

    def _clock(self, at: datetime) -> str:
        return format.clock(at, self.now, self.zone, seconds=True)


def _is_of(alert: Alert, key: str, memory: WindowMemory) -> bool:
    """Return whether the alert is of the window's present period, whose end may have wobbled since."""
    if alert.window != key:
        return False
    if alert.period and alert.period == memory.period:
        return True  # an older version has kept no generation
    if alert.generation != memory.generation:
        return False
    if alert.resets_at is None or memory.resets_at is None:
        return alert.resets_at is memory.resets_at
    return abs(alert.resets_at - memory.resets_at) <= SAME_END


def _line(name: str, words: str) -> str:
    return f"  {name:<{_RULE_CELLS}}{words}"


def _percent(utilization: float) -> str:
    return format.percent(utilization, decimals=1)


def _points(missing: float) -> str:
    """Render points, rounded up, as the usage is rounded down."""
    return f"{math.ceil(round(missing * 1000, 6)) / 10:g} points"


def replay(samples: Iterable[tuple[str, Usage]], rules: RuleBook) -> list[Alert]:
    """Find the alerts that these samples, by accounts' names, would have led to; oldest first, from an empty state.

    What is no sample (a login that was needed, say) cannot be replayed.
    """
    state, told = State(policy=Policy(alerts=rules)), list[Alert]()
    for name, usage in samples:
        if name not in state.accounts:
            known = (one.account for one in state.accounts.values())
            state, _ = update(state, AccountsLoaded(usage.at, (*known, Account(name))))
        state, now = update(state, PollSucceeded(usage.at, name, usage, timedelta(0)))
        state, later = update(state, Ticked(usage.at))
        told += (*now, *later)
    return told

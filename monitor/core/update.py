"""Decides how each event changes the state, and which alerts it leads to: `update(state, event)` has both. Pure."""

from dataclasses import replace
from datetime import datetime, timedelta

from monitor.core import events, schedule
from monitor.core.alerts.conditions import evaluate_conditions
from monitor.core.alerts.machine import is_still_news, observe
from monitor.core.alerts.rules import Alert
from monitor.core.errors import Cause, Failure, Reason
from monitor.core.merge import (
    clear_failures,
    correct_resets,
    is_recent,
    match_renamed,
    merge_answer,
    merge_figures,
    restore,
)
from monitor.core.model import FIVE_HOURS, LONGEST_EXPECTED, AccountState, Down, Usage
from monitor.core.state import LOG_LENGTH, LoggedAlert, Policy, State

WATCHED = (
    events.PollSucceeded
    | events.FiguresSeen
    | events.AnswerSeen
    | events.PollFailed
    | events.Forecasted
    | events.Ticked
    | events.CredentialSeen
)
"""The events after which lasting conditions are looked at: those of the event's account; of all, at each tick."""


def update(state: State, event: events.Event) -> tuple[State, tuple[Alert, ...]]:
    """Return the state after the event, and the alerts to be sent; of an unknown account nothing changes."""
    try:
        state, alerts = _apply(state, event)
        if isinstance(event, WATCHED):
            account = None if isinstance(event, events.Ticked) else event.account
            state, lasting = evaluate_conditions(state, event.at, account)
            alerts = (*alerts, *lasting)
    except Exception as error:
        error.add_note(f"at the event {type(event).__name__}")  # for the report of the bug
        raise
    if not alerts or (state.muted_until is not None and event.at < state.muted_until):
        return state, ()
    entries = (LoggedAlert(alert, event.at) for alert in alerts)
    return _append_log(state, *entries), alerts


def _apply(state: State, event: events.Event) -> tuple[State, tuple[Alert, ...]]:
    """Return the state after the event, and the alerts that a sample has led to."""
    match event:
        case events.Restored():
            left = event.accounts if state.policy.polls else clear_failures(event.accounts)
            conditions = {**event.conditions, **state.conditions}
            state = replace(state, restored=left, conditions=conditions)
            state = _append_log(replace(state, log=event.log), *state.log)
        case events.PolicyChanged():
            state = _change_policy(state, event)
        case events.ReloadFailed():
            state = replace(state, reload_failed=True)
        case events.ChannelsReplaced():
            log = replace(state.notifications, channels=event.channels)
            state = replace(state, notifications=log)
        case events.AccountsLoaded():
            state = _load_accounts(state, event)
        case events.LoginSeen():
            known = event.account if event.account in state.accounts else None
            state = replace(state, logged_in=known)
        case events.RefreshRequested():
            floor, base = schedule.REFRESH_FLOOR, state.policy.interval
            chosen = state.accounts if event.account is None else {event.account}
            refreshed = {
                name: schedule.hurry(old, event.at, base, floor)
                for name, old in state.accounts.items()
                if name in chosen
            }
            state = replace(state, accounts={**state.accounts, **refreshed})
        case events.LookedAround():
            state = replace(state, looked_around=not state.policy.polls)
        case events.Notified():
            state = _record_notification(state, event)
        case events.Tested():
            state = _append_log(state, LoggedAlert(event.alert, event.at))
        case events.StorageFailed():
            state = replace(state, storage_failure=event.detail)
        case events.Muted():
            state = replace(state, muted_until=event.until)
        case events.ClockStepped():
            # A clock set back would make every sample look old and every due time far.
            state = _shift_clock(state, min(event.by, timedelta(0)))
        case events.ClockCorrected():
            by = event.offset - state.clock_offset
            state = _shift_clock(replace(state, clock_offset=event.offset), by)
        case events.Ticked():
            pass
        case _:
            if isinstance(event, events.Forecasted):
                state = replace(state, pool=event.pool)
            old = state.accounts.get(event.account)
            if old is not None:
                new, alerts = _apply_to_account(old, event, state.policy)
                if new is not old:
                    state = replace(state, accounts={**state.accounts, event.account: new})
                return state, alerts
    return state, ()


def _apply_to_account(
    old: AccountState, event: events.AccountEvent, policy: Policy
) -> tuple[AccountState, tuple[Alert, ...]]:
    base = policy.interval
    match event:
        case events.AccountIdentified():
            identity, plan = event.identity or old.identity, event.plan or old.plan
            new = replace(old, identity=identity, plan=plan)
        case events.CredentialSeen():
            new = replace(
                old,
                token_expires_at=event.token_expires_at,
                login_expires_at=event.login_expires_at,
                config_dir=event.config_dir,
            )
            if event.renewed:
                new = schedule.hurry(new, event.at, base, schedule.RENEWAL_FLOOR)
        case events.PollStarted():
            new = replace(old, polling=True, polls=old.polls + 1)
        case events.RequestsCounted():
            new = schedule.count_requests(old, event.requests, event.backoff_until, base)
        case events.RequestSent():
            new = schedule.add_request(old, event.at, base)
        case events.PollPostponed():
            new = replace(old, polling=False)
        case events.PollSucceeded():
            return _succeed(old, event, policy)
        case events.PollFailed():
            new = _fail(old, event, base)
        case events.FiguresSeen() | events.AnswerSeen():
            return _take_over_figures(old, event, policy)
        case _:
            new = replace(old, forecast=event.forecast)
    return new, ()


def _succeed(
    old: AccountState, event: events.PollSucceeded, policy: Policy
) -> tuple[AccountState, tuple[Alert, ...]]:
    seen_at = old.last_success_at
    is_recent = seen_at is not None and event.at - seen_at < LONGEST_EXPECTED
    if not event.usage.windows and is_recent and old.windows(event.at):
        # In an outage every figure of an answer may be null.
        failure = Failure(Reason.SCHEMA, Cause.NO_LIMITS)
        failed = events.PollFailed(event.at, event.account, failure, event.duration, event.jitter)
        return _fail(old, failed, policy.interval), ()
    usage = correct_resets(old.usage, event.usage)
    memories, alerts = observe(event.account, old.alerts, usage, policy.alerts)
    new = replace(
        old,
        usage=usage,
        down=None,
        last_success_at=usage.at,
        used_at=_last_use(old, usage),
        polling=False,
        poll_duration=event.duration,
        alerts=memories,
    )
    return schedule.after_success(new, event.at, policy.interval, event.jitter), alerts


def _last_use(old: AccountState, usage: Usage) -> datetime | None:
    before, now = old.window(FIVE_HOURS, usage.at), usage.window(FIVE_HOURS)
    rose = before is not None and now is not None and now.utilization > before.utilization
    return usage.at if rose else old.used_at


def _fail(old: AccountState, event: events.PollFailed, base: timedelta) -> AccountState:
    failure, reason = event.failure, event.failure.reason
    new = replace(
        old,
        down=Down(old.down.since if old.down else event.at, failure),
        polling=False,
        poll_duration=event.duration or old.poll_duration,
        failures={**old.failures, reason: old.failures.get(reason, 0) + 1},
        failures_in_a_row=old.failures_in_a_row + 1,
    )
    return schedule.after_failure(new, event.at, base, reason, failure.retry_after, event.jitter)


def _take_over_figures(
    old: AccountState, event: events.FiguresSeen | events.AnswerSeen, policy: Policy
) -> tuple[AccountState, tuple[Alert, ...]]:
    """Take over Claude Code's own figures; they leave the schedule and a failing poll as they are.

    They may be found later than they came, and so are their alerts. The alert machine sees only the windows that are
    new: a figure that was known before is no second sample.
    """
    seen = correct_resets(old.usage, replace(event.usage, at=min(event.usage.at, event.at)))
    if isinstance(event, events.AnswerSeen):
        usage, news = merge_answer(old.usage, seen, old.alerts), {w.key for w in seen.windows}
    else:
        usage = merge_figures(old.usage, seen)
        known = old.usage.windows if old.usage else ()
        news = {w.key for w in usage.windows if w not in known} if usage else set()
    if usage is None:
        return old, ()
    memories, alerts = observe(event.account, old.alerts, replace(usage, at=seen.at), policy.alerts)
    new = replace(
        old,
        usage=usage,
        last_success_at=max(old.last_success_at or usage.at, usage.at),
        used_at=_last_use(old, replace(usage, at=seen.at)),
        alerts={**old.alerts, **{key: m for key, m in memories.items() if key in news}},
    )
    return new, tuple(a for a in alerts if a.window in news and is_still_news(a, event.at))


def _change_policy(state: State, event: events.PolicyChanged) -> State:
    """Go by other settings. Where they switch polls off, local figures have been followed all along."""
    policy, before = event.policy, state.policy
    known = state.accounts if policy.polls else clear_failures(state.accounts)
    return replace(
        state,
        policy=policy,
        loaded_at=event.at,
        reload_failed=False,
        accounts={
            name: schedule.follow_interval(old, policy.interval) for name, old in known.items()
        },
        looked_around=not policy.polls and (before.polls or state.looked_around),
    )


def _load_accounts(state: State, event: events.AccountsLoaded) -> State:
    """Load accounts. A known one goes on as it was, unless its name now stands for another organization's limits.

    An account that is gone is remembered for a day: it may come back by another edit of the settings.
    """
    interval = state.policy.interval
    known = {event.renamed.get(name, name): old for name, old in state.accounts.items()}
    renamed = match_renamed(event.accounts, {**state.restored, **known})
    known = {renamed.get(name, name): old for name, old in known.items()}
    restored = {renamed.get(name, name): old for name, old in state.restored.items()}
    renamed = {**event.renamed, **renamed}
    new = [account.name for account in event.accounts if account.name not in known]
    turns = {name: turn for turn, name in enumerate(new)}
    accounts: dict[str, AccountState] = {}
    for place, account in enumerate(event.accounts):
        name = account.name
        old, left = known.get(name), restored.get(name)
        if old is not None and account.has_limits_of(old.account.org_id):
            in_flight = old.polling and old.account.name == name
            is_same = (account, in_flight) == (old.account, old.polling)
            accounts[name] = old if is_same else replace(old, account=account, polling=in_flight)
            continue
        accounts[name] = AccountState(
            account=account,
            next_poll_at=schedule.first_poll_at(event.at, turns.get(name, 0), len(turns), interval),
            interval=interval,
            phase=place / len(event.accounts),
        )
        if left is not None and account.has_limits_of(left.account.org_id):
            accounts[name] = restore(accounts[name], left, event.at, interval)
    logged_in = renamed.get(state.logged_in or "", state.logged_in)
    return replace(
        state,
        accounts=accounts,
        active=event.active,
        logged_in=logged_in if logged_in in accounts else None,
        log=tuple(entry.rename(renamed) for entry in state.log),
        restored={
            name: old
            for name, old in {**restored, **known}.items()
            if name not in accounts and is_recent(old, event.at)
        },
    )


def _record_notification(state: State, event: events.Notified) -> State:
    log = state.notifications
    known, outcome = (log.failed, event.failure) if event.failure else (log.told, event.kind)
    counts = {**known, (event.channel, outcome): known.get((event.channel, outcome), 0) + 1}
    log = replace(log, last_channel=event.channel, last_failure=event.failure)
    if event.failure:
        log = replace(log, failed=counts)
    else:
        log = replace(log, told=counts, sent_at={**log.sent_at, event.channel: event.at})
    alerts = frozenset(event.alerts)
    entries = tuple(
        entry.with_outcome(event.channel, event.failure) if entry.alert in alerts else entry
        for entry in state.log
    )
    return replace(state, log=entries, notifications=log)


def _append_log(state: State, *entries: LoggedAlert) -> State:
    return replace(state, log=(*state.log, *entries)[-LOG_LENGTH:])


def _shift_clock(state: State, by: timedelta) -> State:
    """Move all instants that were noted by the clock of before."""
    if not by:
        return state
    accounts = {name: old.shift(by) for name, old in state.accounts.items()}
    conditions = {key: c.shift(by) for key, c in state.conditions.items()}
    return replace(state, accounts=accounts, conditions=conditions)

"""How each event changes the state, and which effects it has: `update(state, event) -> (state, effects)`. Pure."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from datetime import datetime, timedelta
from functools import singledispatch

from monitor.core import restore, schedule
from monitor.core.alerts.conditions import evaluate_conditions
from monitor.core.alerts.machine import is_still_news, observe
from monitor.core.alerts.rules import RuleBook
from monitor.core.effects import Alert, Effect, Notify
from monitor.core.errors import Cause, Failure, Reason
from monitor.core.events import (
    AccountIdentified,
    AccountsLoaded,
    AnswerSeen,
    ChannelsReplaced,
    ClockCorrected,
    ClockStepped,
    CredentialSeen,
    Event,
    FiguresSeen,
    Forecasted,
    LoginSeen,
    LookedAround,
    Muted,
    Notified,
    PolicyChanged,
    PollFailed,
    PollPostponed,
    PollStarted,
    PollSucceeded,
    Recalled,
    RefreshRequested,
    ReloadFailed,
    RequestsCounted,
    RequestSent,
    Restored,
    StorageFailed,
    Tested,
    Ticked,
)
from monitor.core.merge import answered, merged, settled
from monitor.core.model import LONGEST_EXPECTED, Account, AccountState, Down, Unpolled, Up, Usage
from monitor.core.restore import Remembered
from monitor.core.state import LOG_LENGTH, LoggedAlert, NotificationLog, State

Outcome = tuple[State, tuple[Effect, ...]]


def update(state: State, event: Event) -> Outcome:
    """The state after the event, and what is to be done; an event of an unknown account changes nothing."""
    state, effects = _update(event, state)
    if not isinstance(event, WATCHED):
        return state, effects
    account = None if isinstance(event, Ticked) else event.account
    state, alerts = evaluate_conditions(state, event.at, account)
    state, fired = _fired(state, alerts, event.at)
    return state, (*effects, *fired)


WATCHED = (
    PollSucceeded | FiguresSeen | AnswerSeen | PollFailed | Forecasted | Ticked | CredentialSeen
)
"""The events after which lasting conditions are looked at: those of the event's account; of all, at each tick."""


def _fired(state: State, alerts: Sequence[Alert], at: datetime) -> Outcome:
    """The alerts in the log and as effects; none while the user wants none."""
    if not alerts or (state.muted_until is not None and at < state.muted_until):
        return state, ()
    log = (*state.log, *(LoggedAlert(alert, at) for alert in alerts))[-LOG_LENGTH:]
    return replace(state, log=log), tuple(Notify(alert) for alert in alerts)


@singledispatch
def _update(event: object, state: State) -> Outcome:  # noqa: ARG001 - the fall-back of the dispatch
    raise TypeError(f"not an event: {type(event).__name__}")


def _changed(state: State, name: str, change: Callable[[AccountState], AccountState]) -> Outcome:
    if name not in state.accounts:
        return state, ()
    accounts = {**state.accounts, name: change(state.accounts[name])}
    return replace(state, accounts=accounts), ()


@_update.register
def _recalled(event: Recalled, state: State) -> Outcome:
    """Accounts that are not loaded yet find their memory when they are."""
    log = (*event.log, *state.log)[-LOG_LENGTH:]
    waiting = replace(state, recalled=event.accounts, log=log)
    accounts = {name: _recalling(waiting, old, event.at) for name, old in state.accounts.items()}
    conditions = {**event.conditions, **state.conditions}
    return replace(waiting, accounts=accounts, conditions=conditions), ()


def _recalling(state: State, account: AccountState, at: datetime) -> AccountState:
    memory = state.recalled.get(account.account.name)
    if memory is None or not account.account.has_limits_of(memory.org_id):
        return account
    return memory.given_back(account, at)


@_update.register
def _restored(event: Restored, state: State) -> Outcome:
    return replace(state, restored=event.accounts), ()


@_update.register
def _policy_changed(event: PolicyChanged, state: State) -> Outcome:
    """The first round of polls, or of looks where there are none, is not over again unless that changes."""
    policy, before = event.policy, state.policy
    known = state.accounts if policy.polls else restore.unasked(state.accounts)
    accounts = {name: schedule.followed(old, policy.interval) for name, old in known.items()}
    looked_around = not policy.polls and (before.polls or state.looked_around)
    return replace(
        state,
        policy=policy,
        loaded_at=event.at,
        reload_failed=False,
        accounts=accounts,
        looked_around=looked_around,
    ), ()


@_update.register
def _reload_failed(_: ReloadFailed, state: State) -> Outcome:
    return replace(state, reload_failed=True), ()


@_update.register
def _channels_replaced(event: ChannelsReplaced, state: State) -> Outcome:
    log = replace(state.notifications, channels=event.channels)
    return replace(state, notifications=log), ()


@_update.register
def _accounts_loaded(event: AccountsLoaded, state: State) -> Outcome:
    """What is known of accounts that are gone waits for a day: they may come back, by another edit of the settings."""
    known = {event.renamed.get(name, name): old for name, old in state.accounts.items()}
    new = [account.name for account in event.accounts if account.name not in known]
    queue = {name: place for place, name in enumerate(new)}
    accounts = {
        account.name: _loaded(event, state, known, queue, place, account)
        for place, account in enumerate(event.accounts)
    }
    logged_in = event.renamed.get(state.logged_in or "", state.logged_in)
    gone = {name: old for name, old in known.items() if name not in accounts}
    restored = {**state.restored, **gone}
    kept = {
        name: old
        for name, old in restored.items()
        if name not in accounts and restore.is_recent(old, event.at)
    }
    recalled = {**state.recalled, **{name: Remembered.of(old) for name, old in gone.items()}}
    return replace(
        state,
        accounts=accounts,
        active=event.active,
        logged_in=logged_in if logged_in in accounts else None,
        log=tuple(entry.renamed(event.renamed) for entry in state.log),
        recalled={name: recalled[name] for name in kept if name in recalled},
        restored=kept,
    ), ()


def _loaded(
    event: AccountsLoaded,
    state: State,
    known: Mapping[str, AccountState],
    queue: Mapping[str, int],
    place: int,
    account: Account,
) -> AccountState:
    """What is known of the account goes on, unless it now speaks of another organization's limits."""
    old = known.get(account.name)
    if old is not None and account.has_limits_of(old.account.org_id):
        in_flight = old.polling and old.account.name == account.name
        return replace(old, account=account, polling=in_flight)
    interval, turn = state.policy.interval, queue.get(account.name, 0)
    fresh = AccountState(
        account=account,
        next_poll_at=schedule.first_poll_at(event.at, turn, len(queue), interval),
        interval=interval,
        phase=place / len(event.accounts),
    )
    return _recalling(state, _restoring(state, fresh, event.at), event.at)


def _restoring(state: State, fresh: AccountState, at: datetime) -> AccountState:
    old = state.restored.get(fresh.account.name)
    if old is None or not fresh.account.has_limits_of(old.account.org_id):
        return fresh
    return restore.restored(fresh, old, at, state.policy.interval)


@_update.register
def _account_identified(event: AccountIdentified, state: State) -> Outcome:
    return _changed(
        state,
        event.account,
        lambda old: replace(
            old, identity=event.identity or old.identity, plan=event.plan or old.plan
        ),
    )


@_update.register
def _credential_seen(event: CredentialSeen, state: State) -> Outcome:
    def change(old: AccountState) -> AccountState:
        new = replace(
            old,
            token_expires_at=event.token_expires_at,
            login_expires_at=event.login_expires_at,
            config_dir=event.config_dir,
        )
        if not event.renewed:
            return new
        return schedule.hurried(new, event.at, state.policy.interval, schedule.RENEWAL_FLOOR)

    return _changed(state, event.account, change)


@_update.register
def _login_seen(event: LoginSeen, state: State) -> Outcome:
    known = event.account if event.account in state.accounts else None
    return replace(state, logged_in=known), ()


@_update.register
def _refresh_requested(event: RefreshRequested, state: State) -> Outcome:
    base = state.policy.interval
    accounts = {
        name: schedule.hurried(old, event.at, base, schedule.REFRESH_FLOOR)
        if event.account in (None, name)
        else old
        for name, old in state.accounts.items()
    }
    return replace(state, accounts=accounts), ()


@_update.register
def _poll_started(event: PollStarted, state: State) -> Outcome:
    return _changed(
        state, event.account, lambda old: replace(old, polling=True, polls=old.polls + 1)
    )


@_update.register
def _requests_counted(event: RequestsCounted, state: State) -> Outcome:
    base = state.policy.interval
    return _changed(
        state,
        event.account,
        lambda old: schedule.counted(old, event.requests, event.backoff_until, base),
    )


@_update.register
def _poll_postponed(event: PollPostponed, state: State) -> Outcome:
    return _changed(state, event.account, lambda old: replace(old, polling=False))


@_update.register
def _request_sent(event: RequestSent, state: State) -> Outcome:
    base = state.policy.interval
    return _changed(state, event.account, lambda old: schedule.with_request(old, event.at, base))


@_update.register
def _poll_succeeded(event: PollSucceeded, state: State) -> Outcome:
    old = state.accounts.get(event.account)
    if old is None:
        return state, ()
    if not event.usage.windows and _has_limits(old, event.at):
        failure = Failure(Reason.SCHEMA, Cause.NO_LIMITS)
        return _poll_failed(
            PollFailed(event.at, event.account, failure, event.duration, event.jitter), state
        )
    usage = settled(old.usage, event.usage)
    memories, told = observe(event.account, old.alerts, usage, state.policy.alerts)
    new = replace(
        old,
        usage=usage,
        health=old.health if isinstance(old.health, Up) else Up(event.at),
        last_success_at=usage.at,
        polling=False,
        poll_duration=event.duration,
        alerts=memories,
    )
    new = schedule.after_success(new, event.at, state.policy.interval, event.jitter)
    state, _ = _changed(state, event.account, lambda _: new)
    return _fired(state, told, event.at)


def _has_limits(account: AccountState, at: datetime) -> bool:
    """Say whether the account had limits of late: in an outage every figure of an answer may be null."""
    seen_at = account.last_success_at
    return seen_at is not None and at - seen_at < LONGEST_EXPECTED and bool(account.windows(at))


@_update.register
def _figures_seen(event: FiguresSeen, state: State) -> Outcome:
    """Figures without a request mend no failing poll, and leave the schedule as it is."""
    old = state.accounts.get(event.account)
    seen = replace(event.usage, at=min(event.usage.at, event.at))
    seen = settled(old.usage if old else None, seen)
    usage = merged(old.usage, seen) if old is not None else None
    if old is None or usage is None:
        return state, ()
    before, new = old.usage, _shown(old, usage, event.at)
    news = {w.key for w in usage.windows if before is None or before.window(w.key) != w}
    new, told = _with_news(new, usage, news, state.policy.alerts)
    state, _ = _changed(state, event.account, lambda _: new)
    return _fired(state, told, event.at)


@_update.register
def _answer_seen(event: AnswerSeen, state: State) -> Outcome:
    """As a poll's, but for the schedule and the health; it is found later than it came, and so are its alerts."""
    old = state.accounts.get(event.account)
    seen = replace(event.usage, at=min(event.usage.at, event.at))
    seen = settled(old.usage if old else None, seen)
    usage = answered(old.usage, seen, old.alerts) if old is not None else None
    if old is None or usage is None:
        return state, ()
    new, news = _shown(old, usage, event.at), {window.key for window in seen.windows}
    new, told = _with_news(new, replace(usage, at=seen.at), news, state.policy.alerts)
    state, _ = _changed(state, event.account, lambda _: new)
    return _fired(state, [a for a in told if is_still_news(a, event.at)], event.at)


def _shown(account: AccountState, usage: Usage, at: datetime) -> AccountState:
    """The account with usage that no poll of ours has brought."""
    return replace(
        account,
        usage=usage,
        health=Up(at) if isinstance(account.health, Unpolled) else account.health,
        last_success_at=max(account.last_success_at or usage.at, usage.at),
    )


def _with_news(
    account: AccountState, usage: Usage, news: Set[str], rules: RuleBook
) -> tuple[AccountState, tuple[Alert, ...]]:
    """The alert machine sees the windows that are new: what was known before is no second sample."""
    memories, told = observe(account.account.name, account.alerts, usage, rules)
    seen = {key: memory for key, memory in memories.items() if key in news}
    alerts = tuple(alert for alert in told if alert.window in news)
    return replace(account, alerts={**account.alerts, **seen}), alerts


@_update.register
def _poll_failed(event: PollFailed, state: State) -> Outcome:
    reason = event.failure.reason

    def change(old: AccountState) -> AccountState:
        since = old.health.since if isinstance(old.health, Down) else event.at
        new = replace(
            old,
            health=Down(since, event.failure),
            polling=False,
            poll_duration=event.duration or old.poll_duration,
            failures={**old.failures, reason: old.failures.get(reason, 0) + 1},
            failures_in_a_row=old.failures_in_a_row + 1,
        )
        return schedule.after_failure(
            new, event.at, state.policy.interval, reason, event.failure.retry_after, event.jitter
        )

    return _changed(state, event.account, change)


@_update.register
def _forecasted(event: Forecasted, state: State) -> Outcome:
    state, _ = _changed(state, event.account, lambda old: replace(old, forecast=event.forecast))
    return replace(state, pool=event.pool), ()


@_update.register
def _looked_around(_: LookedAround, state: State) -> Outcome:
    return replace(state, looked_around=not state.policy.polls), ()


@_update.register
def _notified(event: Notified, state: State) -> Outcome:
    log = state.notifications
    outcome = event.failure or event.kind
    counts = dict(log.failed if event.failure else log.told)
    counts[event.channel, outcome] = counts.get((event.channel, outcome), 0) + 1
    alerts = frozenset(event.alerts)
    return replace(
        state,
        log=tuple(
            entry.after(event.channel, event.failure) if entry.alert in alerts else entry
            for entry in state.log
        ),
        notifications=NotificationLog(
            log.channels,
            told=log.told if event.failure else counts,
            failed=counts if event.failure else log.failed,
            sent_at=log.sent_at if event.failure else {**log.sent_at, event.channel: event.at},
            last_at=event.at,
            last_channel=event.channel,
            last_failure=event.failure,
        ),
    ), ()


@_update.register
def _tested(event: Tested, state: State) -> Outcome:
    log = (*state.log, LoggedAlert(event.alert, event.at))[-LOG_LENGTH:]
    return replace(state, log=log), ()


@_update.register
def _storage_failed(event: StorageFailed, state: State) -> Outcome:
    return replace(state, storage_failure=event.detail), ()


@_update.register
def _ticked(_: Ticked, state: State) -> Outcome:
    return state, ()


@_update.register
def _muted(event: Muted, state: State) -> Outcome:
    return replace(state, muted_until=event.until), ()


@_update.register
def _clock_stepped(event: ClockStepped, state: State) -> Outcome:
    """A clock set back would make every sample look old and every due time far: what is ours moves with it."""
    return (_moved(state, event.by) if event.by < timedelta(0) else state), ()


@_update.register
def _clock_corrected(event: ClockCorrected, state: State) -> Outcome:
    """What was noted by the clock of before moves with it."""
    corrected = replace(state, clock_offset=event.offset)
    return _moved(corrected, event.offset - state.clock_offset), ()


def _moved(state: State, by: timedelta) -> State:
    accounts = {name: restore.moved(old, by) for name, old in state.accounts.items()}
    conditions = {key: c.moved(by) for key, c in state.conditions.items()}
    return replace(state, accounts=accounts, conditions=conditions)

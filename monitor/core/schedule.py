"""When to poll next: interval, jitter, back-off and the server's wishes. Pure; chance comes as `jitter` in [0, 1).

What is known of the limiter (some 28 requests an hour for each account, blocks that open at 3600 s and
re-block soon after their end, Retry-After of 0) is in the wire format's sources: claude-swap's poll policy,
CodexBar and agi-cli, measured 2026-07 to 2026-09. What may be sent in an hour is `monitor.core.budget`'s.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from monitor.core.budget import BUDGET_SPAN, HOUR, in_budget
from monitor.core.errors import Reason
from monitor.core.model import AccountState, Down

JITTER: Final = 0.10
"""The share of an interval by which a poll may be late, so that accounts drift apart."""

AFTER_RESET: Final = timedelta(seconds=30)
"""The extra poll follows a reset by this, and by at most as much again."""

FIRST_STAGGER: Final = timedelta(milliseconds=40)
"""The first polls of a table's length of accounts are this far apart: their budgets are separate."""

FIRST_AT_ONCE: Final = 40
FIRST_ROUND: Final = 0.9
"""The share of the interval in which many accounts are polled first: the start takes a moment, too."""

REFRESH_FLOOR: Final = timedelta(seconds=15)
"""A refresh follows the account's last request by at least this."""

RENEWAL_FLOOR: Final = timedelta(seconds=5)
"""A poll for a renewed credential follows the account's last request by at least this."""

THROTTLED_FIRST: Final = timedelta(seconds=300)
THROTTLED_MOST: Final = timedelta(seconds=1800)
THROTTLED_INTERVAL: Final = timedelta(seconds=360)
"""The least interval within an hour of a 429."""

RETRY_AFTER_MOST: Final = HOUR
RETRY_AFTER_MARGIN: Final = timedelta(seconds=900)
"""A block that has just lapsed is often renewed for a fresh hour, so up to this is waited on top."""

RECONNECT_FIRST: Final = timedelta(seconds=15)
FAILING_MOST: Final = timedelta(seconds=1800)


def first_poll_at(now: datetime, place: int, count: int, interval: timedelta) -> datetime:
    """When the account at `place` (from 0) of `count` is polled first: soon, but not all at once."""
    spread = FIRST_ROUND * interval / max(count, 1)
    together, others = min(place, FIRST_AT_ONCE), max(place - FIRST_AT_ONCE, 0)
    return now + together * min(FIRST_STAGGER, spread) + others * min(timedelta(seconds=1), spread)


def after_success(
    state: AccountState, now: datetime, base: timedelta, jitter: float
) -> AccountState:
    """The account's schedule after a success: one interval on, sooner where a reset lies between."""
    if state.throttled_at is not None and now - state.throttled_at >= HOUR:
        state = replace(state, throttled_at=None)
    interval = _interval(state, base)
    share = 1 - 0.75 * state.phase if state.polls <= 1 else 1  # the second polls draw apart
    due = now + interval * (share + JITTER * jitter)
    due = min([due, *_after_resets(state, now, jitter)])
    return replace(
        state,
        interval=interval,
        next_poll_at=in_budget(state.requests, base, due),
        backoff_until=None,
        failures_in_a_row=0,
    )


def _interval(state: AccountState, base: timedelta) -> timedelta:
    return base if state.throttled_at is None else max(base, THROTTLED_INTERVAL)


def _after_resets(state: AccountState, now: datetime, jitter: float) -> list[datetime]:
    windows = state.usage.windows if state.usage else ()
    resets = [w.resets_at for w in windows if w.resets_at is not None and w.resets_at > now]
    return [reset + AFTER_RESET * (1 + jitter) for reset in resets]


def after_failure(
    state: AccountState,
    now: datetime,
    base: timedelta,
    reason: Reason,
    retry_after: timedelta | None,
    jitter: float,
) -> AccountState:
    """The account's schedule after a failure, the newest in a row of `state.failures_in_a_row`."""
    throttled_at = now if reason is Reason.RATE_LIMITED else state.throttled_at
    delay = _delay(reason, state.failures_in_a_row, base, retry_after, jitter)
    due = in_budget(state.requests, base, now + delay)
    binding = reason is Reason.RATE_LIMITED or retry_after is not None
    return replace(
        state,
        interval=max(delay, base),
        next_poll_at=due,
        backoff_until=due if binding else None,
        throttled_at=throttled_at,
    )


def _delay(
    reason: Reason, in_a_row: int, base: timedelta, retry_after: timedelta | None, jitter: float
) -> timedelta:
    if retry_after:
        margin = RETRY_AFTER_MARGIN if reason is Reason.RATE_LIMITED else AFTER_RESET
        return max(min(retry_after, RETRY_AFTER_MOST) + margin * jitter, base)
    if reason is Reason.RATE_LIMITED:
        return _doubled(max(THROTTLED_FIRST, base), in_a_row, THROTTLED_MOST, jitter)
    if reason is Reason.CONNECTION:
        return _doubled(RECONNECT_FIRST, in_a_row, base, jitter)
    if reason is Reason.CREDENTIALS:
        return RECONNECT_FIRST * 2 * (1 + JITTER * jitter)
    return _doubled(base, in_a_row, max(base, FAILING_MOST), jitter)


def _doubled(first: timedelta, in_a_row: int, most: timedelta, jitter: float) -> timedelta:
    doublings = min(max(in_a_row - 1, 0), 16)
    return min(first * (1 << doublings), most) * (1 + JITTER * jitter)


def refreshed(state: AccountState, now: datetime, base: timedelta) -> AccountState:
    """The schedule after the user asked for new figures: now, or as soon as server and budget allow."""
    return _hurried(state, now, base, REFRESH_FLOOR)


def renewed(state: AccountState, now: datetime, base: timedelta) -> AccountState:
    """The schedule after the account's credential was replaced: a block of the server stays in force."""
    return _hurried(state, now, base, RENEWAL_FLOOR)


def _hurried(state: AccountState, now: datetime, base: timedelta, floor: timedelta) -> AccountState:
    earliest = [now]
    if state.backoff_until is not None:
        earliest.append(state.backoff_until)
    if state.requests:
        earliest.append(state.requests[-1] + floor)
    allowed = in_budget(state.requests, base, max(earliest))
    return replace(state, next_poll_at=min(state.next_poll_at, allowed))


def is_in_turn(state: AccountState, now: datetime, base: timedelta) -> bool:
    """Whether a program that does not stay may poll: as often as one that stays would, and no more."""
    if state.backoff_until is not None and now < state.backoff_until:
        return False
    turn = state.requests[-1] + _interval(state, base) if state.requests else now
    return in_budget(state.requests, base, min(state.next_poll_at, turn)) <= now


def followed(state: AccountState, base: timedelta) -> AccountState:
    """The schedule under the interval that the settings name now: a shorter one is followed, a back-off stands."""
    interval = _least_interval(state, base)
    due = state.next_poll_at
    if interval < state.interval and state.requests:
        due = min(due, state.requests[-1] + interval)
    return replace(
        state,
        interval=max(min(state.interval, interval), base),
        next_poll_at=in_budget(state.requests, base, due),
    )


def _least_interval(state: AccountState, base: timedelta) -> timedelta:
    """What the schedule would wait for; after a failure with the most of its jitter, so that the same is no less."""
    if not isinstance(state.health, Down):
        return _interval(state, base)
    if state.backoff_until is not None:
        return max(state.interval, base)
    return max(_delay(state.health.failure.reason, state.failures_in_a_row, base, None, 1.0), base)


def taken_up(state: AccountState, now: datetime, base: timedelta, turn: datetime) -> AccountState:
    """The schedule of an earlier process, gone on with. What fell due meanwhile is polled at `turn`, one by one.

    No due time is farther off than a schedule can set it: the clock may have been another one.
    """
    latest = now + max(2 * base, RETRY_AFTER_MOST + RETRY_AFTER_MARGIN)
    state = followed(state, base)
    due = turn if state.next_poll_at <= now else min(state.next_poll_at, latest)
    return replace(
        state,
        next_poll_at=in_budget(state.requests, base, due),
        backoff_until=state.backoff_until and min(state.backoff_until, latest),
        requests=_recent(state, now),
    )


def counted(
    state: AccountState,
    requests: tuple[datetime, ...],
    backoff_until: datetime | None,
    base: timedelta,
) -> AccountState:
    """The schedule beside other processes: what they have sent counts, and what the server told them is so."""
    told = [at for at in (state.backoff_until, backoff_until) if at is not None]
    state = replace(state, requests=requests, backoff_until=max(told, default=None))
    due = max([state.next_poll_at, *told])
    return replace(state, next_poll_at=in_budget(requests, base, due))


def with_request(state: AccountState, now: datetime, base: timedelta) -> AccountState:
    """One request more, and no other one before its turn, even if nobody lives to see the answer."""
    state = replace(state, requests=(*_recent(state, now), now))
    due = max(state.next_poll_at, now + _interval(state, base))
    return replace(state, next_poll_at=in_budget(state.requests, base, due))


def _recent(state: AccountState, now: datetime) -> tuple[datetime, ...]:
    return tuple(at for at in state.requests if now - at <= BUDGET_SPAN)

"""When to poll next: interval, jitter, back-off and the server's wishes. Pure; chance comes as `jitter` in [0, 1).

What is known of the limiter (some 28 requests an hour for each account, blocks that open at 3600 s and
re-block soon after their end, Retry-After of 0) is in the wire format's sources: claude-swap's poll policy,
CodexBar and agi-cli, measured 2026-07 to 2026-09.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from monitor.core.errors import Reason
from monitor.core.model import AccountState

JITTER: Final = 0.10
"""The share of an interval by which a poll may be late, so that accounts drift apart."""

AFTER_RESET: Final = timedelta(seconds=30)
"""The extra poll follows a reset by this, and by at most as much again."""

FIRST_STAGGER: Final = timedelta(seconds=1)
"""The first polls after the start are at most this far apart."""

HOUR: Final = timedelta(hours=1)
REQUESTS_PER_HOUR: Final = 28
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
    return now + place * min(FIRST_STAGGER, interval / max(count, 1))


def after_success(
    state: AccountState, now: datetime, base: timedelta, jitter: float
) -> AccountState:
    """The account's schedule after a success: one interval on, sooner where a reset lies between."""
    interval = base
    if state.throttled_at is not None and now - state.throttled_at < HOUR:
        interval = max(base, THROTTLED_INTERVAL)
    else:
        state = replace(state, throttled_at=None)
    spread = state.phase * interval if state.polls <= 1 else interval * JITTER * jitter
    due = min([now + interval + spread, *_after_resets(state, now, jitter)])
    return replace(
        state, interval=interval, next_poll_at=due, backoff_until=None, failures_in_a_row=0
    )


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
    due = now + delay
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


def refreshed(state: AccountState, now: datetime) -> AccountState:
    """The schedule after the user asked for new figures: now, or as soon as the server's wishes allow."""
    return replace(state, next_poll_at=min(state.next_poll_at, _allowed(state, now, REFRESH_FLOOR)))


def renewed(state: AccountState, now: datetime) -> AccountState:
    """The schedule after the account's credential was replaced: a block of the server stays in force."""
    return replace(state, next_poll_at=min(state.next_poll_at, _allowed(state, now, RENEWAL_FLOOR)))


def _allowed(state: AccountState, now: datetime, floor: timedelta) -> datetime:
    """The first instant at which a request out of turn may be sent."""
    earliest = [now]
    if state.backoff_until is not None:
        earliest.append(state.backoff_until)
    if state.requests:
        earliest.append(state.requests[-1] + floor)
    if len(state.requests) >= REQUESTS_PER_HOUR:
        earliest.append(state.requests[-REQUESTS_PER_HOUR] + HOUR)
    return max(earliest)


def with_request(state: AccountState, now: datetime) -> AccountState:
    """One request more; those of more than an hour ago are forgotten."""
    recent = (*(at for at in state.requests if now - at < HOUR), now)
    return replace(state, requests=recent)

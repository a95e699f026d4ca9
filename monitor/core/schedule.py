"""Decides when to poll next, and how many requests an account may send in an hour. Pure.

The schedule follows the interval, the server's wishes and a back-off of our own; chance comes as `jitter` in [0, 1).
What is known of the limiter (some 28 requests an hour for each account, blocks that open at 3600 s and re-block soon
after their end, Retry-After of 0) is in the wire format's sources: claude-swap's poll policy, CodexBar and agi-cli,
measured 2026-07 to 2026-09.

The budget is those 28 requests, whoever asks for them. A request that follows the one before by the interval of the
settings or more is *in turn*, any other is an *extra*: a refresh, a renewed token, the poll after a reset, a
reconnection, a second try. Those in turn are at most `most_in_turn(interval)` in any hour, whatever comes between
them. An extra waits until the extras of the hour before it are fewer than what is left of the 28, or until it is in
turn. So whichever hour one looks at, its last extra saw to the number of the extras in it, and the sum is at most 28.
An interval that leaves nothing has no extras.

That holds while the interval stays. Where it is changed, those in turn of the old one and of the new one meet in one
hour: hence the second bound, which counts all requests of the hour, and which a request in turn keeps to as well,
unless the hour was past it already: then a shorter interval made it so, and waiting would bring nothing back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from monitor.core.errors import Reason
from monitor.core.model import AccountState

HOUR: Final = timedelta(hours=1)
REQUESTS_PER_HOUR: Final = 28
LEAST_INTERVAL: Final = timedelta(seconds=130)
"""A shorter one leaves no request to spare, or takes more than there are."""

BUDGET_SPAN: Final = HOUR + timedelta(seconds=5)
"""The hour of the budget: the server's begins when a request arrives, and one may be some seconds on its way."""

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
    """Say when the account at `place` (from 0) of `count` is polled first: soon, but not all at once."""
    spread = FIRST_ROUND * interval / max(count, 1)
    together, others = min(place, FIRST_AT_ONCE), max(place - FIRST_AT_ONCE, 0)
    return now + together * min(FIRST_STAGGER, spread) + others * min(timedelta(seconds=1), spread)


def after_success(
    state: AccountState, now: datetime, base: timedelta, jitter: float
) -> AccountState:
    """Schedule the next poll after a success: one interval on, sooner where a reset lies between."""
    if state.throttled_at is not None and now - state.throttled_at >= HOUR:
        state = replace(state, throttled_at=None)
    interval = _interval(state, base)
    share = 1 - 0.75 * state.phase if state.polls <= 1 else 1  # the second polls draw apart
    ends = [window.resets_at for window in state.usage.windows] if state.usage else []
    resets = [end + AFTER_RESET * (1 + jitter) for end in ends if end is not None and end > now]
    due = min([now + interval * (share + JITTER * jitter), *resets])
    return replace(
        state,
        interval=interval,
        next_poll_at=next_in_budget(state.requests, base, due),
        backoff_until=None,
        failures_in_a_row=0,
    )


def _interval(state: AccountState, base: timedelta) -> timedelta:
    return base if state.throttled_at is None else max(base, THROTTLED_INTERVAL)


def after_failure(
    state: AccountState,
    now: datetime,
    base: timedelta,
    reason: Reason,
    retry_after: timedelta | None,
    jitter: float,
) -> AccountState:
    """Schedule the next poll after a failure, the newest of `state.failures_in_a_row`."""
    throttled_at = now if reason is Reason.RATE_LIMITED else state.throttled_at
    delay = _delay(reason, state.failures_in_a_row, base, retry_after, jitter)
    due = next_in_budget(state.requests, base, now + delay)
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
    match reason:
        case Reason.RATE_LIMITED:
            first, most = max(THROTTLED_FIRST, base), THROTTLED_MOST
        case Reason.CONNECTION:
            first, most = RECONNECT_FIRST, base
        case Reason.CREDENTIALS:
            first = most = RECONNECT_FIRST * 2
        case _:
            first, most = base, max(base, FAILING_MOST)
    doublings = min(max(in_a_row - 1, 0), 16)
    return min(first * (1 << doublings), most) * (1 + JITTER * jitter)


def hurry(state: AccountState, now: datetime, base: timedelta, floor: timedelta) -> AccountState:
    """Poll as soon as may be, but not within `floor` of the last request.

    A block of the server stays in force, and so does the budget.
    """
    earliest = [now]
    if state.backoff_until is not None:
        earliest.append(state.backoff_until)
    if state.requests:
        earliest.append(state.requests[-1] + floor)
    allowed = next_in_budget(state.requests, base, max(earliest))
    return replace(state, next_poll_at=min(state.next_poll_at, allowed))


def is_in_turn(state: AccountState, now: datetime, base: timedelta) -> bool:
    """Return whether a command that polls by itself may do so: as often as a running monitor would, and no more."""
    if state.backoff_until is not None and now < state.backoff_until:
        return False
    turn = state.requests[-1] + _interval(state, base) if state.requests else now
    return next_in_budget(state.requests, base, min(state.next_poll_at, turn)) <= now


def follow_interval(state: AccountState, base: timedelta) -> AccountState:
    """Go by the interval that the settings name now: a shorter one counts at once, a back-off stands."""
    if state.down is None:
        interval = _interval(state, base)
    elif state.backoff_until is not None:
        interval = max(state.interval, base)
    else:  # with the most of its jitter, so that the same interval is no less
        reason = state.down.failure.reason
        interval = max(_delay(reason, state.failures_in_a_row, base, None, 1.0), base)
    due = state.next_poll_at
    if interval < state.interval and state.requests:
        due = min(due, state.requests[-1] + interval)
    return replace(
        state,
        interval=max(min(state.interval, interval), base),
        next_poll_at=next_in_budget(state.requests, base, due),
    )


def resume(state: AccountState, now: datetime, base: timedelta, turn: datetime) -> AccountState:
    """Go on with the schedule of an earlier process. A poll that fell due meanwhile comes at `turn`.

    No due time stays farther off than a schedule can set it: the clock may have been another one.
    """
    latest = now + max(2 * base, RETRY_AFTER_MOST + RETRY_AFTER_MARGIN)
    state = follow_interval(state, base)
    due = turn if state.next_poll_at <= now else min(state.next_poll_at, latest)
    return replace(
        state,
        next_poll_at=next_in_budget(state.requests, base, due),
        backoff_until=state.backoff_until and min(state.backoff_until, latest),
        requests=_recent(state, now),
    )


def count_requests(
    state: AccountState,
    requests: tuple[datetime, ...],
    backoff_until: datetime | None,
    base: timedelta,
) -> AccountState:
    """Take over the requests and the back-off that all processes of the user know of."""
    told = [at for at in (state.backoff_until, backoff_until) if at is not None]
    state = replace(state, requests=requests, backoff_until=max(told, default=None))
    due = max([state.next_poll_at, *told])
    return replace(state, next_poll_at=next_in_budget(requests, base, due))


def add_request(state: AccountState, now: datetime, base: timedelta) -> AccountState:
    """Count one more request, and plan the next one an interval later, even if this process dies before the answer."""
    requests = (*_recent(state, now), now)
    due = max(state.next_poll_at, now + _interval(state, base))
    return replace(state, requests=requests, next_poll_at=next_in_budget(requests, base, due))


def _recent(state: AccountState, now: datetime) -> tuple[datetime, ...]:
    return tuple(at for at in state.requests if now - at <= BUDGET_SPAN)


# The budget of an hour


@dataclass(frozen=True, slots=True)
class SentRequests:
    """An account's requests within the hour, the end of the server's back-off, and whether one more is `allowed`."""

    requests: tuple[datetime, ...] = ()
    backoff_until: datetime | None = None
    allowed: bool = False

    def decide(self, base: timedelta, now: datetime) -> "SentRequests":
        """Decide whether one more request may be sent at this moment."""
        waits = self.backoff_until is not None and now < self.backoff_until
        return replace(self, allowed=not waits and next_in_budget(self.requests, base, now) <= now)

    def shift(self, by: timedelta) -> "SentRequests":
        """Move all instants, for a clock that was set by this much."""
        until = self.backoff_until and self.backoff_until + by
        return replace(self, requests=tuple(at + by for at in self.requests), backoff_until=until)


def next_in_budget(requests: Sequence[datetime], base: timedelta, at: datetime) -> datetime:
    """Find the first instant, from `at` on, at which a request keeps to the budget (see above).

    `requests` are those of the last hour, the oldest first.
    """
    if not requests:
        return at
    turn, spare = requests[-1] + base, REQUESTS_PER_HOUR - most_in_turn(base)
    most = max(REQUESTS_PER_HOUR, most_in_turn(base))
    # Until when the hour has as many requests as it may, and until when more than that.
    full_until = requests[-most] + BUDGET_SPAN if len(requests) >= most else requests[0]
    past_until = requests[-most - 1] + BUDGET_SPAN if len(requests) > most else requests[0]
    if at < turn:
        # What is older than an hour by the time that an extra may be sent counts no more.
        extras = [later for earlier, later in pairwise(requests) if later - earlier < base]
        if spare <= 0:
            at = turn
        elif len(extras) >= spare:
            at = max(at, extras[-spare] + BUDGET_SPAN)
        at = min(max(at, requests[-1], full_until), turn)
    return at if at < past_until else max(at, full_until)


def most_in_turn(base: timedelta) -> int:
    """Return how many requests an interval by itself sends in an hour at most."""
    return BUDGET_SPAN // base + 1


def warn_over_budget(base: timedelta) -> str | None:
    """Warn of an interval that by itself is more than the usage API allows; None where it is not."""
    if base >= LEAST_INTERVAL:
        return None
    return (
        f"poll_interval_secs = {base.total_seconds():g} needs {-(-HOUR // base)} requests an hour; "
        f"the usage API allows about {REQUESTS_PER_HOUR}: expect rate limits"
    )

"""How many requests an account may send in an hour: some 28, whoever asks for them. Pure.

A request that follows the one before by the interval of the settings or more is *in turn*, any other is an *extra*: a
refresh, a renewed token, the poll after a reset, a reconnection, a second try. Those in turn are at most
`in_turn(interval)` in any hour, whatever comes between them. An extra waits until the extras of the hour before it are
fewer than what is left of the 28, or until it is in turn. So whichever hour one looks at, its last extra saw to the
number of the extras in it, and the sum is at most 28. An interval that leaves nothing has no extras.

That holds while the interval stays. Where it is changed, those in turn of the old one and of the new one meet in one
hour: hence the second bound, which counts all requests of the hour, and which a request in turn keeps to as well,
unless the hour was past it already: then a shorter interval made it so, and waiting would bring nothing back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

HOUR: Final = timedelta(hours=1)
REQUESTS_PER_HOUR: Final = 28
LEAST_INTERVAL: Final = timedelta(seconds=130)
"""A shorter one leaves no request to spare, or takes more than there are."""

BUDGET_SPAN: Final = HOUR + timedelta(seconds=5)
"""The hour of the budget: the server's begins when a request arrives, and one may be some seconds on its way."""

Requests = Sequence[datetime]
"""An account's requests of the last hour, oldest first."""


def in_turn(base: timedelta) -> int:
    """How many requests an interval by itself sends in an hour at most."""
    return BUDGET_SPAN // base + 1


def over_budget(base: timedelta) -> str | None:
    """What to say of an interval that by itself is more than the usage API allows; None where it is not."""
    if base >= LEAST_INTERVAL:
        return None
    return (
        f"poll_interval_secs = {base.total_seconds():g} sends {-(-HOUR // base)} requests an hour; "
        f"the usage API allows some {REQUESTS_PER_HOUR}: expect 429"
    )


@dataclass(frozen=True, slots=True)
class Sent:
    """What has been sent for an account within the hour, the server's word on it, and whether one more is `allowed`."""

    requests: tuple[datetime, ...] = ()
    backoff_until: datetime | None = None
    allowed: bool = False


def may_send(sent: Sent, base: timedelta, now: datetime) -> Sent:
    """The same, with a decision on one more request at this moment."""
    waits = sent.backoff_until is not None and now < sent.backoff_until
    return replace(sent, allowed=not waits and in_budget(sent.requests, base, now) <= now)


def in_budget(requests: Requests, base: timedelta, at: datetime) -> datetime:
    """The first instant, from `at` on, at which a request keeps to the budget, after these; see above."""
    if not requests:
        return at
    turn = requests[-1] + base
    full_until, past_until = _full_hour(requests, base)
    if at < turn:
        at = min(max(at, _extra_at(requests, base), full_until), turn)
    return at if at < past_until else max(at, full_until)


def _extra_at(requests: Requests, base: timedelta) -> datetime:
    """From when on an extra may be sent. What is older than an hour by then counts no more."""
    allowed = REQUESTS_PER_HOUR - in_turn(base)
    if allowed <= 0:
        return requests[-1] + base
    extras = [later for earlier, later in pairwise(requests) if later - earlier < base]
    return requests[-1] if len(extras) < allowed else extras[-allowed] + BUDGET_SPAN


def _full_hour(requests: Requests, base: timedelta) -> tuple[datetime, datetime]:
    """Until when the hour has as many requests as it may, and until when more than that."""
    most = max(REQUESTS_PER_HOUR, in_turn(base))
    long_ago = requests[0]
    full_until = requests[-most] + BUDGET_SPAN if len(requests) >= most else long_ago
    past_until = requests[-most - 1] + BUDGET_SPAN if len(requests) > most else long_ago
    return full_until, past_until

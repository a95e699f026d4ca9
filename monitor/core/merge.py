"""What was known elsewhere, merged with what is known here: Claude Code's figures, an earlier process's state. Pure.

Claude Code's figures are merged with those of the polls. Each of its terminals shows what its own last answer said, and
shows it again and again: what comes later need not be newer. Within a period usage only grows, so the highest figure is
the newest; and a period that ends sooner is over.

An answer of the usage API that it keeps has a date, and is whole: as that of a poll it is right, whatever was said
before it.

What an earlier process has left is given to the accounts that are loaded, by the clock of now.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from monitor.core.alerts.machine import SAME_END
from monitor.core.alerts.rules import WindowMemory
from monitor.core.model import Account, AccountState, Usage, Window, window_duration
from monitor.core.schedule import taken_up

NOISE: Final = 1e-6
"""Ratios closer than this are the same figure, written in another way."""

SLIDING: Final = timedelta(hours=5)
"""The windows of this length open when they are first used; a week begins and ends by itself."""

STEP: Final = timedelta(minutes=15)
"""A sliding end may be rounded: ends have been on 10-minute marks, and on full hours."""

KEPT_FOR: Final = timedelta(days=1)
"""So long an account that was removed can come back with all that was known of it."""


def settled(old: Usage | None, seen: Usage) -> Usage:
    """The usage without ends that are none, and with those that it does not tell.

    Some idle 5h windows seem to have an end that slides with the clock: an end of an empty window that has moved since
    the last answer is none. It may move in steps: until something is used, one that still lies nearly a whole window
    ahead is none either. The end of a window that has not fallen, but tells none, is the one that was known.
    """
    if old is None:
        return seen
    windows = tuple(_settled(old.window(window.key), window, seen.at) for window in seen.windows)
    return replace(seen, windows=windows) if windows != seen.windows else seen


def _settled(known: Window | None, seen: Window, at: datetime) -> Window:
    if known is None:
        return seen
    if seen.resets_at is None and 0 < known.utilization <= seen.utilization:
        goes_on = known.resets_at is not None and known.resets_at > at
        return replace(seen, resets_at=known.resets_at) if goes_on else seen
    length = window_duration(seen.key)
    if known.utilization or seen.utilization or length != SLIDING:
        return seen
    before, end = known.sliding_end or known.resets_at, seen.resets_at
    if before is None or end is None or before <= at:
        return seen
    waits = known.sliding_end is not None and end - at > length - STEP
    if end - before > SAME_END or waits:
        return replace(seen, resets_at=None, sliding_end=end)
    return seen


def merged(old: Usage | None, seen: Usage) -> Usage | None:
    """The usage with what was seen; None where that is nothing new.

    A figure of a window that has ended says nothing.
    """
    if old is not None and seen.at < old.at:
        return None
    windows = {window.key: window for window in old.windows} if old is not None else {}
    known = dict(windows)
    for window in seen.windows:
        if window.resets_at is None or window.resets_at > seen.at:
            before = known.get(window.key)
            windows[window.key] = _newer(before, window, seen.at) if before else window
    if windows == known:
        return None
    return replace(seen if old is None else old, at=seen.at, windows=tuple(windows.values()))


def _newer(known: Window, seen: Window, at: datetime) -> Window:
    """Pick the newer one. One that tells no end where an open window is known may just not have been told of it."""
    if known.resets_at is not None and seen.resets_at is not None:
        if abs(seen.resets_at - known.resets_at) > SAME_END:
            return seen if seen.resets_at > known.resets_at else known
    elif known.resets_at is not None:
        return seen if known.resets_at <= at else known
    elif seen.resets_at is not None:
        return seen
    if seen.utilization - known.utilization <= NOISE:
        return known
    return replace(known, utilization=seen.utilization)


def answered(
    old: Usage | None, answer: Usage, memories: Mapping[str, WindowMemory]
) -> Usage | None:
    """The usage with a dated answer; None where all of it was known, or newer, or it holds no limit.

    A status line may have overtaken the answer, and speaks of fewer windows: those that it left alone, as the
    `memories` of their last samples say, are the answer's.
    """
    if old is None:
        return answer
    if answer.at > old.at:
        return answer if answer.windows else None
    newer = {
        window.key: window
        for window in answer.windows
        if window.key in memories and memories[window.key].at < answer.at
    }
    windows = tuple(newer.get(window.key, window) for window in old.windows)
    return replace(old, windows=windows) if windows != old.windows else None


# What an earlier process knew


def restored(
    fresh: AccountState, old: AccountState, now: datetime, base: timedelta
) -> AccountState:
    """The loaded account with what was known of it before, which no poll under way belongs to.

    Figures and schedule may be another process's than the memory of alerts, and by another clock: each moves alone.
    """
    none_ahead = timedelta(0)
    alerts_by = min([none_ahead, *(now - memory.at for memory in old.alerts.values())])
    remembered = moved(old, alerts_by)
    known = replace(
        moved(old, min(none_ahead, now - _newest(old, now))),
        account=fresh.account,
        polling=False,
        alerts=remembered.alerts,
        conditions=remembered.conditions,
    )
    return taken_up(known, now, base, fresh.next_poll_at)


def renamed_by_hand(
    accounts: Sequence[Account], known: Mapping[str, AccountState]
) -> dict[str, str]:
    """The new names of accounts that somebody has renamed in the settings, by the old ones; none where in doubt.

    The old name is gone, nothing is known under the new one, and no other account could be meant on either side. They
    are of one organization that no other account is of, or have the token from the same place.
    """
    names = {account.name for account in accounts}
    gone = {name: old for name, old in known.items() if name not in names}
    new = [account for account in accounts if account.name not in known]
    of_org = Counter(account.org_id for account in accounts)
    pairs = [
        (name, account.name)
        for name, old in gone.items()
        for account in new
        if _may_have_been(account, old, of_org[account.org_id] == 1)
    ]
    before, after = Counter(name for name, _ in pairs), Counter(name for _, name in pairs)
    return {old: name for old, name in pairs if before[old] == after[name] == 1}


def _may_have_been(account: Account, old: AccountState, is_alone: bool) -> bool:
    """Two addresses are two persons, who may be of one organization and use one folder."""
    address, former = account.name.partition(" ")[0], old.account.name.partition(" ")[0]
    if "@" in address and "@" in former and address != former:
        return False
    is_read_alike = account.auth_method == old.account.auth_method
    if not is_read_alike or not account.has_limits_of(old.account.org_id):
        return False
    if account.org_id and old.org_id and is_alone:
        return account.org_id == old.org_id
    is_elsewhere = account.org_id and old.org_id and account.org_id != old.org_id
    return not is_elsewhere and _place(account) == _place(old.account) != ()


def _place(account: Account) -> tuple[str, ...]:
    """Name the place from which the settings take the token; empty where they do not say."""
    return account.token_command or ((account.config_dir,) if account.config_dir else ())


def unasked(accounts: Mapping[str, AccountState]) -> dict[str, AccountState]:
    """The accounts for a program that may not ask the API: that asking failed says nothing any more."""
    known = dict(accounts)
    for name, old in accounts.items():
        if old.down is not None:
            known[name] = replace(old, down=None, backoff_until=None, failures_in_a_row=0)
    return known


def is_recent(old: AccountState, now: datetime) -> bool:
    """Say if the account was polled within the last day."""
    return old.last_success_at is not None and now - _newest(old, now) < KEPT_FOR


def _newest(old: AccountState, now: datetime) -> datetime:
    """The newest instant that has been; where it is still to come, the clock was set back meanwhile."""
    since = old.down.since if old.down else None
    have_been = (*old.requests, old.last_success_at, old.throttled_at, since)
    return max((at for at in have_been if at is not None), default=now)


def moved(old: AccountState, by: timedelta) -> AccountState:
    """The account for a clock that was set by this much; what the server says keeps its instants."""
    if not by:
        return old
    return replace(
        old,
        next_poll_at=old.next_poll_at + by,
        backoff_until=old.backoff_until and old.backoff_until + by,
        throttled_at=old.throttled_at and old.throttled_at + by,
        last_success_at=old.last_success_at and old.last_success_at + by,
        used_at=old.used_at and old.used_at + by,
        usage=old.usage and replace(old.usage, at=old.usage.at + by),
        forecast=old.forecast and replace(old.forecast, at=old.forecast.at + by),
        requests=tuple(at + by for at in old.requests),
        alerts={key: memory.moved(by) for key, memory in old.alerts.items()},
        conditions={key: c.moved(by) for key, c in old.conditions.items()},
    )

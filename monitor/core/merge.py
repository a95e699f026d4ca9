"""Merges what was learned elsewhere into the state: Claude Code's figures, and an earlier process's accounts. Pure.

Claude Code's figures are merged with those of the polls. Each of its terminals shows the figures of its own last
answer, again and again: what comes later need not be newer. Within a period usage only grows, so the highest figure is
the newest; and of two periods the one that ends sooner is over.

An answer of the usage API that Claude Code keeps has a date, and is whole: it counts like that of a poll.

What an earlier process has left is given to the accounts that are loaded, with its instants moved to the present clock.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from monitor.core.alerts.machine import SAME_END
from monitor.core.alerts.rules import WindowMemory
from monitor.core.model import WINDOW, Account, AccountState, Usage, Window, window_duration
from monitor.core.schedule import resume

NOISE: Final = 1e-6
"""Ratios closer than this are the same figure, written in another way."""

STEP: Final = timedelta(minutes=15)
"""A sliding end may be rounded: ends have been on 10-minute marks, and on full hours."""

KEPT_FOR: Final = timedelta(days=1)
"""An account that was removed is remembered for so long."""


def correct_resets(old: Usage | None, seen: Usage) -> Usage:
    """Drop reset times that are not real, and fill in those that are missing.

    Some idle 5h windows seem to have an end that slides with the clock: where the end of an empty window has moved
    since the last answer, no window is open. It may move in steps: until something is used, an end that still lies
    nearly a whole window ahead does not count either. A window without an end, whose usage has not fallen, keeps the
    known one.
    """
    if old is None:
        return seen
    windows = tuple(_correct_reset(old.window(w.key), w, seen.at) for w in seen.windows)
    return replace(seen, windows=windows) if windows != seen.windows else seen


def _correct_reset(known: Window | None, seen: Window, at: datetime) -> Window:
    if known is None:
        return seen
    if seen.resets_at is None and 0 < known.utilization <= seen.utilization:
        goes_on = known.resets_at is not None and known.resets_at > at
        return replace(seen, resets_at=known.resets_at) if goes_on else seen
    length = window_duration(seen.key)
    if known.utilization or seen.utilization or length != WINDOW:  # a week begins by itself
        return seen
    before, end = known.sliding_end or known.resets_at, seen.resets_at
    if before is None or end is None or before <= at:
        return seen
    waits = known.sliding_end is not None and end - at > length - STEP
    if end - before > SAME_END or waits:
        return replace(seen, resets_at=None, sliding_end=end)
    return seen


def merge_figures(old: Usage | None, seen: Usage) -> Usage | None:
    """Merge the figures of a status line into the usage; None where they are nothing new.

    A figure of a window that has ended is ignored.
    """
    if old is not None and seen.at < old.at:
        return None
    known = {window.key: window for window in old.windows} if old is not None else {}
    windows = dict(known)
    for window in seen.windows:
        if window.resets_at is None or window.resets_at > seen.at:
            before = known.get(window.key)
            windows[window.key] = _newer(before, window, seen.at) if before else window
    if windows == known:
        return None
    return replace(seen if old is None else old, at=seen.at, windows=tuple(windows.values()))


def _newer(known: Window, seen: Window, at: datetime) -> Window:
    """Pick the newer one. Where an open window is known, figures without an end may just lack it."""
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


def merge_answer(
    old: Usage | None, answer: Usage, memories: Mapping[str, WindowMemory]
) -> Usage | None:
    """Merge a dated answer into the usage; None where it holds nothing new, or no limit.

    A status line may have come since, and names fewer windows: the others, by the instants of their last samples in
    `memories`, are taken from the answer.
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


def restore(fresh: AccountState, old: AccountState, now: datetime, base: timedelta) -> AccountState:
    """Give a freshly loaded account what was known of it before.

    Where an instant lies ahead, the clock was set back meanwhile, and all are moved by as much. The figures and the
    alert machine's memory may be of two processes with different clocks: they are moved apart.
    """
    none_ahead = timedelta(0)
    remembered = old.shift(min([none_ahead, *(now - memory.at for memory in old.alerts.values())]))
    known = replace(
        old.shift(min(none_ahead, now - _newest(old, now))),
        account=fresh.account,
        polling=False,
        alerts=remembered.alerts,
        conditions=remembered.conditions,
    )
    return resume(known, now, base, fresh.next_poll_at)


def match_renamed(accounts: Sequence[Account], known: Mapping[str, AccountState]) -> dict[str, str]:
    """Find accounts that were renamed in the settings file: their new names by the old ones.

    The old name is gone, nothing is known under the new one, and no other account could be meant on either side. Both
    are the only account of one organization, or take their token from the same place.
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
    """Return whether the loaded account may be the one that was known as `old`."""
    # Two addresses are two persons, who may be of one organization and use one folder.
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
    """Return the place from which the settings take the token; empty where they do not name one."""
    return account.token_command or ((account.config_dir,) if account.config_dir else ())


def clear_failures(accounts: Mapping[str, AccountState]) -> dict[str, AccountState]:
    """Forget failed polls, for a program that may not ask the API any more."""
    known = dict(accounts)
    for name, old in accounts.items():
        if old.down is not None:
            known[name] = replace(old, down=None, backoff_until=None, failures_in_a_row=0)
    return known


def is_recent(old: AccountState, now: datetime) -> bool:
    """Return whether the account was polled within the last day."""
    return old.last_success_at is not None and now - _newest(old, now) < KEPT_FOR


def _newest(old: AccountState, now: datetime) -> datetime:
    """Return the newest instant at which something happened to the account."""
    since = old.down.since if old.down else None
    have_been = (*old.requests, old.last_success_at, old.throttled_at, since)
    return max((at for at in have_been if at is not None), default=now)

"""Gives to a loaded account what an earlier process knew of it, and moves it with a clock that was set back. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from monitor.core.model import Account, AccountState
from monitor.core.schedule import taken_up

KEPT_FOR: Final = timedelta(days=1)
"""So long an account that was removed can come back with all that was known of it."""


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
        requests=tuple(at + by for at in old.requests),
        alerts={key: memory.moved(by) for key, memory in old.alerts.items()},
        conditions={key: c.moved(by) for key, c in old.conditions.items()},
    )

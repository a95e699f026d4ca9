"""`monitor next`: the account to use now, and why: by the running monitor's figures, by saved ones, or after a poll."""

from argparse import Namespace
from datetime import datetime

from monitor.commands.answering import Saved, by_ourselves, by_owner


def next(arguments: Namespace) -> int:
    """Say which account has the most room."""
    code = by_owner(arguments, "next")
    return by_ourselves(arguments, "next", _is_enough) if code is None else code


def _is_enough(saved: Saved, at: datetime) -> bool:
    """Whether a poll would tell little that is new."""
    interval = saved.state.policy.interval
    accounts = saved.state.accounts.values()
    fresh = all(account.values_are_fresh(at, interval) for account in accounts)
    return saved.knows_login and (fresh or saved.is_newest(at))

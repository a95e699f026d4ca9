"""`monitor next`: the account to use now, and why: by the running monitor's figures, by saved ones, or after a poll."""

from argparse import Namespace
from datetime import datetime

from monitor.commands.query_fallback import Saved, ask_locally


def next(arguments: Namespace) -> int:
    """Print the account to use."""
    return ask_locally(arguments, is_enough)


def is_enough(saved: Saved, at: datetime) -> bool:
    """True where a poll would change little."""
    interval = saved.state.policy.interval
    accounts = saved.state.accounts.values()
    fresh = all(account.values_are_fresh(at, interval) for account in accounts)
    return saved.knows_login and (fresh or saved.is_newest(at))

"""`monitor next`: the account to use now, and why: by the running monitor's figures, by saved ones, or after a poll."""

from argparse import Namespace
from datetime import datetime

from monitor import quick
from monitor.commands.answering import after_poll, by_owner, now, saved, tell
from monitor.core.state import State
from monitor.views import view


def next(arguments: Namespace) -> int:
    """Say which account has the most room."""
    code = by_owner(arguments, "next")
    if code is not None:
        return code
    if not arguments.demo:
        at, state = now(), saved(arguments).state
        if _is_fresh(state, at):
            return tell(view(state, at, quick.request_of("next", vars(arguments))))
    return after_poll(arguments, "next")


def _is_fresh(state: State, at: datetime) -> bool:
    """Whether a poll would tell little that is new."""
    accounts = state.accounts.values()
    return all(account.values_are_fresh(at, state.policy.interval) for account in accounts)

"""`monitor guard`: whether an account is still below a percentage, as an exit code. It never polls."""

from argparse import Namespace

from monitor.app.queries import answer_query
from monitor.commands.answering import now, query_of, saved, tell


def guard(arguments: Namespace) -> int:
    """0 below, 4 at or above, 5 where that cannot be known now: by saved figures, where no monitor runs."""
    state = saved(arguments).asked_for(current=arguments.account is None)
    return tell(answer_query(state, now(), query_of(arguments)))

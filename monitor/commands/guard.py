"""`monitor guard`: whether an account is still below a percentage, as an exit code. It never polls."""

from argparse import Namespace

from monitor.app.queries import answer_query
from monitor.commands.query_fallback import now, query_of, saved, write_answer


def guard(arguments: Namespace) -> int:
    """0 below, 4 at or above, 5 where that cannot be known now: by saved figures, where no monitor runs."""
    state = saved(arguments).asked_for(current=arguments.account is None)
    return write_answer(answer_query(state, now(), query_of(arguments)))

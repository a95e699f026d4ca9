"""`monitor guard`: whether an account is still below a percentage, as an exit code. It never polls."""

from argparse import Namespace

from monitor import fast_path
from monitor.app.queries import view
from monitor.commands.answering import by_owner, now, saved, tell


def guard(arguments: Namespace) -> int:
    """0 below, 4 at or above, 5 where that cannot be known now: by the running monitor, else by saved figures."""
    code = by_owner(arguments, "guard")
    if code is not None:
        return code
    state = saved(arguments).asked_for(current=arguments.account is None)
    return tell(view(state, now(), fast_path.request_of("guard", vars(arguments))))

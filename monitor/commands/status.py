"""`monitor status`: one table, one JSON document or lines of a format: of the running monitor, else after one poll."""

import sys
import time
from argparse import Namespace
from typing import TextIO

from exporters.template import DEFAULT, parse_format
from monitor import fast_path
from monitor.app.queries import lines
from monitor.commands.answering import Saved, by_ourselves, by_owner, now, saved
from monitor.core.errors import SettingsError, TrackerError

LOOK_SECS = 1.0
"""Between two looks for a monitor that runs, and for saved figures that have changed."""

QUIET_SECS = 15
"""Between two documents that tell nothing new but the time, as of a monitor that runs."""


def status(arguments: Namespace) -> int:
    """Print what is known of every account, once or (`--watch`) whenever it changes."""
    return _watch(arguments) if arguments.watch else status_table(arguments)


def status_table(arguments: Namespace) -> int:
    """The table, unless the arguments ask for another form: of the running monitor, else after one poll."""
    code = by_owner(arguments, "status")
    if code is not None:
        return code
    return by_ourselves(arguments, "status", Saved.is_newest)


def _watch(arguments: Namespace) -> int:
    """Lines for ever, for a bar that outlives the monitors: while none runs, they tell what was saved last."""
    if arguments.demo:
        raise SettingsError("--watch tells lines of a running monitor: not with --demo")
    parse_format(arguments.format or DEFAULT)  # what is wrong with it is told now
    news = _News()
    if fast_path.is_silent(vars(arguments)):
        news.tell(sys.stdout, _saved_lines(arguments))  # rather than wait for it once more
    while True:
        try:
            fast_path.streamed(vars(arguments))
        except TrackerError as error:
            if error.exit_code != 1:  # it is this command that is wrong
                raise
            news.tell(sys.stderr, f"monitor: {error}\n")
        news.tell(sys.stdout, _saved_lines(arguments))
        time.sleep(LOOK_SECS)


class _News:
    """Tells nothing twice in a row."""

    def __init__(self) -> None:
        self._told: dict[TextIO, str] = {}

    def tell(self, file: TextIO, text: str) -> None:
        if self._told.get(file) != text:
            self._told[file] = text
            file.write(text)
            file.flush()


def _saved_lines(arguments: Namespace) -> str:
    state, at = saved(arguments).asked_for(current=arguments.current), now()
    if arguments.json:  # a document tells its own time, which is no news
        at = at.replace(second=at.second - at.second % QUIET_SECS, microsecond=0)
    return lines(state, at, fast_path.request_of("lines", vars(arguments)))

"""`monitor status`: one table, one JSON document or lines of a format: of the running monitor, else after one poll."""

import sys
import time
from argparse import Namespace
from typing import TextIO

from exporters.line import DEFAULT, Format, parse_format
from monitor import quick
from monitor.commands.answering import Saved, by_ourselves, by_owner, now, saved
from monitor.core.errors import SettingsError, TrackerError
from monitor.views import lines_of

LOOK_SECS = 1.0
"""Between two looks for a monitor that runs, and for saved figures that have changed."""


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
    if arguments.demo or arguments.json:
        raise SettingsError("--watch tells lines of a running monitor: not with --demo or --json")
    form = parse_format(arguments.format or DEFAULT)
    news = _News()
    if quick.is_silent(vars(arguments)):
        news.tell(sys.stdout, _saved_lines(arguments, form))  # rather than wait for it once more
    while True:
        try:
            quick.streamed(vars(arguments))
        except TrackerError as error:
            if error.exit_code != 1:  # it is this command that is wrong
                raise
            news.tell(sys.stderr, f"monitor: {error}\n")
        news.tell(sys.stdout, _saved_lines(arguments, form))
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


def _saved_lines(arguments: Namespace, form: Format) -> str:
    account = quick.CURRENT if arguments.current else arguments.account
    state = saved(arguments).asked_for(current=arguments.current)
    return lines_of(state, now(), form, account)

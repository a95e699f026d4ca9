"""`monitor status`: one table, one JSON document or lines of a format: of the running monitor, else after one poll."""

import os
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import TextIO

from exporters.template import DEFAULT, parse_format
from monitor import fast_path
from monitor.app.queries import render_watched
from monitor.commands.queries import Reply, Saved, answer_locally, now, saved
from monitor.core.commands import WatchLines, decode_request
from monitor.core.errors import SettingsError, TrackerError
from monitor.system.files import write_whole

LOOK_SECS = 1.0
"""Between two looks for a monitor that runs, and for saved figures that have changed."""

QUIET_SECS = 15
"""Between two documents that differ only in their time, as of a running monitor."""


def status(arguments: Namespace) -> int:
    """Print what is known of every account, once or (`--watch`) whenever it changes."""
    if arguments.textfile and arguments.watch:
        raise SettingsError("--textfile writes once: not with --watch")
    if arguments.watch:
        return _watch(arguments)
    if arguments.textfile:
        return _write_textfile(arguments)
    return fast_path.write(*answer_locally(arguments, Saved.is_newest))


def status_table(arguments: Namespace) -> int:
    """The table, unless the arguments ask for another form: of the running monitor, else after one poll."""
    return fast_path.write(*_reply(arguments))


def _reply(arguments: Namespace) -> Reply:
    return fast_path.leader_reply(arguments) or answer_locally(arguments, Saved.is_newest)


def _write_textfile(arguments: Namespace) -> int:
    """Replace the file in one step. Others read it, as far as the umask lets them: that is what it is for."""
    code, text = _reply(arguments)
    if code:
        return fast_path.write(code, text)
    mask = os.umask(0o077)
    os.umask(mask)
    try:
        write_whole(Path(arguments.textfile), text, 0o666 & ~mask)
    except OSError as error:
        raise TrackerError(f"cannot write {arguments.textfile}: {error.strerror}") from error
    return 0


def _watch(arguments: Namespace) -> int:
    """Lines for ever, for a bar that outlives the monitors: while none runs, they show what was saved last."""
    if arguments.demo:
        raise SettingsError("--watch follows a running monitor: not with --demo")
    parse_format(arguments.format or DEFAULT)  # a wrong one fails now
    news = _News()
    if fast_path.is_silent(arguments):
        news.write(sys.stdout, _saved_lines(arguments))  # rather than wait for it once more
    while True:
        try:
            fast_path.stream_lines(arguments)
        except TrackerError as error:
            if error.exit_code != 1:  # it is this command that is wrong
                raise
            news.write(sys.stderr, f"monitor: {error}\n")
        news.write(sys.stdout, _saved_lines(arguments))
        time.sleep(LOOK_SECS)


class _News:
    """Writes nothing twice in a row."""

    def __init__(self) -> None:
        self._last: dict[TextIO, str] = {}

    def write(self, file: TextIO, text: str) -> None:
        if self._last.get(file) != text:
            self._last[file] = text
            file.write(text)
            file.flush()


def _saved_lines(arguments: Namespace) -> str:
    state, at = saved(arguments).asked_for(current=arguments.current), now()
    if arguments.json:  # a document holds its own time, which is no news
        at = at.replace(second=at.second - at.second % QUIET_SECS, microsecond=0)
    query = decode_request(fast_path.lines_request_of(arguments))
    assert isinstance(query, WatchLines)  # noqa: S101 - it is made to be one
    return render_watched(state, at, query)

"""Commands that answer at once ask the running monitor here, before anything heavy is imported.

A prompt or a hook waits for them, so this imports argparse, json and a socket, and neither dataclasses nor typing:
a request is the command's arguments as they are, which have the names and values of its fields.
"""

import json
import os
import select
import time
from argparse import Namespace

from monitor.ipc.client import ask, stream
from monitor.ipc.protocol import tracker_error
from monitor.paths import config_path, instance
from monitor.system.stdio import show, terminal_columns, write_error

LIMIT_SECS = 2.0
"""Limit of an answer of the running monitor, which takes some milliseconds."""

INGEST_SECS = 1.0
"""Limit of all of `monitor ingest`: Claude Code waits for it."""

MOST_INPUT = 1 << 20

FIRST_SECS = 1.0
"""Limit of the first line of a stream; after it, saved figures are shown."""

UNKNOWN = 5
"""The exit code of a guard that cannot tell."""

TERMINAL_COLUMNS = 120
"""The width of a terminal that does not report its own."""

PIPE_COLUMNS = 1000
"""The width of what is no terminal: nothing is shortened for it."""

_silent: set[str] = set()
"""The sockets whose leader did not answer in time, so that this process does not wait for it twice."""


def run_by_leader(arguments: Namespace) -> int | None:
    """Run a light command by the running monitor, and return the exit code. Raises TrackerError.

    None where none answers or a stream has ended, and where a file is to be written: the command's module goes on.
    """
    if arguments.command == "ingest":
        return ingest(arguments)
    options = vars(arguments)
    if options.get("textfile"):
        return None
    if options.get("watch") and not arguments.demo:
        stream_lines(arguments)
        return None
    reply = leader_reply(arguments)
    return None if reply is None else write(*reply)


def leader_reply(arguments: Namespace) -> tuple[int, str] | None:
    """Return the running monitor's exit code and text; None where none runs or it is silent. Raises TrackerError."""
    path = socket_of(arguments)
    if path in _silent or arguments.demo:
        return None
    try:
        reply = _ask(arguments, request_of(arguments), LIMIT_SECS)
    except Exception as error:
        if _is_silence(error):
            _silent.add(path)
            note(f"{error}: this is what was kept last")
            return None
        if arguments.command != "guard" or getattr(error, "exit_code", 0) != 1:
            raise
        reply = 1, str(error)
    if reply is not None and reply[0] == 1 and arguments.command == "guard":
        return UNKNOWN, reply[1]
    return reply


def is_silent(arguments: Namespace) -> bool:
    """Return whether the running monitor has left this process without an answer."""
    return socket_of(arguments) in _silent


def note(text: str) -> None:
    """Write one line to standard error."""
    write_error(f"monitor: {text}\n")


def socket_of(arguments: Namespace) -> str:
    """Return the path of the socket of these settings' monitor, which need not run."""
    return instance(os.environ, config_path(os.environ, arguments.config))[1]


def write(code: int, text: str) -> int:
    """Write an answer to standard output, or to standard error with an exit code other than 0; returns that."""
    if code == 0:
        show(text)
    elif text:
        note(text.rstrip())
    return code


def request_of(arguments: Namespace) -> dict[str, object]:
    """Make the request of a command, in the fields of its class in `monitor.core.commands`; others are ignored there.

    An option that was not given is left out. `monitor tui` asks as `status` does.
    """
    given = vars(arguments).items()
    fields = {name: value for name, value in given if isinstance(value, str | int | float)}
    kind = "Status" if arguments.command == "tui" else arguments.command.title()
    if fields.get("textfile"):
        fields["form"] = "textfile"
    return {**fields, "type": kind, "columns": _columns()}


def stream_lines(arguments: Namespace) -> str | None:
    """Print the running monitor's stream of lines until it ends; return the error that has ended it, if one has.

    Raises SettingsError where the command itself is wrong.
    """
    path = socket_of(arguments)
    try:
        for line in stream(path, request_of(arguments), first_secs=FIRST_SECS) or ():
            show(line.decode(errors="replace") + "\n")
    except Exception as error:
        if getattr(error, "exit_code", 0) != 1:
            raise
        if _is_silence(error):
            _silent.add(path)
        return str(error)
    return None


def ingest(arguments: Namespace) -> int:
    """Hand the figures on standard input to the running monitor; returns the exit code. Raises TrackerError.

    With a format, Claude Code shows what is printed, so a line is printed in any case, and problems go to standard
    error.
    """
    deadline = time.monotonic() + INGEST_SECS
    if arguments.format is not None:
        return _print_line(arguments, deadline)
    document = read_input(deadline)
    if not document:
        return 0
    reply = _hand_over(arguments, document, deadline)
    code, text = reply or (1, "no monitor runs that could take the figures: start `monitor serve`")
    return write(code, text if code else "")


def _print_line(arguments: Namespace, deadline: float) -> int:
    """Print the line of the account: the running monitor's, else one of the input alone. Raises TrackerError."""
    document: dict[str, object] = {}
    reply: tuple[int, str] | None = None
    try:
        document = read_input(deadline)
        reply = _hand_over(arguments, document, deadline)
        if reply is not None and reply[0] == 1 and document:
            note(reply[1].rstrip())
            reply = _hand_over(arguments, {}, deadline)  # for the line without the input
    except Exception as error:
        if getattr(error, "exit_code", 0) != 1:
            raise
        note(str(error))
    if reply is not None and reply[0] != 1:
        return write(*reply)
    from datetime import UTC, datetime

    from monitor.app.cached_state import line_of_input

    now = datetime.now(UTC)
    line, complaint = line_of_input(
        document, _config_dir(), arguments.format, arguments.config, now
    )
    if complaint and reply is None:
        note(complaint)
    return write(0, line)


def read_input(deadline: float) -> dict[str, object]:
    """Read the JSON that Claude Code writes to its status line's command. Raises TrackerError, also at the deadline."""
    if os.isatty(0):
        raise tracker_error(
            "Claude Code is to run this, as its statusLine's command: see the README"
        )
    document = b""
    while select.select([0], [], [], max(deadline - time.monotonic(), 0))[0]:
        try:
            piece = os.read(0, 65536)
        except OSError as error:
            raise tracker_error(f"standard input: {error.strerror}") from None
        if not piece:
            return parse_input(document)
        document += piece
        if len(document) > MOST_INPUT:
            raise tracker_error(f"standard input is more than {MOST_INPUT >> 20} MiB")
    raise tracker_error("standard input has not ended in time")


def parse_input(document: bytes) -> dict[str, object]:
    """Return its `rate_limits` and `session_id`; nothing before the session has limits. Raises TrackerError."""
    try:
        parsed = json.loads(document.decode("utf-8-sig", errors="replace"))
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise tracker_error("standard input is not Claude Code's status line input: a JSON object")
    limits, session = parsed.get("rate_limits"), parsed.get("session_id")
    if not isinstance(limits, dict) or not limits:
        return {}
    known = {"session_id": session} if isinstance(session, str) else {}
    return {"rate_limits": limits, **known}


def _hand_over(
    arguments: Namespace, document: dict[str, object], deadline: float
) -> tuple[int, str] | None:
    request = {
        "type": "Ingest",
        "document": document,
        "config_dir": _config_dir(),
        "format": arguments.format,
    }
    return _ask(arguments, request, max(deadline - time.monotonic(), 0.05))


def _ask(
    arguments: Namespace, request: dict[str, object], limit_secs: float
) -> tuple[int, str] | None:
    reply = ask(socket_of(arguments), request, limit_secs)
    return None if reply is None else (reply[0], reply[1].decode(errors="replace"))


def _is_silence(error: Exception) -> bool:
    from monitor.core.errors import SilentLeaderError

    return isinstance(error, SilentLeaderError)


def _columns() -> int:
    if os.environ.get("COLUMNS") or os.isatty(1):
        return terminal_columns(TERMINAL_COLUMNS)
    return PIPE_COLUMNS


def _config_dir() -> str | None:
    """Return Claude Code's folder of this environment as an absolute path; None for the default one.

    It is not normalized: on macOS a slash at the end leads to another login, and Claude Code takes ~ literally.
    """
    folder = os.environ.get("CLAUDE_CONFIG_DIR")
    if not folder or os.path.isabs(folder):
        return folder or None
    try:
        return os.path.join(os.getcwd(), folder)
    except FileNotFoundError:  # the working directory is gone, and so is the folder
        return folder

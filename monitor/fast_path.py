"""Commands that answer at once ask the running monitor here, before anything heavy is imported.

A prompt or a hook waits for them, so this imports argparse, json and a socket, and neither dataclasses nor typing:
requests are written as the plain JSON values that `monitor.core.commands` reads, to which the tests hold them.
"""

import os
import sys
import time
from argparse import Namespace

from monitor.ipc.client import ask, stream
from monitor.paths import config_path, instance
from monitor.system.stdio import complain, terminal_columns

LIMIT_SECS = 2.0
"""Limit of an answer of the running monitor, which takes some milliseconds."""

INGEST_SECS = 1.0
"""Limit of all of `monitor ingest`: Claude Code waits for it."""

FIRST_SECS = 1.0
"""Limit of the first line of a stream: who is shown the lines has others meanwhile."""

UNKNOWN = 5
"""The exit code of a guard that cannot tell."""

TERMINAL_COLUMNS = 120
"""The width of a terminal that does not know how wide it is."""

ANY_COLUMNS = 1000
"""A pipe has no width, and no words are to be left out for it."""

_silent: set[str] = set()
"""The sockets whose leader did not answer in time: this process does not wait for it again."""


def answer(arguments: Namespace) -> int | None:
    """Run `status`, `next`, `guard` or `ingest` by a running monitor; None where none answers. Raises TrackerError."""
    if arguments.command == "ingest":
        return ingest(arguments)
    if vars(arguments).get("demo"):
        return None
    if arguments.command == "status" and arguments.watch:
        _watch(arguments)
        return None
    return ask_leader(arguments)


def ask_leader(arguments: Namespace) -> int | None:
    """Print the running monitor's answer; its exit code, or None where none runs, or answers in time.

    Raises TrackerError.
    """
    path = socket_of(arguments)
    if path in _silent or vars(arguments).get("demo"):
        return None
    try:
        reply = ask(path, request_of(arguments), LIMIT_SECS)
    except Exception as error:
        if _is_silence(error):
            _silent.add(path)
            note(f"{error}: this is what was kept last")
            return None
        if arguments.command != "guard" or getattr(error, "exit_code", 0) != 1:
            raise
        reply = 1, str(error).encode()
    if reply is None:
        return None
    code = write(*reply)
    return UNKNOWN if arguments.command == "guard" and code == 1 else code


def is_silent(arguments: Namespace) -> bool:
    """Return whether the running monitor was asked, and did not answer in time."""
    return socket_of(arguments) in _silent


def note(text: str) -> None:
    """Write one line beside the answer."""
    _write(f"monitor: {text}\n".encode(errors="replace"), to_error=True)


def socket_of(arguments: Namespace) -> str:
    """Return where the monitor of these settings would listen."""
    return instance(os.environ, config_path(os.environ, arguments.config))[1]


def write(code: int, text: bytes) -> int:
    """Write an answer where it belongs, at once; returns its exit code."""
    if code == 0:
        _write(text)
    elif text:
        _write(b"monitor: " + text.rstrip() + b"\n", to_error=True)
    return code


def request_of(arguments: Namespace) -> dict[str, object]:
    """Write the request of a command in the fields of its class in `monitor.core.commands`."""
    options = vars(arguments)
    match arguments.command:
        case "guard":
            return {
                "type": "Guard",
                "account": arguments.account,
                "window": arguments.window,
                "max_utilization": arguments.max / 100,
            }
        case "next":
            forms = [form for form in ("json", "name", "config_dir") if options[form]]
            return {"type": "Next", "form": forms[0].replace("_", "-") if forms else "words"}
    form = "json" if options.get("json") else "table" if options.get("format") is None else "line"
    return {
        "type": "Status",
        "form": form,
        "format": options.get("format"),
        "account": _account(arguments),
        "columns": _columns(),
    }


def lines_request_of(arguments: Namespace) -> dict[str, object]:
    """Write the request of `status --watch`."""
    form = "json" if arguments.json else "line"
    account = _account(arguments)
    return {"type": "WatchLines", "form": form, "format": arguments.format, "account": account}


def stream_lines(arguments: Namespace) -> None:
    """Print the running monitor's stream of lines until it ends. Raises TrackerError."""
    request = lines_request_of(arguments)
    for line in stream(socket_of(arguments), request, first_secs=FIRST_SECS) or ():
        _write(line + b"\n")


def ingest(arguments: Namespace) -> int:
    """Hand the figures on standard input to the running monitor; returns the exit code. Raises TrackerError.

    Where none runs, a line is made of them all the same: Claude Code shows it.
    """
    from monitor.statusline import read_within

    deadline = time.monotonic() + INGEST_SECS
    document = read_within(deadline)
    if not document and arguments.format is None:
        return 0
    folder = _config_dir()
    request = {
        "type": "Ingest",
        "document": document,
        "config_dir": folder,
        "format": arguments.format,
    }
    reply = ask(socket_of(arguments), request, max(deadline - time.monotonic(), 0.05))
    if reply is None and arguments.format is None:
        reply = 1, b"no monitor runs that could take the figures: start `monitor serve`"
    elif reply is None:
        from datetime import UTC, datetime

        from monitor.app.cached_state import line_of_input

        now = datetime.now(UTC)
        line = line_of_input(document, folder, arguments.format, arguments.config, now)
        reply = 0, line.encode(errors="replace")
    code, text = reply
    wanted = code != 0 or arguments.format is not None  # what is printed is what Claude Code shows
    return write(code, text if wanted else b"")


def _watch(arguments: Namespace) -> None:
    """Print lines while a monitor sends them; then the full command goes on, and finds out what is wrong."""
    try:
        stream_lines(arguments)
    except Exception as error:
        if getattr(error, "exit_code", 0) != 1:
            raise
        if _is_silence(error):
            _silent.add(socket_of(arguments))


def _is_silence(error: Exception) -> bool:
    from monitor.core.errors import SilentLeaderError

    return isinstance(error, SilentLeaderError)


def _account(arguments: Namespace) -> str | None:
    """Return the name that is meant; an empty one stands for the account that Claude Code would use now."""
    if vars(arguments).get("current"):
        return ""
    account: str | None = vars(arguments).get("account")
    return account


def _columns() -> int:
    try:
        is_wide = not os.environ.get("COLUMNS") and not os.isatty(1)
    except OSError:
        is_wide = True
    return ANY_COLUMNS if is_wide else terminal_columns(TERMINAL_COLUMNS)


def _config_dir() -> str | None:
    """Return Claude Code's folder as its environment has it, wherever the monitor stands; None for the default one.

    Only joined: a slash at the end names another login on macOS, and Claude Code takes a ~ for a name.
    """
    folder = os.environ.get("CLAUDE_CONFIG_DIR")
    if not folder or os.path.isabs(folder):
        return folder or None
    try:
        return os.path.join(os.getcwd(), folder)
    except FileNotFoundError:  # the working directory is gone, and so is the folder
        return folder


def _write(text: bytes, *, to_error: bool = False) -> None:
    """Write the text, in whatever a terminal of another encoding can show of it."""
    if to_error:
        complain(text.decode(errors="replace"))
        return
    file = sys.stdout
    encoding = file.encoding or "utf-8"
    if encoding.lower() not in ("utf-8", "utf8"):
        text = text.decode(errors="replace").encode(encoding, "replace")
    file.flush()
    file.buffer.write(text)
    file.flush()

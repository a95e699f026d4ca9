"""The light path of the commands that answer at once: ask the running monitor, and leave all else to the full commands.

Imports nothing that a bare interpreter has not loaded, but for the asking itself.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    Options = Mapping[str, Any]
    Request = dict[str, Any]

LIMIT_SECS = 2.0
"""For an answer of the running monitor, which takes some milliseconds."""

INGEST_SECS = 1.0
"""For all of `monitor ingest`: Claude Code waits for it."""

FIRST_SECS = 1.0
"""For the first line of a stream: who is shown the lines has others meanwhile."""

CURRENT = ""
"""Instead of an account's name: the one that Claude Code would use now."""

UNKNOWN = 5
"""The exit code of a guard that cannot tell."""

TERMINAL_COLUMNS = 120
"""Of a terminal that does not know how wide it is."""

ANY_COLUMNS = 1000

_PLAIN = {
    "status": ({"--json", "--current", "--watch"}, {"--format", "--account", "--config"}),
    "next": ({"--json", "--name", "--config-dir"}, {"--config"}),
    "guard": (set(), {"--account", "--window", "--max", "--config"}),
    "ingest": (set(), {"--format", "--config"}),
}
"""The commands, with their flags and their options that take a value; all else is argparse's."""

_RIVALS = (
    ("json", "format"),
    ("json", "name"),
    ("json", "config_dir"),
    ("name", "config_dir"),
    ("account", "current"),
)


def answered(words: "Sequence[str]") -> int | None:
    """Run the command if it is a plain one, and a monitor runs that can answer it; its exit code, else None.

    Raises TrackerError.
    """
    options = plain_options(words)
    if options is None:
        return None
    if words[0] == "ingest":
        return ingested(options)
    if options.get("watch"):
        _watched(options)
        return None
    return asked(words[0], options)


def plain_options(words: "Sequence[str]") -> "Options | None":
    """The options by the names that argparse gives them; None where they are not as plain as can be."""
    if not words or words[0] not in _PLAIN:
        return None
    flags, valued = _PLAIN[words[0]]
    options: dict[str, object] = {}
    rest = iter(words[1:])
    for word in rest:
        name, equals, value = word.partition("=")
        if word in flags:
            options[_key(word)] = True
        elif name in valued:
            if not equals:
                value = next(rest, "")
            if not value or (value.startswith("-") and not equals):
                return None
            options[_key(name)] = value
        else:
            return None
    plain = not any(first in options and second in options for first, second in _RIVALS)
    return options if plain and _is_number(options.get("max", "0")) else None


def _key(option: str) -> str:
    return option.lstrip("-").replace("-", "_")


def _is_number(text: object) -> bool:
    """Digits, perhaps with decimals and a percent sign behind."""
    whole, dot, decimals = str(text).removesuffix("%").partition(".")
    digits = whole + decimals
    return digits.isascii() and digits.isdigit() and bool(whole) and bool(decimals or not dot)


_silent: "set[str]" = set()
"""The sockets whose owner did not answer in time: this process does not wait for it again."""


def asked(command: str, options: "Options") -> int | None:
    """Ask, and tell the answer; its exit code, or None where nobody runs, or answers in time. Raises TrackerError."""
    from monitor.ipc.client import ask

    path = own_socket(options)
    if path in _silent:
        return None
    try:
        reply = ask(path, request_of(command, options), LIMIT_SECS)
    except Exception as error:
        if is_silence(error):
            _silent.add(path)
            note(f"{error}: this is what was kept last")
            return None
        if command != "guard" or getattr(error, "exit_code", 0) != 1:
            raise
        reply = 1, str(error).encode()
    if reply is None:
        return None
    code = told(*reply)
    return UNKNOWN if command == "guard" and code == 1 else code


def is_silent(options: "Options") -> bool:
    """Whether the running monitor was asked, and did not answer in time."""
    return own_socket(options) in _silent


def is_silence(error: Exception) -> bool:
    """Whether it says that the running monitor did not answer in time."""
    from monitor.ipc.errors import SilentLeaderError

    return isinstance(error, SilentLeaderError)


def note(text: str) -> None:
    """One line beside the answer."""
    _write(sys.stderr, f"monitor: {text}\n".encode(errors="replace"))


def own_socket(options: "Options") -> str:
    """Where the monitor of these settings would listen."""
    from monitor.paths import config_path, instance

    return instance(os.environ, config_path(os.environ, options.get("config")))[1]


def told(code: int, text: bytes) -> int:
    """Write the answer where it belongs, at once; returns its exit code."""
    if code == 0:
        _write(sys.stdout, text)
    elif text:
        _write(sys.stderr, b"monitor: " + text.rstrip() + b"\n")
    return code


def _write(file: "Any", text: bytes) -> None:
    """The text, in whatever a terminal of another encoding can show of it."""
    encoding = file.encoding or "utf-8"
    if encoding.lower() not in ("utf-8", "utf8"):
        text = text.decode(errors="replace").encode(encoding, "replace")
    file.flush()
    file.buffer.write(text)
    file.flush()


def request_of(command: str, options: "Options") -> "Request":
    """What the command asks of the running monitor, from options with the names that argparse gives them."""
    return _REQUESTS[command](options)


def _status(options: "Options") -> "Request":
    form = "json" if options.get("json") else "table"
    request: Request = {"ask": "status", "form": form, "account": _account(options)}
    if options.get("format") is not None:
        return {**request, "form": "line", "format": options["format"]}
    return {**request, "columns": terminal_columns()} if form == "table" else request


def _lines(options: "Options") -> "Request":
    request = {"ask": "lines", "format": options.get("format"), "account": _account(options)}
    return {**request, "form": "json"} if options.get("json") else request


def _next(options: "Options") -> "Request":
    forms = [form for form in ("json", "name", "config_dir") if options.get(form)]
    return {"ask": "next", "form": forms[0].replace("_", "-") if forms else "words"}


def _guard(options: "Options") -> "Request":
    most = options.get("max", 100)
    return {
        "ask": "guard",
        "account": options.get("account"),
        "window": options.get("window"),
        "max": float(str(most).removesuffix("%")) if _is_number(most) else most,
    }


_REQUESTS: "dict[str, Callable[[Options], Request]]" = {
    "status": _status,
    "lines": _lines,
    "next": _next,
    "guard": _guard,
}


def _account(options: "Options") -> str | None:
    return CURRENT if options.get("current") else options.get("account")


def terminal_columns() -> int:
    """How wide a table may be: as `shutil.get_terminal_size` has it, whose import takes longer than the asking.

    A pipe has no width, and no words are to be left out for it.
    """
    try:
        columns = int(os.environ["COLUMNS"])
    except (KeyError, ValueError):
        columns = 0
    try:
        return columns if columns > 0 else os.get_terminal_size(1).columns or TERMINAL_COLUMNS
    except OSError:
        return ANY_COLUMNS


def _watched(options: "Options") -> None:
    """Print lines while somebody tells them; then the full command goes on, and finds out what is wrong."""
    try:
        streamed(options)
    except Exception as error:
        if getattr(error, "exit_code", 0) != 1:
            raise
        if is_silence(error):
            _silent.add(own_socket(options))


def streamed(options: "Options") -> None:
    """Print the stream of lines until it ends. Raises TrackerError."""
    from monitor.ipc.client import stream

    path, request = own_socket(options), request_of("lines", options)
    for line in stream(path, request, first_secs=FIRST_SECS) or ():
        _write(sys.stdout, line + b"\n")


def ingested(options: "Options") -> int:
    """Hand the figures on standard input over to the running monitor; returns the exit code. Raises TrackerError.

    Where none runs, a line is made of them all the same: Claude Code shows it.
    """
    import time

    from monitor.statusline import said_within

    deadline = time.monotonic() + INGEST_SECS
    said = said_within(deadline)
    form = options.get("format")
    if not said and form is None:
        return 0
    request = {
        "ask": "ingest",
        "document": said,
        "config_dir": _config_dir(),
        "format": form,
    }
    return _handed_over(options, request, deadline - time.monotonic())


def _config_dir() -> str | None:
    """Claude Code's folder as its environment has it, but from wherever the monitor stands; None for the default one.

    Only joined: a slash at the end names another login on macOS, and Claude Code takes a ~ for a name.
    """
    folder = os.environ.get("CLAUDE_CONFIG_DIR")
    if not folder or os.path.isabs(folder):
        return folder or None
    try:
        return os.path.join(os.getcwd(), folder)
    except FileNotFoundError:  # the working directory is gone, and so is the folder
        return folder


def _handed_over(options: "Options", request: "Request", limit_secs: float) -> int:
    from monitor.ipc.client import ask

    reply = ask(own_socket(options), request, max(limit_secs, 0.05))
    if reply is None and request["format"] is not None:
        reply = 0, _line_of(options, request).encode(errors="replace")
    elif reply is None:
        reply = 1, b"no monitor runs that could take the figures: start `monitor serve`"
    code, text = reply
    wanted = code != 0 or request["format"] is not None  # what is printed is what Claude Code shows
    return told(code, text if wanted else b"")


def _line_of(options: "Options", request: "Request") -> str:
    from datetime import UTC, datetime

    from monitor.app.cached_state import line_of_input

    said, folder, form = request["document"], request["config_dir"], request["format"]
    return line_of_input(said, folder, form, options.get("config"), datetime.now(UTC))

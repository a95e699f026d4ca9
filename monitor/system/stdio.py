"""The three standard streams, where they are closed, full or broken. Light: every command goes through this."""

import io
import os
import sys

_NAMES = ("stdin", "stdout", "stderr")


def hold_places() -> None:
    """Give each stream that was closed a stand-in, so that no file which is opened later gets its descriptor.

    Reading or writing one fails, as on a closed stream; what is said to a closed standard error is lost.
    """
    for place, name in enumerate(_NAMES):
        if getattr(sys, name) is None:
            _to_nowhere(place, os.O_RDONLY if name == "stdout" else os.O_WRONLY)
            setattr(sys, name, open(place, "w" if place else "r", closefd=False))  # noqa: SIM115


def output_trouble(last: str = "") -> OSError | None:
    """Say what keeps standard output from being written, this text at its end included.

    What was to be written is then forgotten: Python itself would try again as it exits, and end with a code of its own.
    """
    try:
        sys.stdout.write(last)
        sys.stdout.flush()
    except OSError as error:
        _to_nowhere(1)
        return error
    return None


def show(text: str) -> None:
    """Write to standard output at once, in whatever a terminal of another encoding can show of it."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    sys.stdout.write(text)
    sys.stdout.flush()


def complain(text: str) -> None:
    """Write to standard error, if that can be, without any token that was typed in a wrong place."""
    try:
        sys.stderr.write(redact(text))
        sys.stderr.flush()
    except OSError:
        _to_nowhere(2)


def redact(text: str) -> str:
    """The text without the tokens and session keys in it."""
    if "ant" not in text.lower():
        return text
    import re

    return re.sub(r"(?i)(sk-?ant-)[\w-]+", r"\1…", text)


def terminal_columns(otherwise: int) -> int:
    """Return how wide standard output is, as `shutil.get_terminal_size` does, whose import takes longer than that."""
    try:
        columns = int(os.environ["COLUMNS"])
    except (KeyError, ValueError):
        columns = 0
    if columns <= 0:
        try:
            columns = os.get_terminal_size(1).columns
        except OSError:
            columns = 0
    return columns or otherwise


def _to_nowhere(place: int, flags: int = os.O_WRONLY) -> None:
    descriptor = os.open(os.devnull, flags)
    if descriptor != place:
        os.dup2(descriptor, place)
        os.close(descriptor)


def can_move_cursor() -> bool:
    """Return whether standard output is a terminal on which what was written can be written over."""
    return os.environ.get("TERM", "") not in ("", "dumb") and sys.stdout.isatty()


def has_colours() -> bool:
    """Return whether standard output is a terminal that shows colours, and the user wants them."""
    return can_move_cursor() and not os.environ.get("NO_COLOR")

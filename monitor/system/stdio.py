"""The three standard streams, which may be closed, full or broken. Imports little: every command uses this."""

import io
import os
import sys

_NAMES = ("stdin", "stdout", "stderr")


def replace_closed_streams() -> None:
    """Put something in the place of each stream that was closed, so that no file opened later gets its descriptor.

    Reading and writing fail, as on a closed stream; what is written to a closed standard error is lost.
    """
    for place, name in enumerate(_NAMES):
        if getattr(sys, name) is None:
            _redirect_to_null(place, os.O_RDONLY if name == "stdout" else os.O_WRONLY)
            setattr(sys, name, open(place, "w" if place else "r", closefd=False))  # noqa: SIM115


def flush_output(last: str = "") -> OSError | None:
    """Write this last text and all that is buffered to standard output; return the error where that fails.

    The rest is then dropped: Python would try again as it exits, and end with an exit code of its own.
    """
    try:
        sys.stdout.write(last)
        sys.stdout.flush()
    except OSError as error:
        _redirect_to_null(1)
        return error
    return None


def show(text: str) -> None:
    """Write to standard output at once, with ? for what its encoding does not have."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    sys.stdout.write(text)
    sys.stdout.flush()


def write_error(text: str) -> None:
    """Write to standard error, if possible, without any token that was typed in a wrong place."""
    try:
        sys.stderr.write(redact(text))
        sys.stderr.flush()
    except OSError:
        _redirect_to_null(2)


def redact(text: str) -> str:
    """The text without the tokens and session keys in it."""
    if "ant" not in text.lower():
        return text
    import re

    return re.sub(r"(?i)(sk-?ant-)[\w-]+", r"\1…", text)


def terminal_columns(otherwise: int) -> int:
    """Return the width of standard output; the import of `shutil`, which can tell it too, takes longer than this."""
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


def _redirect_to_null(place: int, flags: int = os.O_WRONLY) -> None:
    descriptor = os.open(os.devnull, flags)
    if descriptor != place:
        os.dup2(descriptor, place)
        os.close(descriptor)


def can_move_cursor() -> bool:
    """Say whether standard output is a terminal that can overwrite what it shows."""
    return os.environ.get("TERM", "") not in ("", "dumb") and sys.stdout.isatty()


def has_colours() -> bool:
    """Say whether standard output is a terminal that shows colours, and the user wants them."""
    return can_move_cursor() and not os.environ.get("NO_COLOR")

"""From the words of the command line to one command's exit code; a command's module is imported when it runs."""

import os
import sys

from monitor import __version__
from monitor.system.stdio import complain, hold_places, output_trouble

TYPE_CHECKING = False  # that of `typing` would cost more than all the rest of a light command
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Sequence

INTERRUPTED = 130
FAILED = 1
BUG = 3
QUICK = ("status", "next", "guard", "ingest")
"""What answers at once where a monitor runs."""


def main(argv: "Sequence[str] | None" = None) -> int:
    """Run one command; returns its exit code. Expected failures are one line on standard error."""
    hold_places()
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:
        code = INTERRUPTED
    except SystemExit:  # argparse has said all
        if _is_written():
            raise
        return FAILED
    except Exception as error:  # noqa: BLE001 - the last resort of the whole program
        code = _failed(error)
    return code if _is_written() else code or FAILED


def _run(words: list[str]) -> int:
    if words in (["--version"], ["-V"]):
        sys.stdout.write(f"monitor {__version__}\n")
        return 0
    if words and words[0] in QUICK:
        from monitor.fast_path import answered

        code = answered(words)
        if code is not None:
            return code
    arguments = _parsed(words)
    if arguments.command is None:
        arguments.parser.print_help(sys.stderr)
        return 2
    return _command(arguments)


def _parsed(words: list[str]) -> "Namespace":
    """As argparse has it, but what is not recognized is answered by the command that it was said to."""
    from monitor.arguments import parser

    arguments, rest = parser().parse_known_args(words)
    if rest:
        unknown = " ".join(rest)
        arguments.parser.error(f"unrecognized arguments: {unknown}{_meant(arguments.parser, rest)}")
    return arguments


def _meant(parser: "ArgumentParser", rest: list[str]) -> str:
    from difflib import get_close_matches

    known = list(parser._option_string_actions)
    near = [match for word in rest for match in get_close_matches(word.partition("=")[0], known, 1)]
    return f": did you mean {' '.join(near)}?" if near else ""


def _command(arguments: "Namespace") -> int:
    from importlib import import_module

    if arguments.reads_settings and arguments.config and not vars(arguments).get("demo"):
        from monitor.paths import refuse_missing

        refuse_missing(os.environ, arguments.config)
    name = arguments.command.replace("-", "_")
    command = import_module(f"monitor.commands.{name}")
    code: int = getattr(command, name)(arguments)
    return code


def _failed(error: Exception) -> int:
    """One line for what can be expected, a report without secrets for a bug."""
    from monitor.core.errors import TrackerError

    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, TrackerError):
        complain(f"monitor: {error}\n")
        return error.exit_code
    if isinstance(error, OSError) and not _is_written("\n"):  # a long text that failed is forgotten
        return FAILED
    from monitor.system.logs import crash_report

    complain(crash_report(error))
    return BUG


def _is_written(last: str = "") -> bool:
    """Whether standard output took all, with this at its end; why not is said once, but for a reader that is gone."""
    trouble = output_trouble(last)
    if trouble is not None and not isinstance(trouble, BrokenPipeError):
        complain(f"monitor: standard output: {trouble.strerror}\n")
    return trouble is None

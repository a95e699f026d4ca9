"""Runs one command: the grammar first, then the running monitor where it can answer, then the command's module."""

import os
import sys
from argparse import Namespace
from collections.abc import Sequence

from monitor.arguments import parser
from monitor.system.stdio import flush_output, replace_closed_streams, write_error

INTERRUPTED = 130
FAILED = 1
BUG = 3
ASKS_LEADER = ("status", "next", "guard", "ingest")
"""The commands that answer at once where a monitor runs."""

SUMMARY = """\
monitor: the usage limits of several Claude accounts; on a terminal, it opens the live table
  monitor accounts import --all   add every login found on this machine
  monitor status                  print all figures once
  monitor next                    say which account to use now
  monitor serve                   poll, alert and serve /metrics without a terminal
  monitor --help                  all commands; `monitor tui --demo` shows invented accounts
"""
"""Printed by `monitor` alone where there is no terminal for the table."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Expected failures are one line on standard error."""
    replace_closed_streams()
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:
        code = INTERRUPTED
    except SystemExit:  # argparse has said all
        if _is_written():
            raise
        return FAILED
    except Exception as error:  # noqa: BLE001 - the last resort of the whole program
        code = _report(error)
    return code if _is_written() else code or FAILED


def _run(words: list[str]) -> int:
    arguments = _parse(words)
    if arguments.command is None:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            sys.stdout.write(SUMMARY)
            return 0
        arguments = _parse(["tui"])
    if arguments.command in ASKS_LEADER:
        from monitor.fast_path import run_by_leader

        code = run_by_leader(arguments)
        if code is not None:
            return code
    return _call_command(arguments)


def _parse(words: list[str]) -> Namespace:
    """Parse as argparse does, but let the command itself refuse arguments that it does not know."""
    top = parser(words[0] if words else None)
    if words:
        top.refuse_before(words[0].partition("=")[0])
    arguments, rest = top.parse_known_args(words)
    if rest:
        arguments.parser.refuse(rest)
    return arguments


def _call_command(arguments: Namespace) -> int:
    from importlib import import_module

    if arguments.reads_settings and arguments.config and not arguments.demo:
        from monitor.paths import refuse_missing

        refuse_missing(os.environ, arguments.config)
    from monitor.paths import find_session_bus

    find_session_bus(os.environ)
    module = import_module(f"monitor.commands.{arguments.module}")
    code: int = getattr(module, arguments.command.replace("-", "_"))(arguments)
    return code


def _report(error: Exception) -> int:
    """Write one line for an expected failure, or a report without secrets for a bug; returns the exit code."""
    from monitor.core.errors import SettingsError, TrackerError

    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, TrackerError):
        write_error(f"monitor: {error}\n")
        if isinstance(error, SettingsError) and error.excerpt:
            write_error(f"{error.excerpt}\n")
        return error.exit_code
    if isinstance(error, OSError) and not _is_written("\n"):  # a long text that failed is forgotten
        return FAILED
    from monitor.system.logs import crash_report

    write_error(crash_report(error))
    return BUG


def _is_written(last: str = "") -> bool:
    """Flush standard output, after writing `last`; where that fails, say why, unless the reader is gone."""
    trouble = flush_output(last)
    if trouble is not None and not isinstance(trouble, BrokenPipeError):
        write_error(f"monitor: standard output: {trouble.strerror}\n")
    return trouble is None

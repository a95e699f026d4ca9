"""Argument parsing only: a command's module is imported when that command runs."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from monitor import __version__

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

INTERRUPTED = 130
BUG = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Expected failures are one line on standard error."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words in (["--version"], ["-V"]):
        sys.stdout.write(f"monitor {__version__}\n")
        return 0
    try:
        return _run(words)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last resort of the whole program
        return _failed(error)


def _run(words: list[str]) -> int:
    arguments = _parser().parse_args(words)
    if arguments.command is None:
        _parser().print_help(sys.stderr)
        return 2
    return _command(arguments)


def _command(arguments: "Namespace") -> int:
    from importlib import import_module

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
        sys.stderr.write(f"monitor: {error}\n")
        return error.exit_code
    if isinstance(error, BrokenPipeError):
        sys.stderr.close()  # the reader is gone; nothing more is to be said
        return 1
    from monitor.logs import crash_report

    sys.stderr.write(crash_report(error))
    return BUG


def _parser() -> "ArgumentParser":
    from argparse import ArgumentParser

    parser = ArgumentParser(
        prog="monitor",
        description="Watch the 5-hour and 7-day limits of several Claude accounts.",
        epilog="exit codes: 0 done, 1 an expected failure, 2 wrong usage or settings, 3 a bug, 130 interrupted",
    )
    parser.add_argument("-V", "--version", action="version", version=f"monitor {__version__}")
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def command(name: str, words: str) -> "ArgumentParser":
        added: ArgumentParser = commands.add_parser(name, help=words, description=words)
        added.add_argument(
            "--config",
            metavar="PATH",
            help="the settings file (else $MONITOR_CONFIG, else the usual place)",
        )
        return added

    _running(command("tui", "the terminal table; also polls, serves /metrics and notifies"))
    _running(command("serve", "the same without a terminal, for a service manager"))
    status = command("status", "one table, or one JSON document, on standard output")
    status.add_argument("--json", action="store_true", help="one JSON document")
    _demo(status)
    _accounts(command("accounts", "list, import, add, edit, remove or mark accounts"))
    _alerts(command("alerts", "what fires, what would have been told, and why a rule spoke or not"))
    _mute(command("mute", "tell no alerts for a while; a running instance notices within seconds"))
    command(
        "notify-test", "send one notification through every channel, and say what became of each"
    )
    return parser


def _running(parser: "ArgumentParser") -> None:
    _demo(parser)
    parser.add_argument(
        "--listen",
        metavar="HOST:PORT",
        help="where /metrics is served, or off (else exporter.listen)",
    )
    parser.add_argument("--no-notify", action="store_true", help="tell no alerts")
    parser.add_argument(
        "--log-level",
        choices=["debug", "info", "warning", "error"],
        default="info",
        help="default: info",
    )


def _demo(parser: "ArgumentParser") -> None:
    parser.add_argument(
        "--demo",
        action="store_true",
        help="invented accounts and a simulated API; nothing of yours is touched",
    )


def _accounts(parser: "ArgumentParser") -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    verbs.add_parser("list", help="the accounts of the settings (the default)")
    importing = verbs.add_parser("import", help="import Claude Code's login")
    importing.add_argument(
        "--config-dir",
        metavar="DIR",
        help="Claude Code's configuration folder (else $CLAUDE_CONFIG_DIR or ~/.claude)",
    )
    adding = verbs.add_parser(
        "add", help="add an account by session key, which is asked for or read from standard input"
    )
    adding.add_argument("--name", required=True)
    adding.add_argument("--org-id", required=True)
    editing = verbs.add_parser(
        "edit", help="rename an account, or change its organization or session key"
    )
    editing.add_argument("account", metavar="NAME")
    editing.add_argument("--name", metavar="NEW", help="the new name")
    editing.add_argument("--org-id")
    editing.add_argument(
        "--session-key",
        action="store_true",
        help="ask for a new key, or read it from standard input",
    )
    removing = verbs.add_parser("remove", help="remove an account and its entry in the keyring")
    removing.add_argument("account", metavar="NAME")
    removing.add_argument("--yes", action="store_true", help="do not ask")
    using = verbs.add_parser("use", help="mark an account as the active one")
    using.add_argument("account", metavar="NAME")


def _alerts(parser: "ArgumentParser") -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    listing = verbs.add_parser("list", help="what fires now, and what was decided (the default)")
    replaying = verbs.add_parser(
        "replay", help="what the present rules would have told of the samples that are kept"
    )
    replaying.add_argument(
        "--demo", action="store_true", help="of the demo's accounts instead; nothing is read"
    )
    explaining = verbs.add_parser("explain", help="why each rule has or has not spoken")
    explaining.add_argument("--account", metavar="NAME", help="of this account only")
    explaining.add_argument("--window", metavar="W", help="of this window only, such as 5h")
    for verb in (listing, replaying):
        verb.add_argument(
            "--since",
            metavar="WHEN",
            help="a duration back (12h, 7d) or a date (2026-11-22T08:00); default: 1d, of the demo 1h",
        )
        verb.add_argument("--json", action="store_true", help="one JSON document")
    parser.set_defaults(since=None, json=False)


def _mute(parser: "ArgumentParser") -> None:
    parser.add_argument(
        "duration",
        metavar="DURATION",
        nargs="?",
        help="30m, 2h, 1d, or off; without it, say whether alerts are muted",
    )

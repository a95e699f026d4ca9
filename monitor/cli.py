"""Argument parsing only: a command's module is imported when that command runs."""

import os
import sys

from monitor import __version__
from monitor.streams import complain, hold_places, output_trouble

TYPE_CHECKING = False  # that of `typing` would cost more than all the rest of a light command
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _ActionsContainer, _SubParsersAction
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
        from monitor.quick import answered

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
    arguments, rest = _parser().parse_known_args(words)
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
    from monitor.logs import crash_report

    complain(crash_report(error))
    return BUG


def _is_written(last: str = "") -> bool:
    """Whether standard output took all, with this at its end; why not is said once, but for a reader that is gone."""
    trouble = output_trouble(last)
    if trouble is not None and not isinstance(trouble, BrokenPipeError):
        complain(f"monitor: standard output: {trouble.strerror}\n")
    return trouble is None


def _parser() -> "ArgumentParser":
    from argparse import ArgumentParser

    parser = ArgumentParser(
        prog="monitor",
        description="Watch the 5-hour and 7-day limits of several Claude accounts.",
        epilog="exit codes: 0 done, 1 an expected failure, 2 wrong usage or settings, 3 a bug, 130 interrupted; "
        "of guard also 4 at or above the percentage, 5 not known",
    )
    parser.add_argument("-V", "--version", action="version", version=f"monitor {__version__}")
    parser.set_defaults(command=None, parser=parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def command(name: str, words: str, *, reads_settings: bool = True) -> "ArgumentParser":
        added: ArgumentParser = commands.add_parser(name, help=words, description=words)
        added.add_argument(
            "--config",
            metavar="PATH",
            type=path,
            help="the settings file (else $MONITOR_CONFIG, else the usual place)",
        )
        added.set_defaults(reads_settings=reads_settings, parser=added)
        return added

    table = "the terminal table; also polls, serves /metrics and notifies"
    _running(command("tui", table, reads_settings=False))  # its keys make the file
    _serving(command("serve", "the same without a terminal, for a service manager"))
    _status(command("status", "one table, one JSON document or one line for each account"))
    _next(command("next", "which account to use now, and why"))
    _guard(
        command("guard", "whether an account is below a percentage: exits 0, 4 or (not known) 5")
    )
    _format(
        command(
            "ingest",
            "take over the limits that Claude Code tells its status line",
            reads_settings=False,
        )
    )
    _accounts(command("accounts", "list, import, add, edit, remove or mark accounts"))
    _alerts(command("alerts", "what fires, what would have been told, and why a rule spoke or not"))
    _mute(
        command(
            "mute",
            "tell no alerts for a while; a running instance notices within seconds",
            reads_settings=False,
        )
    )
    command(
        "reload",
        "have the running monitor read its settings anew, whole or not at all",
        reads_settings=False,
    )
    command(
        "notify-test", "send one notification through every channel, and say what became of each"
    )
    doctor = command(
        "doctor",
        "look for what is wrong on this machine, and say what mends it",
        reads_settings=False,
    )
    doctor.add_argument("--json", action="store_true", help="one JSON document")
    _service(
        command(
            "service",
            "start with your session and stay: a systemd unit or launchd agent",
            reads_settings=False,
        )
    )
    _completion(
        command("completion", "print the completion script of a shell", reads_settings=False),
        parser,
    )
    return parser


def _status(parser: "ArgumentParser") -> None:
    _demo(parser)
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="one JSON document")
    _format(forms)
    parser.add_argument(
        "--watch", action="store_true", help="lines without end: a new one whenever it differs"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--account", metavar="NAME", help="this account only")
    which.add_argument(
        "--current", action="store_true", help="only the account that Claude Code would use now"
    )


def _format(parser: "_ActionsContainer") -> None:
    parser.add_argument(
        "--format",
        metavar="F",
        help="one line for each account, such as '{name} {5h.percent}%% {5h.resets_in}'",
    )


def _next(parser: "ArgumentParser") -> None:
    _demo(parser)
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="one JSON document")
    forms.add_argument("--name", action="store_true", help="the account's name alone")
    forms.add_argument(
        "--config-dir",
        action="store_true",
        help="its folder alone, for CLAUDE_CONFIG_DIR=$(…); empty for Claude Code's default",
    )


def _guard(parser: "ArgumentParser") -> None:
    parser.add_argument(
        "--account", metavar="NAME", help="default: the one that Claude Code would use now"
    )
    parser.add_argument("--window", metavar="W", help="5h, 7d or 7d_opus; default: 5h and 7d")
    parser.add_argument("--max", metavar="PERCENT", type=percent, default=100, help="default: 100")


def path(text: str) -> str:
    """Raises ArgumentTypeError for an empty one, which a variable that is not set leaves behind."""
    if not text:
        from argparse import ArgumentTypeError

        raise ArgumentTypeError("is empty: name a file, or leave it out")
    return text


def percent(text: str) -> float:
    """Raises ValueError, which argparse words."""
    percent = float(text.removesuffix("%"))
    if not 0 <= percent < float("inf"):
        raise ValueError(text)
    return percent


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


def _serving(parser: "ArgumentParser") -> None:
    _running(parser)
    parser.add_argument(
        "--log-format",
        choices=["plain", "json"],
        default="plain",
        help="how log lines look on standard error; default: plain",
    )


def _demo(parser: "ArgumentParser") -> None:
    parser.add_argument(
        "--demo",
        action="store_true",
        help="invented accounts and a simulated API; nothing of yours is touched",
    )


def _verb(verbs: "_SubParsersAction[ArgumentParser]", name: str, words: str) -> "ArgumentParser":
    """A verb of a command; `--config` may stand behind it too, where nothing shorter is to be taken for it."""
    from argparse import SUPPRESS

    added = verbs.add_parser(name, help=words, description=words, allow_abbrev=False)
    added.add_argument(
        "--config",
        metavar="PATH",
        type=path,
        default=SUPPRESS,
        help="the settings file, as before the verb",
    )
    added.set_defaults(parser=added)
    return added


def _accounts(parser: "ArgumentParser") -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")

    def verb(name: str, words: str) -> "ArgumentParser":
        return _verb(verbs, name, words)

    listing = verb(
        "list", "the accounts of the settings, and where their tokens are had from (the default)"
    )
    listing.add_argument("--json", action="store_true", help="one JSON document")
    parser.set_defaults(json=False)
    importing = verb(
        "import", "import Claude Code's login: the one that it would use now, or those named"
    )
    importing.set_defaults(reads_settings=False)  # makes the file where it is not there yet
    which = importing.add_mutually_exclusive_group()
    which.add_argument(
        "--all",
        action="store_true",
        help="every login found on this machine; one line for each place, also where there is none",
    )
    which.add_argument(
        "--config-dir",
        metavar="DIR",
        help="that of this configuration folder (else $CLAUDE_CONFIG_DIR or ~/.claude)",
    )
    importing.add_argument(
        "--from-cswap",
        action="store_true",
        help="add the accounts that claude-swap knows, without its tokens: they wait for a login of Claude Code",
    )
    adding = verb(
        "add", "add an account by session key, which is asked for or read from standard input"
    )
    adding.set_defaults(reads_settings=False)
    adding.add_argument("--name", required=True)
    adding.add_argument("--org-id", required=True)
    editing = verb("edit", "rename an account, or change its label, organization or session key")
    _which(editing)
    editing.add_argument("--name", metavar="NEW", help="the new name")
    editing.add_argument(
        "--label", metavar="TEXT", help="what metrics call it; an empty one removes the label"
    )
    editing.add_argument("--org-id")
    editing.add_argument(
        "--session-key",
        action="store_true",
        help="ask for a new key, or read it from standard input",
    )
    removing = verb("remove", "remove an account and its entry in the keyring")
    _which(removing)
    removing.add_argument("--yes", action="store_true", help="do not ask")
    using = verb("use", "mark an account as the active one")
    _which(using)


def _which(parser: "ArgumentParser") -> None:
    parser.add_argument("account", metavar="NAME", help="the account's name or label")


def _alerts(parser: "ArgumentParser") -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    listing = _verb(verbs, "list", "what fires now, and what was decided (the default)")
    _since(listing, "1d")
    replaying = _verb(
        verbs, "replay", "what the present rules would have told of the samples that are kept"
    )
    _since(replaying, "1d, of the demo 1h")
    replaying.add_argument(
        "--demo", action="store_true", help="of the demo's accounts instead; nothing is read"
    )
    explaining = _verb(verbs, "explain", "why each rule has or has not spoken")
    explaining.add_argument("--account", metavar="NAME", help="of this account only")
    explaining.add_argument("--window", metavar="W", help="of this window only, such as 5h")
    parser.set_defaults(since=None, json=False)


def _since(parser: "ArgumentParser", default: str) -> None:
    parser.add_argument(
        "--since",
        metavar="WHEN",
        help=f"a duration back (12h, 7d) or a date (2026-11-22T08:00); default: {default}",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")


def _mute(parser: "ArgumentParser") -> None:
    parser.add_argument(
        "duration",
        metavar="DURATION",
        nargs="?",
        help="30m, 2h, 1d, or off; without it, say whether alerts are muted",
    )


def _service(parser: "ArgumentParser") -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    installing = _verb(verbs, "install", "write the service, start it now and at each login")
    installing.set_defaults(reads_settings=True)
    installing.add_argument(
        "--force", action="store_true", help="replace a service file that was edited"
    )
    verbs.add_parser("uninstall", help="stop the service and remove all of it")
    verbs.add_parser("status", help="say whether it is installed and runs (the default)")


def _completion(parser: "ArgumentParser", whole: "ArgumentParser") -> None:
    from argparse import SUPPRESS

    parser.add_argument("shell", choices=["bash", "zsh", "fish"], nargs="?", help="the shell")
    parser.add_argument("--accounts", action="store_true", help=SUPPRESS)  # what the scripts ask
    parser.set_defaults(whole=whole)

"""The grammar of the command line, as one argparse parser; it imports little, since a prompt may wait for it.

The arguments of `status`, `next`, `guard` and `run` are sent as they are, as fields of the classes of
`monitor.core.commands`: their `dest` is the field's name, and the field's default stands there.

A parsed command has a `module`, the file in `monitor/commands` with the function of its name, and `reads_settings`,
true where it fails if `--config` names a file that does not exist.
"""

import argparse
import sys
from argparse import (
    REMAINDER,
    SUPPRESS,
    Action,
    ArgumentError,
    ArgumentParser,
    ArgumentTypeError,
    HelpFormatter,
    _ActionsContainer,
    _SubParsersAction,
)
from collections.abc import Callable, Sequence
from re import fullmatch

from monitor import __version__
from monitor.system.stdio import redact, terminal_columns, write_error

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` alone would cost as much as starting an interpreter
    from typing import NoReturn

argparse._ = str  # type: ignore[attr-defined] # gettext would import locale, and has no translations

Fill = Callable[[ArgumentParser], object]

_COLUMNS = 80

NAMED = "an account by its name, its label, its number in the table, or how one of these begins"


EXAMPLES = {
    "tui": "monitor tui --demo",
    "serve": "monitor serve --log-format json",
    "status": "monitor status --json",
    "next": "monitor next --all",
    "run": "monitor run -- claude",
    "guard": "monitor guard --max 90 && claude -p 'go on'",
    "ingest": "monitor ingest --format '{5h.used} {7d.used}'",
    "accounts": "monitor accounts import --all",
    "accounts list": "monitor accounts list --json",
    "accounts import": "monitor accounts import --config-dir ~/.claude-work",
    "accounts add": "monitor accounts add --name me@example.com --org-id 65f10de7-…",
    "accounts edit": "monitor accounts edit me@example.com --label work",
    "accounts remove": "monitor accounts remove work --yes",
    "accounts use": "monitor accounts use 2",
    "alerts": "monitor alerts explain --account work",
    "alerts list": "monitor alerts list --since 7d",
    "alerts replay": "monitor alerts replay --since 30d",
    "alerts explain": "monitor alerts explain --window 5h",
    "history": "monitor history work --since 28d",
    "mute": "monitor mute 2h",
    "reload": "monitor reload",
    "notify-test": "monitor notify-test",
    "doctor": "monitor doctor",
    "service": "monitor service install",
    "service install": "monitor service install",
    "service uninstall": "monitor service uninstall",
    "service status": "monitor service status",
    "completion": 'eval "$(monitor completion bash)"',
}
"""The line with which the help of a command or of one of its verbs ends."""


class _Formatter(HelpFormatter):
    """The formatter of argparse, which makes one for each option and imports shutil to learn how wide it may be."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=terminal_columns(_COLUMNS) - 2)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Keep the lines of an epilog apart, so that an example can be copied."""
        fill = super()._fill_text
        return "\n".join(fill(line, width, indent) for line in text.splitlines())


class Parser(ArgumentParser):
    """An argparse parser whose errors are short and suggest what may have been meant."""

    def __init__(self, prog: str, **options: str | bool) -> None:
        super().__init__(prog, formatter_class=_Formatter, **options)  # type: ignore[arg-type]

    def _check_value(self, action: Action, value: str) -> None:
        """Suggest the nearest choice, where argparse would list all commands."""
        if action.choices is None or value in action.choices:
            return
        from difflib import get_close_matches

        near = get_close_matches(value, list(action.choices), n=1)
        instead = f"did you mean {near[0]!r}?" if near else f"see `{self.prog} --help`"
        if isinstance(action, _SubParsersAction):
            raise ArgumentError(None, f"there is no command {value!r}: {instead}")
        known = ", ".join(map(str, action.choices))
        raise ArgumentError(action, f"{value!r} is none of {known}")

    def refuse_before(self, option: str) -> None:
        """Exit with code 2 where the first argument is an option that only commands may have."""
        known = list(self._option_string_actions)
        if option.startswith("--") and not any(one.startswith(option) for one in known):
            example = f"{self.prog} status --config PATH"
            self.refuse([option], f": options stand after the command, as in `{example}`")

    def refuse(self, rest: Sequence[str], advice: str = "") -> "NoReturn":
        """Exit with code 2, and suggest flags for the arguments that were not recognized, else give the advice."""
        from difflib import get_close_matches

        known = list(self._option_string_actions)
        words = (word.partition("=")[0] for word in rest)
        near = [match for word in words for match in get_close_matches(word, known, 1)]
        meant = f": did you mean {' '.join(near)}?" if near else advice
        self.error(f"unrecognized arguments: {' '.join(rest)}{meant}")

    def _print_message(self, message: str, file: object = None) -> None:
        """Print without tokens, which an error may quote; standard error may be closed."""
        if file is None or file is sys.stderr:
            write_error(message)
        else:
            super()._print_message(message, file)  # type: ignore[arg-type]


def parser(wanted: str | None = None) -> Parser:
    """Return the parser of all commands; a parsed command's own parser is its attribute `parser`.

    With the name of a `wanted` command it has only that one: building them all takes longer than most answers.
    """
    top = Parser(
        prog="monitor",
        description="Watch the 5-hour and 7-day limits of several Claude accounts.",
        epilog="exit codes: 0 done, 1 an expected failure, 2 wrong usage or settings, 3 a bug, 130 interrupted; "
        "of guard and run also 4 no room, 5 unknown\nexample: monitor tui --demo",
    )
    top.add_argument("-V", "--version", action="version", version=f"monitor {__version__}")
    top.set_defaults(command=None, parser=top, demo=False)
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    known = () if wanted in ("-V", "--version") else _commands()
    for name, words, fill, module, reads in [one for one in known if one[0] == wanted] or known:
        command = commands.add_parser(name, help=words, description=words)
        command.epilog = _example(command)
        words = "the settings file (else $MONITOR_CONFIG, else the usual place)"
        _option(command, "--config", "PATH", words, type=path)
        command.set_defaults(module=module, reads_settings=reads, parser=command)
        fill(command)
    return top


def _commands() -> tuple[tuple[str, str, Fill, str, bool], ...]:
    """Return each command's name, help, function that adds its arguments, `module`, and `reads_settings`."""
    # fmt: off
    return (
        ("tui", "live table (polls, alerts and serves /metrics)", _running, "tui", False),
        ("serve", "the same without a terminal, for a service manager", _serving, "serve", True),
        ("status", "one table, one JSON document or one line for each account", _status, "queries", True),
        ("next", "which account to use now, and why", _next, "queries", True),
        ("run", "run a command as the account to use now; exit 4 if it has no room", _run, "queries", True),
        ("guard", "check a limit in scripts: exit 0 below, 4 at or above it, 5 unknown", _guard, "queries", True),
        ("ingest", "take usage from Claude Code's status line (stdin)", _format, "", False),
        ("accounts", "list, import, add, edit, remove or mark accounts", _accounts, "accounts", True),
        ("alerts", "list, replay or explain alerts", _alerts, "alerts", True),
        ("history", "a chart of the past, its samples for other programs, or import older ones",
            _history, "history", True),
        ("mute", "silence alerts for a while", _mute, "orders", False),
        ("reload", "reload settings in the running monitor", _nothing, "orders", False),
        ("notify-test", "send a test notification through every channel", _nothing, "orders", True),
        ("doctor", "diagnose problems and suggest fixes", _doctor, "doctor", False),
        ("service", "run in the background (systemd or launchd)", _service, "serve", False),
        ("completion", "print the completion script of a shell", _completion, "completion", False),
    )
    # fmt: on


def _example(command: ArgumentParser) -> str:
    return f"example: {EXAMPLES[command.prog.removeprefix('monitor ')]}"


def _nothing(_: ArgumentParser) -> None:
    """Add nothing: the command has no argument but `--config`."""


def _flag(parser: _ActionsContainer, name: str, words: str) -> None:
    parser.add_argument(name, action="store_true", help=words)


def _option(
    parser: _ActionsContainer, name: str, metavar: str | None, words: str, **more: object
) -> None:
    parser.add_argument(name, metavar=metavar, help=words, **more)  # type: ignore[arg-type]


def _json(parser: _ActionsContainer) -> None:
    _flag(parser, "--json", "one JSON document")


def _form(parser: _ActionsContainer, form: str, words: str) -> None:
    parser.add_argument(f"--{form}", dest="form", action="store_const", const=form, help=words)


def _status(parser: ArgumentParser) -> None:
    _demo(parser)
    forms = parser.add_mutually_exclusive_group()
    _form(forms, "json", "one JSON document")
    _format(forms)
    words = "write the metrics to a file, for node_exporter's textfile collector"
    _option(forms, "--textfile", "PATH", words)
    _flag(parser, "--watch", "keep running; print a line on every change")
    which = parser.add_mutually_exclusive_group()
    _option(which, "--account", "NAME", "only this account (name, label or number)")
    words = "only the account that Claude Code would use now"
    which.add_argument("--current", dest="account", action="store_const", const="", help=words)


def _format(parser: _ActionsContainer) -> None:
    words = "one line for each account, such as '{name} {5h.percent}%% {5h.resets_in}'"
    _option(parser, "--format", "F", words)


def _next(parser: ArgumentParser) -> None:
    _demo(parser)
    forms = parser.add_mutually_exclusive_group()
    _form(forms, "json", "one JSON document")
    _form(forms, "all", "all accounts, the best first")
    _form(forms, "name", "the account's name alone")
    words = (
        "print only its config folder, for CLAUDE_CONFIG_DIR=$(…); empty for Claude Code's default"
    )
    _form(forms, "config-dir", words)
    words = "what to use when in the next hours, such as 12h (48h at most), and what expires"
    _option(parser, "--plan", "DURATION", words)
    words = "for work with this model, such as opus, whose week counts"
    _option(parser, "--model", "NAME", words, type=public)


def _run(parser: ArgumentParser) -> None:
    _option(parser, "--account", "NAME", f"{NAMED}; default: the one that `monitor next` names")
    words = "do not run where 5h or 7d is at this percentage or above"
    _percent(parser, "--max", words, 98, dest="max_utilization")
    _flag(parser, "--force", "run it even where there is no room")
    parser.usage = f"{parser.prog} [--account NAME] [--max PERCENT] [--force] -- COMMAND …"
    _option(parser, "words", "-- COMMAND", "the command and its arguments", nargs=REMAINDER)


def _guard(parser: ArgumentParser) -> None:
    words = f"{NAMED}; default: the one that Claude Code would use now"
    _option(parser, "--account", "NAME", words)
    _option(parser, "--window", "W", "5h, 7d or 7d_opus; default: 5h and 7d")
    asked = parser.add_mutually_exclusive_group()
    words = "from here on there is no room"
    _percent(asked, "--max", words, 100, dest="max_utilization")
    words = "instead, whether a task that takes so many percents of a 5-hour window fits into 5h and 7d, or W"
    _option(asked, "--need", "POINTS", words, type=points)
    words = "of --need: with this probability; default: 80"
    _option(parser, "--confidence", "PERCENT", words, type=probability)


def _percent(parser: _ActionsContainer, name: str, words: str, default: int, *, dest: str) -> None:
    words = f"{words}; default: {default}"
    _option(parser, name, "PERCENT", words, dest=dest, type=percentage, default=default / 100)


def public(text: str) -> str:
    """Return a name that the answer may repeat. Raises ArgumentTypeError for a session key or token."""
    if redact(text) != text:
        raise ArgumentTypeError("this is a session key or token, and the answer would repeat it")
    return text


def path(text: str) -> str:
    """Return the path. Raises ArgumentTypeError for an empty one, as an unset shell variable gives."""
    if not text:
        raise ArgumentTypeError("is empty: name a file, or leave it out")
    return text


def url_path(text: str) -> str:
    """Return a path for the metrics. Raises ArgumentTypeError for a malformed or reserved one."""
    if not fullmatch(r"/[A-Za-z0-9/._~-]+", text) or text == "/events" or text.startswith("/-/"):
        raise ArgumentTypeError("is not a path such as /metrics")
    return text


def points(text: str) -> float:
    """Parse percents. Raises ValueError, which argparse words."""
    percents = float(text.removesuffix("%"))
    if not 0 <= percents < float("inf"):
        raise ValueError(text)
    return percents


def percentage(text: str) -> float:
    """Parse percents as a ratio. Raises ValueError, which argparse words."""
    return points(text) / 100


def probability(text: str) -> float:
    """Parse percents as a ratio from 0 to 1. Raises ArgumentTypeError, or ValueError, which argparse words."""
    if percentage(text) > 1:
        raise ArgumentTypeError("is more than 100 percent")
    return percentage(text)


def _running(parser: ArgumentParser) -> None:
    _demo(parser)
    parser.add_argument(
        "--listen",
        "--web.listen-address",
        metavar="HOST:PORT",
        help="where /metrics is served, or off (else exporter.listen)",
    )
    words = (
        "TLS, basic auth and headers, in the exporter toolkit's format (else exporter.web_config)"
    )
    _option(parser, "--web.config.file", "PATH", words, dest="web_config", type=path)
    more = {"dest": "metrics_path", "type": url_path, "default": "/metrics"}
    words = "where on the site the metrics are; default: /metrics"
    _option(parser, "--web.telemetry-path", "URL_PATH", words, **more)
    _flag(parser, "--no-notify", "send no alerts")
    levels = ["debug", "info", "warning", "error"]
    words = "the least important lines that are logged; default: info"
    _option(parser, "--log-level", None, words, choices=levels, default="info")


def _serving(parser: ArgumentParser) -> None:
    _running(parser)
    words = "how log lines look on standard error; default: plain"
    _option(parser, "--log-format", None, words, choices=["plain", "json"], default="plain")


def _demo(parser: ArgumentParser) -> None:
    _flag(parser, "--demo", "invented accounts and a simulated API; nothing of yours is touched")


def _verb(verbs: "_SubParsersAction[ArgumentParser]", name: str, words: str) -> ArgumentParser:
    """Add a verb of a command. It takes `--config` too; its flags cannot be abbreviated."""
    added = verbs.add_parser(name, help=words, description=words, allow_abbrev=False)
    added.epilog = _example(added)
    _option(added, "--config", "PATH", "settings file", type=path, default=SUPPRESS)
    added.set_defaults(parser=added)
    return added


def _accounts(parser: ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    words = "the accounts of the settings, and where each token comes from (the default)"
    listing = _verb(verbs, "list", words)
    words = "import Claude Code's login: the one that it would use now, or those named"
    importing = _verb(verbs, "import", words)
    words = "add an account by session key, prompted for, or read from standard input"
    adding = _verb(verbs, "add", words)
    words = "rename an account, or change its label, organization or session key"
    editing = _verb(verbs, "edit", words)
    removing = _verb(verbs, "remove", "remove an account and its entry in the keyring")
    using = _verb(verbs, "use", "mark an account as the active one")
    _json(listing)
    parser.set_defaults(json=False)
    importing.set_defaults(reads_settings=False)  # makes the file where it is not there yet
    which = importing.add_mutually_exclusive_group()
    words = "every login found on this machine; one line for each place, those without a login too"
    _flag(which, "--all", words)
    words = "import the login in DIR (default: $CLAUDE_CONFIG_DIR or ~/.claude)"
    _option(which, "--config-dir", "DIR", words)
    words = "also add claude-swap's accounts (without tokens; log in to each with Claude Code)"
    _flag(importing, "--from-cswap", words)
    adding.set_defaults(reads_settings=False)  # as above
    _option(adding, "--name", "NAME", "its name, such as an e-mail address", required=True)
    _option(adding, "--org-id", "ORG", "its organization's id", required=True)
    for verb in (editing, removing, using):
        _option(verb, "account", "NAME", NAMED)
    _option(editing, "--name", "NEW", "the new name")
    _option(editing, "--label", "TEXT", "what metrics call it; an empty one removes the label")
    words = "its own ones, such as `80,95`, or none; empty for the usual ones"
    _option(editing, "--thresholds", "LIST", words)
    _option(editing, "--silent", "RULES", "rules that do not fire for it, such as `pace,reset`")
    _option(editing, "--reserve", "PERCENT", "the part of its week that `next` leaves to others")
    _option(editing, "--org-id", "ORG", "the new organization's id")
    _flag(editing, "--session-key", "ask for a new key, or read it from standard input")
    _flag(removing, "--yes", "do not ask")


def _alerts(parser: ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    listing = _verb(verbs, "list", "active and recent alerts (the default)")
    replaying = _verb(verbs, "replay", "replay stored history through the current rules")
    explaining = _verb(verbs, "explain", "why each rule has or has not fired")
    _since(listing, "1d")
    _since(replaying, "1d, of the demo 1h")
    _json(listing)
    _json(replaying)
    _flag(replaying, "--demo", "use the demo's accounts instead; nothing is read")
    _option(explaining, "--account", "NAME", "only this account (name, label or number)")
    _option(explaining, "--window", "W", "only this window, such as 5h")
    parser.set_defaults(since=None, json=False)


def _since(parser: ArgumentParser, default: str) -> None:
    words = f"a duration back (12h, 7d) or a date (2026-11-22T08:00); default: {default}"
    _option(parser, "--since", "WHEN", words)


def _history(parser: ArgumentParser) -> None:
    parser.usage = (
        f"{parser.prog} [ACCOUNT] [--window W] [--since WHEN] [--csv | --json | --openmetrics]\n"
        f"       {parser.prog} import [--from FILE | --from-prometheus URL] [--account NAME]"
    )
    words = f"{NAMED}; default: all; or `import`, to take samples over"
    _option(parser, "account", "ACCOUNT", words, nargs="?")
    _demo(parser)
    _option(parser, "--window", "W", "only this window, such as 5h", type=public)
    _since(parser, "of a chart 1d for 5h and 7d for others, else all")
    forms = parser.add_mutually_exclusive_group()
    _flag(forms, "--csv", "lines of at,account,window,utilization,resets_at")
    _json(forms)
    _flag(forms, "--openmetrics", "for `promtool tsdb create-blocks-from openmetrics`")
    importing = parser.add_argument_group("import")
    sources = importing.add_mutually_exclusive_group()
    words = "a CSV file as --csv writes it; default: stdin"
    _option(sources, "--from", "PATH", words, dest="source")
    words = "a Prometheus that scraped /metrics, such as http://localhost:9090"
    _option(sources, "--from-prometheus", "URL", words)
    words = "import all samples as this account's, whatever account they name"
    _option(importing, "--account", "NAME", words, dest="into")


def _doctor(parser: ArgumentParser) -> None:
    _json(parser)
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="each check, those that are fine too"
    )


def _mute(parser: ArgumentParser) -> None:
    words = "30m, 2h, 1d, or off; without it, say whether alerts are muted"
    _option(parser, "duration", "DURATION", words, nargs="?")


def _service(parser: ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    install = "write the service, start it now and at each login"
    installing = _verb(verbs, "install", install)
    installing.set_defaults(reads_settings=True)
    _flag(installing, "--force", "replace a service file that was edited")
    for name, words in (
        ("uninstall", "stop the service and remove all of it"),
        ("status", "say whether it is installed and runs (the default)"),
    ):
        added = verbs.add_parser(name, help=words, description=words)
        added.epilog = _example(added)


def _completion(parser: ArgumentParser) -> None:
    _option(parser, "shell", None, "the shell", choices=["bash", "zsh", "fish"], nargs="?")
    _flag(parser, "--accounts", SUPPRESS)  # called by the scripts

"""Every key of the settings file, declared once, with its default; and the typed values that they make.

A new key is one more field here: `enabled: bool = key(flag, True)`.
"""

import json
import re
import shlex
from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from monitor.core.alerts.rules import (
    DEFAULT_RULES,
    MOMENTARY,
    OF_ALL,
    OF_WINDOWS,
    RESETS,
    AlertKind,
    Override,
    Rule,
    RuleBook,
    Urgency,
)
from monitor.core.model import Account, AuthMethod, Storage
from monitor.core.sanitize import holds_secret, printable
from monitor.core.state import Display, Policy, Theme
from monitor.settings.schema import (
    Address,
    InvalidValueError,
    Parser,
    QuietHours,
    Table,
    check_config_dir,
    check_host,
    check_name,
    check_org_id,
    check_type,
    check_user_agent,
    check_web_config,
    check_window,
    choice,
    flag,
    items,
    key,
    keys_of,
    number,
    parse_at,
    parse_duration,
    parse_listen,
    parse_quiet_hours,
    reject_key,
    required_key,
    safe_url,
    table,
    text,
)

REMOTE_CHANNELS: Final = ("command", "webhook", "alertmanager", "apprise")
"""The channels that need a table of their own: `[channels.webhook]`."""

CHANNELS: Final = ("desktop", "terminal", "bell", *REMOTE_CHANNELS)
"""The channels that `notifications.channels` may name."""

MIN_POLL_INTERVAL_SECS: Final = 30
MAX_POLL_INTERVAL_SECS: Final = 365 * 24 * 60 * 60

_LONGEST_ENTRY: Final = 60
_LONGEST_SUGGESTION: Final = 90
_ENTRY_SECRET: Final = re.compile(
    r"(?i)sk-|tk_|xox[a-z]-|gh[a-z]_|glpat-|eyJ|bearer\s|[a-z]+://|[0-9a-f]{32,}"
)
"""The beginnings of tokens and URLs, as opposed to the name of a keyring entry."""
_EXAMPLE: Final = '["pass", "show", "claude/work"]'
_EMPTY: Final = "is empty: remove it, or set enabled = false"
_NAMES_SENT: Final = "names of accounts are sent there"


@dataclass(frozen=True, slots=True)
class ExporterSettings:
    """The `[exporter]` table."""

    listen: Address = key(text(parse_listen), Address())
    hosts: tuple[str, ...] = key(items(text(check_host)), ())
    web_config: str = key(text(check_web_config), "")
    allow_plain: bool = key(flag, False)

    def web_config_of(self, settings: Path) -> Path | None:
        """Return the path of the web configuration; a relative one is beside the settings file."""
        return settings.parent / Path(self.web_config).expanduser() if self.web_config else None


@dataclass(frozen=True, slots=True)
class DisplaySettings:
    """The `[display]` table."""

    theme: Theme = key(text(choice("theme", Theme)), Theme.AUTO)
    ascii: bool = key(flag, False)


@dataclass(frozen=True, slots=True)
class HistorySettings:
    """The `[history]` table."""

    enabled: bool = key(flag, True)


# Channels

_timeout_secs: Final = number(float, 0.1, 300)


def _argv(missing: str) -> Parser[tuple[str, ...]]:
    """Make a parser of a program and its arguments."""

    def word(value: Any) -> str:
        found = check_type(str, value)
        if "\0" in found:
            raise InvalidValueError("contains a null character, which no program takes")
        return found

    def parse(value: Any) -> tuple[str, ...]:
        words = [parse_at(at, word, each) for at, each in enumerate(check_type(list, value))]
        if not words or not words[0].strip():
            raise InvalidValueError(missing)
        return tuple(words)

    return parse


def _entry(name: str, example: str) -> Parser[str]:
    """Make a parser of the name of a keyring entry; a secret in its place is not repeated in the error."""

    def parse(value: Any) -> str:
        entry = check_type(str, value)
        if len(entry) > _LONGEST_ENTRY or _ENTRY_SECRET.match(entry):
            raise InvalidValueError(
                "secrets are not kept in this file: store it in the keyring "
                f'(`keyring set claude-tracker {example}`), and write {name} = "{example}"',
                hidden=True,
            )
        return check_name(entry, "the entry's name")

    return parse


_PROGRAM: Final = 'which program? add argv = ["/path/to/program"]'


@dataclass(frozen=True, slots=True)
class CommandSettings:
    """A program that is run for each alert."""

    argv: tuple[str, ...] = required_key(_argv(_PROGRAM), _PROGRAM)
    timeout_secs: float = key(_timeout_secs, 10.0)


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """A URL that each alert is posted to. `token` is the name of an entry in the keyring, never the token itself."""

    url: str = required_key(
        text(safe_url(_NAMES_SENT, "https://ntfy.sh/my-topic", is_base=False)),
        'where to? add url = "https://ntfy.sh/my-topic"',
    )
    form: str = key(text(choice("form", ("json", "ntfy", "slack"))), "json")
    token: str | None = key(_entry("token", "webhook"), None)
    timeout_secs: float = key(_timeout_secs, 10.0)


@dataclass(frozen=True, slots=True)
class AlertmanagerSettings:
    """The address of Prometheus's Alertmanager, without a trailing slash."""

    url: str = required_key(
        text(safe_url(_NAMES_SENT, "http://127.0.0.1:9093")),
        'where to? add url = "http://127.0.0.1:9093"',
    )


@dataclass(frozen=True, slots=True)
class AppriseSettings:
    """`urls` is the name of an entry in the keyring that holds Apprise's URLs, one a line."""

    urls: str = required_key(
        _entry("urls", "apprise"),
        'which URLs? add urls = "apprise", the name of an entry in the keyring',
    )


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """The `[channels]` tables: what a channel needs to know; None for those that are not set up."""

    command: CommandSettings | None = key(table(CommandSettings), None)
    webhook: WebhookSettings | None = key(table(WebhookSettings), None)
    alertmanager: AlertmanagerSettings | None = key(table(AlertmanagerSettings), None)
    apprise: AppriseSettings | None = key(table(AppriseSettings), None)

    @property
    def entries(self) -> Mapping[str, str]:
        """Return the keyring entries that channels use, by the keys that name them."""
        entries = {}
        if self.webhook and self.webhook.token:
            entries["webhook.token"] = self.webhook.token
        if self.apprise:
            entries["apprise.urls"] = self.apprise.urls
        return entries


# Alerts

_channels: Final = text(choice("channel", CHANNELS))


def _percentage(value: Any) -> float:
    percent = check_type(float, value)
    if not 1 <= percent <= 100:
        raise InvalidValueError("must be a percentage from 1 to 100")
    return percent / 100


def _thresholds(value: Any) -> tuple[float, ...]:
    return tuple(sorted(items(_percentage)(value)))


def _rule(kind: AlertKind) -> Table[Rule]:
    """Make a parser of a rule's table; what it does not set stays as in the default rule."""
    keys: dict[str, Parser[Any]] = {
        "enabled": flag,
        "windows": items(text(check_window), if_empty=_EMPTY),
        "accounts": items(text(check_name), if_empty=_EMPTY),
        "for": text(parse_duration),
        "channels": items(_channels, if_empty=_EMPTY),
        "urgency": text(choice("urgency", Urgency)),
    }
    if kind not in OF_WINDOWS:
        keys["windows"] = reject_key("this rule is not about single windows: remove it")
    if kind in OF_ALL:
        keys["accounts"] = reject_key("this rule is about all accounts: remove it")
    if kind in MOMENTARY:
        keys["for"] = reject_key("this rule is about a moment, which has no length: remove it")

    def make(**given: Any) -> Rule:
        hold = given.pop("for", DEFAULT_RULES[kind].hold)
        return replace(DEFAULT_RULES[kind], hold=hold, **given)

    return Table(keys, make)


RULES: Final[Table[Mapping[AlertKind, Rule]]] = Table(
    {str(kind): _rule(kind) for kind in DEFAULT_RULES},
    lambda **given: {kind: given.get(kind, rule) for kind, rule in DEFAULT_RULES.items()},
)


@dataclass(frozen=True, slots=True)
class NotificationSettings:
    """The `[notifications]` table. Channels are in order of preference; thresholds are rising ratios.

    `fan_out` sends each alert on all channels instead of the first that works. `rules` has every rule, with what
    the file says of it; a `reset` of False silences two of them whatever they say.
    """

    enabled: bool = key(flag, True)
    channels: tuple[str, ...] = key(items(_channels), ("desktop",))
    thresholds: tuple[float, ...] = key(_thresholds, (0.80, 0.95, 1.00))
    reset: bool = key(flag, True)
    fan_out: bool = key(flag, False)
    quiet_hours: QuietHours | None = key(text(parse_quiet_hours), None)
    rules: Mapping[AlertKind, Rule] = key(RULES, DEFAULT_RULES)


_api_url: Final = text(safe_url("tokens are sent there", "https://api.anthropic.com"))


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """The `[api]` table. URLs have no trailing slash; a `user_agent` of None is the program's own.

    Unless `enabled`, nothing is requested.
    """

    url: str = key(_api_url, "https://api.anthropic.com")
    web_url: str = key(_api_url, "https://claude.ai")
    timeout_secs: float = key(_timeout_secs, 10.0)
    user_agent: str | None = key(text(check_user_agent), None)
    enabled: bool = key(flag, True)


# Accounts


_parse_auth_method: Final = choice("method", AuthMethod)


def _auth_method(word: str) -> AuthMethod:
    return _parse_auth_method("oauth" if word == "o_auth" else word)  # an older spelling


def _token_command(value: Any) -> tuple[str, ...]:
    """Parse a command that prints a token. Every process may read its arguments, so none of them may be a token."""
    for word in [value] if isinstance(value, str) else check_type(list, value):
        if isinstance(word, str) and holds_secret(word):
            raise InvalidValueError(
                "a token must not be an argument: name a program that prints it, such as "
                + _EXAMPLE,
                hidden=True,
            )
    if isinstance(value, str):
        raise InvalidValueError(
            f"must be a list, since no shell is used: write {_as_list(value) or _EXAMPLE}"
        )
    return _argv(f"which program? write {_EXAMPLE}")(value)


def _as_list(command: str) -> str | None:
    """Return the list that a shell would have made of the text; None where that is not plain."""
    try:
        argv = json.dumps(shlex.split(command), ensure_ascii=False)
    except ValueError:
        return None
    fits = argv != "[]" and len(argv) <= _LONGEST_SUGGESTION and argv == printable(argv)
    return argv if fits else None


AccountTable = tuple[Account, Override | None]
"""An `[[accounts]]` table: the account, and the exceptions for its alerts, if there are any."""


def _account(**given: Any) -> AccountTable:
    exceptions = {name: given.pop(name) for name in ("thresholds", "silent") if name in given}
    silent = frozenset(exceptions.get("silent", ()))
    override = Override(exceptions.get("thresholds"), silent) if exceptions else None
    # Older files name no method for the accounts that were entered by hand.
    given = {"auth_method": AuthMethod.SESSION_KEY, **given}
    command, storage = given.get("token_command"), given.get("storage")
    if command and storage not in (None, Storage.COMMAND):
        raise InvalidValueError(
            'there is a token_command as well: write "command", or remove that', "storage"
        )
    if command:
        given["storage"] = Storage.COMMAND
    elif storage is Storage.COMMAND:
        raise InvalidValueError(f"which command? add token_command = {_EXAMPLE}", "storage")
    elif storage is Storage.LINKED and given["auth_method"] is not AuthMethod.OAUTH:
        raise InvalidValueError(
            'Claude Code keeps no session keys: remove this, or write auth_method = "oauth"',
            "storage",
        )
    return Account(**given), override


ACCOUNT: Final = Table(
    {
        "name": text(check_name),
        "org_id": text(check_org_id),
        "auth_method": text(_auth_method),
        "label": text(partial(check_name, what="the label")),
        "reserve": number(float, 0, 1),
        "storage": text(choice("place", Storage)),
        "config_dir": text(check_config_dir),
        "token_command": _token_command,
        "thresholds": _thresholds,
        "silent": items(text(choice("rule", DEFAULT_RULES))),
    },
    _account,
    {"name": 'an account needs a name: add name = "user@example.com"'},
)


def check_unique(account: Account, names: Container[str], titles: Container[str]) -> None:
    """Raise InvalidValueError where another account has this name, or this title, which names series of metrics."""
    if account.name in names:
        raise InvalidValueError(
            f"there is an account {account.name!r} already: choose another name", "name"
        )
    if account.title in titles and account.label is None:
        raise InvalidValueError(
            f"another account has the label {account.title!r}: choose another one for it", "name"
        )
    if account.title in titles:
        raise InvalidValueError(
            f"metrics call another account {account.title!r} already: choose another label",
            "label",
        )


def _accounts(value: Any) -> list[AccountTable]:
    if isinstance(value, dict):
        raise InvalidValueError("write [[accounts]], in two brackets, for each of them")
    found: list[AccountTable] = []
    names: set[str] = set()
    titles: set[str] = set()
    for place, each in enumerate(check_type(list, value)):
        account, override = parse_at(place, ACCOUNT, each)
        parse_at(place, partial(check_unique, names=names, titles=titles), account)
        names.add(account.name)
        titles.add(account.title)
        found.append((account, override))
    return found


# The whole file

_DEFAULT_STORAGES: Final = (Storage.KEYRING, Storage.LINKED)
"""The others need keys of their own in each account."""


def _poll_interval_secs(value: Any) -> int:
    return max(number(int, most=MAX_POLL_INTERVAL_SECS)(value), MIN_POLL_INTERVAL_SECS)


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole file. `active_account` is an index into `accounts` and may lie outside of them.

    `overrides` are the exceptions to the alert rules, by the name of the account that they are about.
    `storage` is where the tokens of accounts without one of their own are kept; None is for wherever there is one.
    `warnings` are lines about what is allowed, and still doubtful; they are no part of what the file means.
    """

    path: Path
    poll_interval_secs: int = key(_poll_interval_secs, 180, table="settings")
    active_account: int = key(number(int, 0), 0, table="settings")
    storage: Storage | None = key(text(choice("place", _DEFAULT_STORAGES)), None, table="settings")
    exporter: ExporterSettings = key(table(ExporterSettings), ExporterSettings())
    history: HistorySettings = key(table(HistorySettings), HistorySettings())
    display: DisplaySettings = key(table(DisplaySettings), DisplaySettings())
    notifications: NotificationSettings = key(table(NotificationSettings), NotificationSettings())
    channels: ChannelSettings = key(table(ChannelSettings), ChannelSettings())
    api: ApiSettings = key(table(ApiSettings), ApiSettings())
    accounts: tuple[Account, ...] = ()
    overrides: Mapping[str, Override] = field(default_factory=dict)
    warnings: tuple[str, ...] = field(default=(), compare=False)


FILE: Final[Table[dict[str, Any]]] = Table(
    {
        "settings": Table(keys_of(Settings, "settings"), dict),
        **keys_of(Settings),
        "accounts": _accounts,
    },
    dict,
)
"""The tables of the file; `parse` makes `Settings` of them, and checks what they say about each other."""


def rule_book(settings: Settings) -> RuleBook:
    """Make the alert rules of these settings."""
    notifications = settings.notifications
    rules = dict(notifications.rules)
    if not notifications.reset:
        rules |= {kind: replace(rules[kind], enabled=False) for kind in RESETS}
    return RuleBook(
        thresholds=notifications.thresholds,
        rules=rules,
        overrides=settings.overrides,
        enabled=notifications.enabled,
    )


def policy_of(settings: Settings) -> Policy:
    """Pick what the core needs of the settings."""
    return Policy(
        timedelta(seconds=settings.poll_interval_secs),
        rule_book(settings),
        settings.api.enabled,
        keeps_history=settings.history.enabled,
        display=Display(settings.display.theme, settings.display.ascii),
    )

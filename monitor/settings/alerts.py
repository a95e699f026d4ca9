"""The `[notifications]` table, its rules and the accounts' exceptions, into values; and all of it as a rule book."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from monitor.core.alerts.rules import DEFAULT_RULES, Override, Rule, RuleBook, Urgency
from monitor.core.effects import AlertKind
from monitor.core.errors import SettingsError
from monitor.core.sanitize import printable
from monitor.settings.checks import check_name
from monitor.settings.durations import parse_duration, parse_quiet_hours
from monitor.settings.model import (
    CHANNELS,
    REMOTE_CHANNELS,
    NotificationSettings,
    Settings,
)
from monitor.settings.reader import Table, suggestion

RULES: Final = tuple(str(kind) for kind in DEFAULT_RULES)
"""The names of the rules, as `[notifications.rules]` has them."""

ACCOUNT_RULE_KEYS: Final = ("thresholds", "silent")
"""What an `[[accounts]]` table may say of alerts."""

_KEYS: Final = (
    "enabled", "channels", "fan_out", "thresholds", "reset", "quiet_hours", "rules",
)  # fmt: skip
_RULE_KEYS: Final = ("enabled", "windows", "accounts", "for", "channels", "urgency")
_WINDOW: Final = re.compile(r"5h|7d|7d_[a-z0-9]+(?:_[a-z0-9]+)*")

_OF_WINDOWS: Final = frozenset(
    {
        AlertKind.THRESHOLD,
        AlertKind.LIMIT,
        AlertKind.RESET,
        AlertKind.EARLY_RESET,
        AlertKind.PACE,
    }
)
_AT_ONCE: Final = frozenset({AlertKind.RESET, AlertKind.EARLY_RESET, AlertKind.FREE})
_RESETS: Final = (AlertKind.RESET, AlertKind.EARLY_RESET)


def notification_settings(top: Table, ready: frozenset[str]) -> NotificationSettings:
    """What `[notifications]` says; `ready` are the channels whose table is there. Raises SettingsError."""
    table = top.table("notifications", *_KEYS)
    default = NotificationSettings()
    return NotificationSettings(
        enabled=table.value("enabled", bool, default.enabled),
        channels=_channels(table, ready) if "channels" in table else default.channels,
        thresholds=_thresholds(table) if "thresholds" in table else default.thresholds,
        reset=table.value("reset", bool, default.reset),
        fan_out=table.value("fan_out", bool, default.fan_out),
        quiet_hours=table.text("quiet_hours", None, parse_quiet_hours),
        rules=_rules(table, ready) if "rules" in table else default.rules,
    )


def account_override(table: Table) -> Override | None:
    """What an account's table says of its alerts; None where it says nothing. Raises SettingsError."""
    if not any(key in table for key in ACCOUNT_RULE_KEYS):
        return None
    return Override(
        thresholds=_thresholds(table) if "thresholds" in table else None,
        silent=frozenset(map(AlertKind, _known(table, "silent", RULES, "rule"))),
    )


def rule_book(settings: Settings) -> RuleBook:
    """The rules that the settings make."""
    notifications = settings.notifications
    rules = dict(notifications.rules)
    if not notifications.reset:
        rules |= {kind: replace(rules[kind], enabled=False) for kind in _RESETS}
    return RuleBook(
        thresholds=notifications.thresholds,
        rules=rules,
        overrides=settings.overrides,
        enabled=notifications.enabled,
    )


def _rules(top: Table, ready: frozenset[str]) -> Mapping[AlertKind, Rule]:
    table = top.table("rules", *RULES)
    said = {kind: _rule(table, kind, ready) for kind in DEFAULT_RULES if kind in table}
    return {**DEFAULT_RULES, **said}


def _rule(top: Table, kind: AlertKind, ready: frozenset[str]) -> Rule:
    """The rule as it is without settings, changed as its table says."""
    table = top.table(kind, *_RULE_KEYS)
    _refuse_meaningless(table, kind)
    default = DEFAULT_RULES[kind]
    return Rule(
        enabled=table.value("enabled", bool, default.enabled),
        windows=_windows(table) if "windows" in table else None,
        accounts=_accounts(table) if "accounts" in table else None,
        hold=table.text("for", default.hold, parse_duration),
        channels=_some(table, "channels", _channels(table, ready)) if "channels" in table else None,
        urgency=table.text("urgency", default.urgency, _urgency),
    )


def _refuse_meaningless(table: Table, kind: AlertKind) -> None:
    """A key that would change nothing, or silence the rule for good, is an error rather than a surprise."""
    meaningless = {
        "windows": (kind not in _OF_WINDOWS, "this rule is not about single windows: remove it"),
        "accounts": (kind is AlertKind.EXHAUSTED, "this rule is about all accounts: remove it"),
        "for": (kind in _AT_ONCE, "this rule speaks of a moment, which lasts no time: remove it"),
    }
    for key, (applies, words) in meaningless.items():
        if applies and key in table:
            raise table.error(words, key)


def _channels(table: Table, ready: frozenset[str]) -> tuple[str, ...]:
    names = _known(table, "channels", CHANNELS, "channel")
    for place, name in enumerate(names):
        if name in REMOTE_CHANNELS and name not in ready:
            raise table.error(
                f"needs to be told where to: add [channels.{name}]", "channels", place
            )
    return names


def _known(table: Table, key: str, known: Sequence[str], what: str) -> tuple[str, ...]:
    """A list of known words, each once."""
    names = table.items(key, str)
    for place, name in enumerate(names):
        if name not in known:
            words = f"no {what} is called {printable(name)!r}; {suggestion(name, known)}"
            raise table.error(words, key, place)
    _refuse_doubles(table, key, names)
    return tuple(names)


def _refuse_doubles(table: Table, key: str, items: Sequence[object]) -> None:
    for place, item in enumerate(items):
        if item in items[:place]:
            raise table.error("is here a second time: remove one", key, place)


def _thresholds(table: Table) -> tuple[float, ...]:
    percentages = table.items("thresholds", float)
    for place, percent in enumerate(percentages):
        if not 1 <= percent <= 100:
            raise table.error("must be a percentage from 1 to 100", "thresholds", place)
    _refuse_doubles(table, "thresholds", percentages)
    return tuple(percent / 100 for percent in sorted(percentages))


def _windows(table: Table) -> tuple[str, ...]:
    windows = table.items("windows", str)
    for place, window in enumerate(windows):
        if not _WINDOW.fullmatch(window):
            words = 'no window: write "5h", "7d", or 7d_ and a model\'s name, such as "7d_opus"'
            raise table.error(words, "windows", place)
    _refuse_doubles(table, "windows", windows)
    return _some(table, "windows", windows)


def _accounts(table: Table) -> tuple[str, ...]:
    """Names of accounts; one that is not there may come, or come back, by an import."""
    names = table.items("accounts", str)
    for name in names:
        table.checked("accounts", check_name, name)
    _refuse_doubles(table, "accounts", names)
    return _some(table, "accounts", names)


def _some(table: Table, key: str, items: Sequence[str]) -> tuple[str, ...]:
    if not items:
        raise table.error("is empty: remove it, or set enabled = false", key)
    return tuple(items)


def _urgency(word: str) -> Urgency:
    words = tuple(map(str, Urgency))
    if word not in words:
        raise SettingsError(f"no such urgency; {suggestion(word, words)}")
    return Urgency(word)

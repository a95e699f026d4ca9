"""The tables of the channels that need one: `[channels.webhook]` and its like, into values."""

import re
from typing import Final

from monitor.core.errors import SettingsError
from monitor.settings import checks
from monitor.settings.model import (
    DEFAULT_CHANNEL_TIMEOUT_SECS,
    MAX_TIMEOUT_SECS,
    MIN_TIMEOUT_SECS,
    REMOTE_CHANNELS,
    WEBHOOK_FORMS,
    AlertmanagerSettings,
    AppriseSettings,
    ChannelSettings,
    CommandSettings,
    WebhookSettings,
)
from monitor.settings.reader import Table, suggestion

_LONGEST_ENTRY: Final = 60
_TOKEN: Final = re.compile(
    r"(?i)sk-|tk_|xox[a-z]-|gh[a-z]_|glpat-|eyJ|bearer\s|[a-z]+://|[0-9a-f]{32,}"
)
"""How tokens and URLs begin, as opposed to the name of a keyring entry."""


def channel_settings(top: Table) -> ChannelSettings:
    """What `[channels]` holds. Raises SettingsError."""
    table = top.table("channels", *REMOTE_CHANNELS)
    return ChannelSettings(
        command=_command(table) if "command" in table else None,
        webhook=_webhook(table) if "webhook" in table else None,
        alertmanager=_alertmanager(table) if "alertmanager" in table else None,
        apprise=_apprise(table) if "apprise" in table else None,
    )


def check_entries(top: Table, channels: ChannelSettings, accounts: set[str]) -> None:
    """No channel may send an account's own token anywhere. Raises SettingsError."""
    table = top.table("channels", *REMOTE_CHANNELS)
    for key, entry in channels.entries.items():
        if entry in accounts:
            words = "this entry holds the token of an account: give the channel one of its own"
            raise table.error(words, *key.split("."))


def _command(top: Table) -> CommandSettings:
    table = top.table("command", "argv", "timeout_secs")
    argv = table.items("argv", str)
    if not argv or not argv[0].strip():
        key = ("argv",) if "argv" in table else ()
        raise table.error('which program? add argv = ["/path/to/program"]', *key)
    for place, word in enumerate(argv):
        if "\0" in word:
            raise table.error("holds a null character, which no program takes", "argv", place)
    return CommandSettings(tuple(argv), _timeout_secs(table))


def _webhook(top: Table) -> WebhookSettings:
    table = top.table("webhook", "url", "form", "token", "timeout_secs")
    return WebhookSettings(
        _needed(table, "url", 'add url = "https://ntfy.sh/my-topic"', checks.check_webhook_url),
        form=table.text("form", "json", _form),
        token=_entry(table, "token", "webhook") if "token" in table else None,
        timeout_secs=_timeout_secs(table),
    )


def _form(word: str) -> str:
    if word not in WEBHOOK_FORMS:
        raise SettingsError(f"no such form; {suggestion(word, WEBHOOK_FORMS)}")
    return word


def _alertmanager(top: Table) -> AlertmanagerSettings:
    table = top.table("alertmanager", "url")
    words = 'add url = "http://127.0.0.1:9093"'
    return AlertmanagerSettings(_needed(table, "url", words, checks.check_alertmanager_url))


def _apprise(top: Table) -> AppriseSettings:
    table = top.table("apprise", "urls")
    if "urls" not in table:
        raise table.error('which URLs? add urls = "apprise", the name of an entry in the keyring')
    return AppriseSettings(_entry(table, "urls", "apprise"))


def _needed(table: Table, key: str, words: str, check: checks.Check) -> str:
    if key not in table:
        raise table.error(f"where to? {words}")
    return table.text(key, "", check)


def _entry(table: Table, key: str, example: str) -> str:
    """The name of a keyring entry. A secret that stands in its place is not repeated in the error."""
    name = table.value(key, str, "")
    if len(name) > _LONGEST_ENTRY or _TOKEN.match(name):
        raise table.hidden_error(
            "secrets are not kept in this file: store it in the keyring "
            f'(`keyring set claude-tracker {example}`), and write {key} = "{example}"',
            key,
        )
    return table.checked(key, checks.check_name, name, "the entry's name")


def _timeout_secs(table: Table) -> float:
    default = float(DEFAULT_CHANNEL_TIMEOUT_SECS)
    return table.number("timeout_secs", float, default, MIN_TIMEOUT_SECS, MAX_TIMEOUT_SECS)

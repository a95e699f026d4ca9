"""From the settings file to `Settings`: every key known, every type and value checked. Changes nothing."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from monitor.core.budget import over_budget
from monitor.core.errors import SettingsError
from monitor.settings.model import FILE, REMOTE_CHANNELS, Settings
from monitor.settings.schema import InvalidValueError, KeyPath
from monitor.settings.source import Source
from monitor.system.files import read_regular


def load(path: Path) -> Settings:
    """The settings of the file, or the defaults where there is none. Raises SettingsError."""
    try:
        return parse(read_regular(path), path)
    except FileNotFoundError:
        return Settings(path)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None


def parse(content: bytes, path: Path) -> Settings:
    """The settings in this content; `path` is what errors call it. Raises SettingsError."""
    try:
        source = Source(path, content.decode("utf-8-sig"))  # some editors put a mark in front
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{path}:{line}: not UTF-8 text: save the file as UTF-8") from None
    document = source.document()
    try:
        given = FILE(document)
        accounts = given.pop("accounts", ())
        settings = Settings(
            path,
            **given.pop("settings", {}),
            **given,
            accounts=tuple([account for account, _ in accounts]),
            overrides={account.name: override for account, override in accounts if override},
        )
        _check_references(settings)
    except InvalidValueError as error:
        raise source.error(error.path, str(error), hidden=error.hidden) from None
    warnings = tuple([f"{source.line(at)}: {words}" for at, words in _warnings(document, settings)])
    return replace(settings, warnings=warnings) if warnings else settings


def _check_references(settings: Settings) -> None:
    """A channel needs its table, and none may send an account's own token anywhere."""
    notifications, ready = settings.notifications, settings.channels.names
    lists: dict[KeyPath, tuple[str, ...]] = {("notifications", "channels"): notifications.channels}
    for kind, rule in notifications.rules.items():
        lists["notifications", "rules", kind, "channels"] = rule.channels or ()
    for path, names in lists.items():
        for place, name in enumerate(names):
            if name in REMOTE_CHANNELS and name not in ready:
                raise InvalidValueError(f"has no target: add [channels.{name}]", *path, place)
    accounts = {account.name for account in settings.accounts}
    for key, entry in settings.channels.entries.items():
        if entry in accounts:
            words = "this entry holds the token of an account: give the channel one of its own"
            raise InvalidValueError(words, "channels", *key.split("."))


def _warnings(document: dict[str, Any], settings: Settings) -> Iterator[tuple[KeyPath, str]]:
    """Yield what is allowed and still doubtful, by its key; the default interval needs no warning."""
    key = ("settings", "poll_interval_secs")
    used = settings.poll_interval_secs
    given = document.get("settings", {}).get("poll_interval_secs", used)
    if given < used:
        yield key, f"poll_interval_secs = {given} is too short: {used} is used"
    often = over_budget(timedelta(seconds=used))
    if often:
        yield key, often

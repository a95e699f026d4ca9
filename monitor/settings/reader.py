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


def load(path: Path) -> Settings:
    """The settings of the file, or the defaults where there is none. Raises SettingsError."""
    try:
        return parse(path.read_bytes(), path)
    except FileNotFoundError:
        return Settings(path)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None


def parse(content: bytes, path: Path) -> Settings:
    """The settings in this content; `path` is what errors call it. Raises SettingsError."""
    source = Source(path, _decode(content, path))
    document = source.document()
    try:
        settings = _assemble(path, FILE(document))
        _check_references(settings)
    except InvalidValueError as error:
        raise source.error(error.path, str(error), hidden=error.hidden) from None
    lines = tuple(f"{source.line(at)}: {words}" for at, words in _warnings(document, settings))
    return settings if not lines else replace(settings, warnings=lines)


def _decode(content: bytes, path: Path) -> str:
    """The text, without the byte order mark that some editors put in front."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{path}:{line}: not UTF-8 text: save the file as UTF-8") from None


def _assemble(path: Path, given: dict[str, Any]) -> Settings:
    accounts = given.pop("accounts", ())
    return Settings(
        path,
        **given.pop("settings", {}),
        **given,
        accounts=tuple(account for account, _ in accounts),
        overrides={account.name: override for account, override in accounts if override},
    )


def _check_references(settings: Settings) -> None:
    """A channel needs its table, and none may send an account's own token anywhere."""
    rules = settings.notifications.rules.items()
    lists: dict[KeyPath, tuple[str, ...]] = {
        ("notifications", "channels"): settings.notifications.channels,
        **{
            ("notifications", "rules", kind, "channels"): rule.channels or ()
            for kind, rule in rules
        },
    }
    for path, names in lists.items():
        for place, name in enumerate(names):
            if name in REMOTE_CHANNELS and name not in settings.channels.names:
                words = f"has no target: add [channels.{name}]"
                raise InvalidValueError(words, *path, place)
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

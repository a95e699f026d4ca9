"""From the settings file to `Settings`: every key known, every type and value checked. Changes nothing."""

import math
from datetime import timedelta
from pathlib import Path
from typing import Final

from monitor.core.budget import over_budget
from monitor.core.errors import SettingsError
from monitor.core.model import Storage
from monitor.settings import checks
from monitor.settings.accounts import account_settings
from monitor.settings.alerts import notification_settings
from monitor.settings.channels import channel_settings, check_entries
from monitor.settings.errors import Source
from monitor.settings.model import (
    DEFAULT_POLL_INTERVAL_SECS,
    MAX_POLL_INTERVAL_SECS,
    MAX_TIMEOUT_SECS,
    MIN_POLL_INTERVAL_SECS,
    MIN_TIMEOUT_SECS,
    ApiSettings,
    ExporterSettings,
    Settings,
)
from monitor.settings.reader import Table

_TABLES: Final = ("settings", "exporter", "notifications", "channels", "api", "accounts")


def load(path: Path) -> Settings:
    """The settings of the file, or the defaults where there is none. Raises SettingsError."""
    try:
        return parse(path.read_bytes(), path)
    except FileNotFoundError:
        return Settings(path)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None


def parse(content: bytes, path: Path) -> Settings:
    """The settings that this content holds; `path` is what errors call it. Raises SettingsError."""
    source = Source(path, _decoded(content, path))
    top = Table(source, (), source.document(), *_TABLES)
    settings = top.table("settings", "poll_interval_secs", "active_account", "storage")
    channels = channel_settings(top)
    accounts, overrides = account_settings(top)
    check_entries(top, channels, {account.name for account in accounts})
    return Settings(
        path,
        poll_interval_secs=_poll_interval_secs(settings),
        active_account=settings.number("active_account", int, 0, 0, math.inf),
        exporter=top.table("exporter", "listen").text(
            "listen", ExporterSettings(), checks.parse_listen
        ),
        notifications=notification_settings(top, channels.names),
        channels=channels,
        api=_api(top),
        accounts=accounts,
        overrides=overrides,
        storage=settings.text("storage", None, _default_storage),
        warnings=_warnings(settings),
    )


def _decoded(content: bytes, path: Path) -> str:
    """The text, without the byte order mark that some editors put in front."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{path}:{line}: not UTF-8 text: save the file as UTF-8") from None


def _poll_interval_secs(table: Table) -> int:
    default = DEFAULT_POLL_INTERVAL_SECS
    secs = table.number("poll_interval_secs", int, default, -math.inf, MAX_POLL_INTERVAL_SECS)
    return max(secs, MIN_POLL_INTERVAL_SECS)


def _default_storage(word: str) -> Storage:
    """Where every account's token may be had from; the others need words of their own for each account."""
    return checks.parse_storage(word, (Storage.KEYRING, Storage.LINKED))


def _warnings(settings: Table) -> tuple[str, ...]:
    """The default interval needs none."""
    used = _poll_interval_secs(settings)
    said = settings.value("poll_interval_secs", int, used)
    short = f"poll_interval_secs = {said} is too short: {used} is used" if said < used else None
    words = (short, over_budget(timedelta(seconds=used)))
    return tuple(f"{settings.line('poll_interval_secs')}: {each}" for each in words if each)


def _api(top: Table) -> ApiSettings:
    table = top.table("api", "url", "web_url", "timeout_secs", "user_agent", "enabled")
    default = ApiSettings()
    return ApiSettings(
        url=table.text("url", default.url, checks.check_url),
        web_url=table.text("web_url", default.web_url, checks.check_url),
        timeout_secs=table.number(
            "timeout_secs", float, default.timeout_secs, MIN_TIMEOUT_SECS, MAX_TIMEOUT_SECS
        ),
        user_agent=table.text("user_agent", default.user_agent, checks.check_user_agent),
        enabled=table.value("enabled", bool, default.enabled),
    )

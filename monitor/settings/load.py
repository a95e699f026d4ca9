"""From the settings file to `Settings`: every key known, every type and value checked. Changes nothing."""

import math
from pathlib import Path
from typing import Final

from monitor.core.errors import SettingsError
from monitor.core.model import Account, AuthMethod
from monitor.settings import checks
from monitor.settings.source import Source, printable
from monitor.settings.table import Table, suggestion
from monitor.settings.values import (
    CHANNELS,
    DEFAULT_POLL_INTERVAL_SECS,
    MAX_POLL_INTERVAL_SECS,
    MAX_TIMEOUT_SECS,
    MIN_POLL_INTERVAL_SECS,
    MIN_TIMEOUT_SECS,
    ApiSettings,
    ExporterSettings,
    NotificationSettings,
    Settings,
)

_AUTH_METHODS: Final = {
    "oauth": AuthMethod.OAUTH,
    "o_auth": AuthMethod.OAUTH,  # an older spelling
    "session_key": AuthMethod.SESSION_KEY,
}
_AUTH_METHOD_IF_ABSENT: Final = AuthMethod.SESSION_KEY
"""Older files name no `auth_method` for the accounts that were entered by hand."""

_TABLES: Final = ("settings", "exporter", "notifications", "api", "accounts")


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
    settings = top.table("settings", "poll_interval_secs", "active_account")
    return Settings(
        path,
        poll_interval_secs=_poll_interval_secs(settings),
        active_account=settings.number("active_account", int, 0, 0, math.inf),
        exporter=top.table("exporter", "listen").text(
            "listen", ExporterSettings(), checks.parse_listen
        ),
        notifications=_notifications(top),
        api=_api(top),
        accounts=_accounts(top),
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


def _notifications(top: Table) -> NotificationSettings:
    table = top.table("notifications", "enabled", "channels", "thresholds", "reset")
    default = NotificationSettings()
    return NotificationSettings(
        enabled=table.value("enabled", bool, default.enabled),
        channels=_channels(table) if "channels" in table else default.channels,
        thresholds=_thresholds(table) if "thresholds" in table else default.thresholds,
        reset=table.value("reset", bool, default.reset),
    )


def _channels(table: Table) -> tuple[str, ...]:
    names = table.items("channels", str)
    for place, name in enumerate(names):
        if name not in CHANNELS:
            words = f"no channel is called {printable(name)!r}; {suggestion(name, CHANNELS)}"
            raise table.error(words, "channels", place)
        if name in names[:place]:
            raise table.error("is here a second time: remove one", "channels", place)
    return tuple(names)


def _thresholds(table: Table) -> tuple[float, ...]:
    percentages = table.items("thresholds", float)
    for place, percent in enumerate(percentages):
        if not 1 <= percent <= 100:
            raise table.error("must be a percentage from 1 to 100", "thresholds", place)
        if percent in percentages[:place]:
            raise table.error("is here a second time: remove one", "thresholds", place)
    return tuple(percent / 100 for percent in sorted(percentages))


def _api(top: Table) -> ApiSettings:
    table = top.table("api", "url", "web_url", "timeout_secs", "user_agent")
    default = ApiSettings()
    return ApiSettings(
        url=table.text("url", default.url, checks.check_url),
        web_url=table.text("web_url", default.web_url, checks.check_url),
        timeout_secs=table.number(
            "timeout_secs", float, default.timeout_secs, MIN_TIMEOUT_SECS, MAX_TIMEOUT_SECS
        ),
        user_agent=table.text("user_agent", default.user_agent, checks.check_user_agent),
    )


def _accounts(top: Table) -> tuple[Account, ...]:
    accounts: list[Account] = []
    for table in top.tables("accounts", "name", "org_id", "auth_method", "label"):
        account = _account(table)
        table.checked("name", checks.check_new_name, account, accounts)
        table.checked("label", checks.check_new_title, account, accounts)
        accounts.append(account)
    return tuple(accounts)


def _account(table: Table) -> Account:
    if "name" not in table:
        raise table.error('an account needs a name: add name = "user@example.com"')
    return Account(
        table.text("name", "", checks.check_name),
        org_id=table.text("org_id", "", checks.check_org_id),
        auth_method=table.text("auth_method", _AUTH_METHOD_IF_ABSENT, _auth_method),
        label=table.text("label", None, checks.check_label),
    )


def _auth_method(word: str) -> AuthMethod:
    if word not in _AUTH_METHODS:
        raise SettingsError(f'unknown: write "{AuthMethod.OAUTH}" or "{AuthMethod.SESSION_KEY}"')
    return _AUTH_METHODS[word]

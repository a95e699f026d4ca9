"""From the settings file to `Settings`: every key known, every type and value checked. Changes nothing."""

import math
from pathlib import Path
from typing import Final

from monitor.core.errors import SettingsError
from monitor.core.model import Account, AuthMethod
from monitor.core.rules import Override
from monitor.settings import checks
from monitor.settings.alerts import ACCOUNT_RULE_KEYS, account_override, notification_settings
from monitor.settings.channels import channel_settings, check_entries
from monitor.settings.source import Source
from monitor.settings.table import Table
from monitor.settings.values import (
    DEFAULT_POLL_INTERVAL_SECS,
    MAX_POLL_INTERVAL_SECS,
    MAX_TIMEOUT_SECS,
    MIN_POLL_INTERVAL_SECS,
    MIN_TIMEOUT_SECS,
    ApiSettings,
    ExporterSettings,
    Settings,
)

_AUTH_METHODS: Final = {
    "oauth": AuthMethod.OAUTH,
    "o_auth": AuthMethod.OAUTH,  # an older spelling
    "session_key": AuthMethod.SESSION_KEY,
}
_AUTH_METHOD_IF_ABSENT: Final = AuthMethod.SESSION_KEY
"""Older files name no `auth_method` for the accounts that were entered by hand."""

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
    settings = top.table("settings", "poll_interval_secs", "active_account")
    channels = channel_settings(top)
    accounts, overrides = _accounts(top)
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


def _accounts(top: Table) -> tuple[tuple[Account, ...], dict[str, Override]]:
    """The accounts, and the exceptions to the alert rules by account name."""
    accounts: list[Account] = []
    overrides: dict[str, Override] = {}
    keys = ("name", "org_id", "auth_method", "label", *ACCOUNT_RULE_KEYS)
    for table in top.tables("accounts", *keys):
        account = _account(table)
        table.checked("name", checks.check_new_name, account, accounts)
        table.checked("label", checks.check_new_title, account, accounts)
        accounts.append(account)
        override = account_override(table)
        if override is not None:
            overrides[account.name] = override
    return tuple(accounts), overrides


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

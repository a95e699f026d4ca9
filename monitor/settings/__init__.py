"""The settings file: typed values out of it, and edits that keep all the rest of it as it was."""

from monitor.settings.file import SettingsFile
from monitor.settings.model import (
    CHANNELS,
    AlertmanagerSettings,
    ApiSettings,
    AppriseSettings,
    ChannelSettings,
    CommandSettings,
    ExporterSettings,
    NotificationSettings,
    Settings,
    WebhookSettings,
    rule_book,
)
from monitor.settings.reader import (
    STATE_DB,
    config_path,
    load,
    parse,
    settings_id,
    state_db,
    state_folder,
)
from monitor.settings.values import (
    Address,
    Quiet,
    check_name,
    parse_duration,
    parse_listen,
    parse_since,
)

__all__ = [
    "CHANNELS",
    "STATE_DB",
    "Address",
    "AlertmanagerSettings",
    "ApiSettings",
    "AppriseSettings",
    "ChannelSettings",
    "CommandSettings",
    "ExporterSettings",
    "NotificationSettings",
    "Quiet",
    "Settings",
    "SettingsFile",
    "WebhookSettings",
    "check_name",
    "config_path",
    "load",
    "parse",
    "parse_duration",
    "parse_listen",
    "parse_since",
    "rule_book",
    "settings_id",
    "state_db",
    "state_folder",
]

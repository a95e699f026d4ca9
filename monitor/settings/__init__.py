"""The settings file: typed values out of it, and edits that keep all the rest of it as it was."""

from monitor.settings.alerts import rule_book
from monitor.settings.checks import check_name, parse_listen
from monitor.settings.durations import parse_duration, parse_since, render_duration
from monitor.settings.file import SettingsFile
from monitor.settings.load import load, parse
from monitor.settings.model import (
    CHANNELS,
    AlertmanagerSettings,
    ApiSettings,
    AppriseSettings,
    ChannelSettings,
    CommandSettings,
    ExporterSettings,
    NotificationSettings,
    Quiet,
    Settings,
    WebhookSettings,
)
from monitor.settings.paths import (
    STATE_DB,
    config_path,
    settings_id,
    state_db,
    state_folder,
)

__all__ = [
    "CHANNELS",
    "STATE_DB",
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
    "render_duration",
    "rule_book",
    "settings_id",
    "state_db",
    "state_folder",
]

"""The settings file: typed values out of it, and edits that keep all the rest of it as it was."""

from monitor.settings.checks import check_name, parse_listen
from monitor.settings.file import SettingsFile
from monitor.settings.load import load, parse
from monitor.settings.paths import config_path, state_folder
from monitor.settings.values import (
    CHANNELS,
    ApiSettings,
    ExporterSettings,
    NotificationSettings,
    Settings,
)

__all__ = [
    "CHANNELS",
    "ApiSettings",
    "ExporterSettings",
    "NotificationSettings",
    "Settings",
    "SettingsFile",
    "check_name",
    "config_path",
    "load",
    "parse",
    "parse_listen",
    "state_folder",
]

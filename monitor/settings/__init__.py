"""The settings file: its typed values, and edits that leave the rest of the file as it was."""

from monitor.settings.file import SettingsFile
from monitor.settings.model import ApiSettings, Settings, policy_of, rule_book
from monitor.settings.reader import load, state_db
from monitor.settings.schema import Address, parse_duration, parse_listen, parse_since

__all__ = [
    "Address",
    "ApiSettings",
    "Settings",
    "SettingsFile",
    "load",
    "parse_duration",
    "parse_listen",
    "parse_since",
    "policy_of",
    "rule_book",
    "state_db",
]

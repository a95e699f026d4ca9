"""The settings that the core needs."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from monitor.core.alerts.rules import RuleBook


class Theme(StrEnum):
    """What colours are read on; `AUTO` finds out. The words of the settings file."""

    DARK = "dark"
    LIGHT = "light"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Display:
    """How the table is drawn; with `ascii`, without any character that not every terminal has."""

    theme: Theme = Theme.AUTO
    ascii: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """How often each account is polled, and which alert rules hold.

    Without `polls` the API is never asked, and figures come from Claude Code alone. With `keeps_history` samples are
    written down.
    """

    interval: timedelta = timedelta(seconds=180)
    alerts: RuleBook = field(default_factory=RuleBook)
    polls: bool = True
    keeps_history: bool = True
    display: Display = Display()

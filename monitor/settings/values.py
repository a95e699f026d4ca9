"""What the settings file says, as typed values. Every default of the public interface is here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from monitor.core.model import Account

CHANNELS: Final = ("desktop", "terminal", "bell")
"""The channels that `notifications.channels` may name."""

DEFAULT_POLL_INTERVAL_SECS: Final = 180
MIN_POLL_INTERVAL_SECS: Final = 30
MAX_POLL_INTERVAL_SECS: Final = 365 * 24 * 60 * 60
MIN_TIMEOUT_SECS: Final = 0.1
MAX_TIMEOUT_SECS: Final = 300


@dataclass(frozen=True, slots=True)
class ExporterSettings:
    """Where `/metrics` is served; nowhere if `host` is None. Port 0 is any free one."""

    host: str | None = "127.0.0.1"
    port: int | None = 15707


@dataclass(frozen=True, slots=True)
class NotificationSettings:
    """What to tell the user, and on which channels, in order of preference. Thresholds are rising ratios."""

    enabled: bool = True
    channels: tuple[str, ...] = ("desktop",)
    thresholds: tuple[float, ...] = (0.80, 0.95, 1.00)
    reset: bool = True


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Whom to ask. URLs have no trailing slash; a `user_agent` of None is the program's own."""

    url: str = "https://api.anthropic.com"
    web_url: str = "https://claude.ai"
    timeout_secs: float = 10
    user_agent: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole file. `active_account` is an index into `accounts` and may lie outside of them."""

    path: Path
    poll_interval_secs: int = DEFAULT_POLL_INTERVAL_SECS
    active_account: int = 0
    exporter: ExporterSettings = ExporterSettings()
    notifications: NotificationSettings = NotificationSettings()
    api: ApiSettings = ApiSettings()
    accounts: tuple[Account, ...] = ()

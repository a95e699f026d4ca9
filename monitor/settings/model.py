"""What the settings file says, as typed values. Every default of the public interface is here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Final

from monitor.core.alerts.rules import DEFAULT_RULES, Override, Rule
from monitor.core.effects import AlertKind
from monitor.core.model import Account, Storage

REMOTE_CHANNELS: Final = ("command", "webhook", "alertmanager", "apprise")
"""The channels that need a table of their own: `[channels.webhook]`."""

CHANNELS: Final = ("desktop", "terminal", "bell", *REMOTE_CHANNELS)
"""The channels that `notifications.channels` may name."""

WEBHOOK_FORMS: Final = ("json", "ntfy", "slack")

DEFAULT_POLL_INTERVAL_SECS: Final = 180
MIN_POLL_INTERVAL_SECS: Final = 30
MAX_POLL_INTERVAL_SECS: Final = 365 * 24 * 60 * 60
MIN_TIMEOUT_SECS: Final = 0.1
MAX_TIMEOUT_SECS: Final = 300
DEFAULT_CHANNEL_TIMEOUT_SECS: Final = 10


@dataclass(frozen=True, slots=True)
class ExporterSettings:
    """Where `/metrics` is served; nowhere if `host` is None. Port 0 is any free one."""

    host: str | None = "127.0.0.1"
    port: int | None = 15707


@dataclass(frozen=True, slots=True)
class Quiet:
    """Quiet hours, in local time; an end that is not after the start is on the next day."""

    start: time
    end: time

    def until(self, now: datetime, zone: tzinfo | None = None) -> datetime | None:
        """When the quiet hours end that `now` lies in, else None; a `zone` of None is the machine's."""
        local = now.astimezone(zone).replace(tzinfo=None)
        for day in (local.date() - timedelta(days=1), local.date()):
            start = datetime.combine(day, self.start)
            last = day if self.start < self.end else day + timedelta(days=1)
            end = datetime.combine(last, self.end)
            if start <= local < end:
                return (end if zone is None else end.replace(tzinfo=zone)).astimezone(now.tzinfo)
        return None


@dataclass(frozen=True, slots=True)
class NotificationSettings:
    """What to tell the user, and on which channels, in order of preference. Thresholds are rising ratios.

    `fan_out` tells each alert on all channels instead of the first that works. `rules` has every rule, with what
    the file says of it; a `reset` of False silences two of them whatever they say.
    """

    enabled: bool = True
    channels: tuple[str, ...] = ("desktop",)
    thresholds: tuple[float, ...] = (0.80, 0.95, 1.00)
    reset: bool = True
    fan_out: bool = False
    quiet_hours: Quiet | None = None
    rules: Mapping[AlertKind, Rule] = field(default_factory=lambda: DEFAULT_RULES)


@dataclass(frozen=True, slots=True)
class CommandSettings:
    """A program that is run for each alert."""

    argv: tuple[str, ...]
    timeout_secs: float = DEFAULT_CHANNEL_TIMEOUT_SECS


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """A URL that each alert is posted to. `token` is the name of an entry in the keyring, never the token itself."""

    url: str
    form: str = "json"
    token: str | None = None
    timeout_secs: float = DEFAULT_CHANNEL_TIMEOUT_SECS


@dataclass(frozen=True, slots=True)
class AlertmanagerSettings:
    """Where Prometheus's Alertmanager is, without a trailing slash."""

    url: str


@dataclass(frozen=True, slots=True)
class AppriseSettings:
    """`urls` is the name of an entry in the keyring that holds Apprise's URLs, one a line."""

    urls: str


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """What the channels with a table of their own need; None for those without one."""

    command: CommandSettings | None = None
    webhook: WebhookSettings | None = None
    alertmanager: AlertmanagerSettings | None = None
    apprise: AppriseSettings | None = None

    @property
    def names(self) -> frozenset[str]:
        """The channels that have what they need."""
        return frozenset(name for name in REMOTE_CHANNELS if getattr(self, name) is not None)

    @property
    def entries(self) -> Mapping[str, str]:
        """The entries of the keyring that channels use, by the keys that name them."""
        token = self.webhook.token if self.webhook else None
        named = {"webhook.token": token, "apprise.urls": self.apprise and self.apprise.urls}
        return {key: entry for key, entry in named.items() if entry}


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Whom to ask. URLs have no trailing slash; a `user_agent` of None is the program's own.

    Unless `enabled`, nothing is asked of anybody.
    """

    url: str = "https://api.anthropic.com"
    web_url: str = "https://claude.ai"
    timeout_secs: float = 10
    user_agent: str | None = None
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole file. `active_account` is an index into `accounts` and may lie outside of them.

    `overrides` are the exceptions to the alert rules, by the name of the account that they are about.
    `storage` is where tokens are had from for accounts that say nothing; None is for wherever they can be had.
    `warnings` are lines about what is allowed, and still doubtful; they are no part of what the file means.
    """

    path: Path
    poll_interval_secs: int = DEFAULT_POLL_INTERVAL_SECS
    active_account: int = 0
    exporter: ExporterSettings = ExporterSettings()
    notifications: NotificationSettings = NotificationSettings()
    channels: ChannelSettings = ChannelSettings()
    api: ApiSettings = ApiSettings()
    accounts: tuple[Account, ...] = ()
    overrides: Mapping[str, Override] = field(default_factory=dict)
    storage: Storage | None = None
    warnings: tuple[str, ...] = field(default=(), compare=False)

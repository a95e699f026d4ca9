"""The one state that the screen, the metrics and the JSON document are views of. Replaced, never edited."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from monitor.core.alerts.rules import Alert, Condition, RuleBook
from monitor.core.exhaustion import PoolForecast
from monitor.core.model import AccountState, fresh_for

LOG_LENGTH: Final = 50


class Theme(StrEnum):
    """Colours are read on this; `AUTO` finds out. The words of the settings file."""

    DARK = "dark"
    LIGHT = "light"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Display:
    """The look of the table; with `ascii`, it has no character that some terminals lack."""

    theme: Theme = Theme.AUTO
    ascii: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings that the core needs: how often each account is polled, and which alert rules hold.

    Without `polls` the API is never asked, and figures come from Claude Code alone. With `keeps_history` samples are
    written down.
    """

    interval: timedelta = timedelta(seconds=180)
    alerts: RuleBook = field(default_factory=RuleBook)
    polls: bool = True
    keeps_history: bool = True
    display: Display = Display()


@dataclass(frozen=True, slots=True)
class LoggedAlert:
    """An alert that fired at `fired_at`, and its outcome in words: empty while it waits to be sent."""

    alert: Alert
    fired_at: datetime
    is_sent: bool = False
    outcome: str = ""

    def with_outcome(self, channel: str, failure: str | None) -> "LoggedAlert":
        """Note an attempt on one channel; once the alert was sent somewhere, failures elsewhere are ignored."""
        if failure is None:
            sent = f"{self.outcome}, sent ({channel})" if self.is_sent else f"sent ({channel})"
            return replace(self, is_sent=True, outcome=sent)
        return self if self.is_sent else replace(self, outcome=f"not sent ({channel}: {failure})")

    def rename(self, names: Mapping[str, str]) -> "LoggedAlert":
        """Give the entry its account's new name, where it has one."""
        new = names.get(self.alert.account)
        return self if new is None else replace(self, alert=replace(self.alert, account=new))


@dataclass(frozen=True, slots=True)
class NotificationLog:
    """The outcomes of notifications: counts by (channel, kind) and by (channel, reason), and the newest outcome.

    `channels` are those that alerts are sent by; `sent_at` is when a channel last worked.
    """

    channels: tuple[str, ...] = ()
    told: Mapping[tuple[str, str], int] = field(default_factory=dict)
    failed: Mapping[tuple[str, str], int] = field(default_factory=dict)
    sent_at: Mapping[str, datetime] = field(default_factory=dict)
    last_channel: str | None = None
    last_failure: str | None = None


LATELY: Final = timedelta(hours=1)
"""After so long a pause work may as well go on with another account: its prompt cache is gone."""


@dataclass(frozen=True, slots=True)
class State:
    """Accounts by name, in the order of the settings; `active` is an index into them.

    `restored` waits for its accounts to be loaded. `storage_failure` says why alerts are not being written down,
    `looked_around` that nothing is polled, and Claude Code's own figures were read. `log` has the newest alerts,
    the oldest of them first. `loaded_at` is when the settings were last read, `reload_failed` that they are wrong now.
    `clock_offset` is what the machine's clock lacks; all instants of the state are true ones.
    """

    policy: Policy = field(default_factory=Policy)
    accounts: Mapping[str, AccountState] = field(default_factory=dict)
    active: int = 0
    logged_in: str | None = None
    notifications: NotificationLog = NotificationLog()
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    muted_until: datetime | None = None
    restored: Mapping[str, AccountState] = field(default_factory=dict)
    storage_failure: str | None = None
    looked_around: bool = False
    pool: PoolForecast | None = None
    log: tuple[LoggedAlert, ...] = ()
    loaded_at: datetime | None = None
    reload_failed: bool = False
    clock_offset: timedelta = timedelta(0)

    @property
    def active_account(self) -> str | None:
        names = list(self.accounts)
        return names[self.active] if 0 <= self.active < len(names) else None

    def in_use(self, now: datetime) -> str | None:
        """Name the account that somebody works with.

        Of those with a folder of their own it is the one that was used last, if that was lately; else the one that
        Claude Code is logged into.
        """
        used = [
            (account.used_at, name)
            for name, account in self.accounts.items()
            if (account.config_dir or name == self.logged_in)
            and account.used_at is not None
            and now - account.used_at <= LATELY
        ]
        return max(used)[1] if used else self.logged_in

    def fresh_pool(self, now: datetime) -> PoolForecast | None:
        """Return the forecast of all accounts together, unless it is too old to be shown."""
        old = self.pool is None or now - self.pool.at > fresh_for(self.policy.interval)
        return None if old else self.pool

    @property
    def last_success_at(self) -> datetime | None:
        """The newest success of any account."""
        times = [a.last_success_at for a in self.accounts.values() if a.last_success_at]
        return max(times, default=None)


def changed_accounts(before: State, after: State) -> list[str]:
    """Return the names of the accounts that are new in `after`, or not as they were."""
    old = before.accounts
    return [name for name, account in after.accounts.items() if old.get(name) is not account]

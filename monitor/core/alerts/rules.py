"""Alerts, the rules by which the user chooses among them, and what the alert machine remembers.

Pure: all of it is replaced, never edited.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final


class AlertKind(StrEnum):
    """The kinds of alerts: the names of their rules in the settings, and the `kind` of the notification metrics."""

    THRESHOLD = "threshold"
    LIMIT = "limit"
    RESET = "reset"
    EARLY_RESET = "early_reset"
    PACE = "pace"
    LOGIN = "login"
    EXPIRY = "expiry"
    UNREADABLE = "unreadable"
    LIMIT_CHANGED = "limit_changed"
    WEEK_EXPIRED = "week_expired"
    EXHAUSTED = "exhausted"
    EXHAUSTED_SOON = "exhausted_soon"
    FREE = "free"
    SUMMARY = "summary"
    TEST = "test"


LEVELS: Final = frozenset({AlertKind.THRESHOLD, AlertKind.LIMIT})
"""Alerts of a utilization that was reached, which stays reached until the window's end."""

RESETS: Final = frozenset({AlertKind.RESET, AlertKind.EARLY_RESET})
OF_WINDOWS: Final = LEVELS | RESETS | {AlertKind.PACE}
"""Rules that can be set for some windows alone."""

OF_ACCOUNTS: Final = (
    AlertKind.LOGIN,
    AlertKind.UNREADABLE,
    AlertKind.EXPIRY,
    AlertKind.LIMIT_CHANGED,
)
"""Conditions of a whole account."""

OF_ALL: Final = (AlertKind.EXHAUSTED, AlertKind.EXHAUSTED_SOON)
"""Conditions of all accounts together."""

GOOD_NEWS: Final = RESETS | {AlertKind.FREE}
MOMENTARY: Final = GOOD_NEWS | {AlertKind.WEEK_EXPIRED, AlertKind.SUMMARY, AlertKind.TEST}
"""Alerts of an instant; all others last, and fire until their condition ceases."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to tell the user once. `threshold` and `utilization` are ratios.

    `window` is empty for what concerns a whole account, and `account` for what concerns all of them.
    `resets_at` is when the window ends; for a reset, when it ended (or was seen to);
    for anything else, the instant that matters: when a window will be full, a token ends, an account is free.
    `period` names the period of the window: a rule alerts once in each. Empty where there is none.
    `generation` is that of its `WindowMemory`, where the alert is about a sample. Of a changed limit, `utilization` is
    the part of the week that a full 5-hour window costs now.
    """

    kind: AlertKind
    account: str
    window: str
    at: datetime
    utilization: float = 0.0
    threshold: float | None = None
    resets_at: datetime | None = None
    detail: str = ""
    period: str = ""
    generation: int = 0

    @property
    def rule(self) -> str:
        """The name of its alert rule in metrics: `threshold_80`, `reset`."""
        return self.kind if self.threshold is None else threshold_rule(self.threshold)


def threshold_rule(threshold: float) -> str:
    """The name of a threshold's alert rule: 0.8 is `threshold_80`."""
    return f"{AlertKind.THRESHOLD}_{threshold * 100:g}"


class Urgency(StrEnum):
    """The urgency of an alert; the words of the settings."""

    LOW = "low"
    NORMAL = "normal"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert rule. None stands for all windows, all accounts, the usual channels.

    `hold` is how long its condition must last before it alerts (Prometheus's `for`).
    """

    enabled: bool = True
    windows: tuple[str, ...] | None = None
    accounts: tuple[str, ...] | None = None
    hold: timedelta = timedelta(0)
    channels: tuple[str, ...] | None = None
    urgency: Urgency = Urgency.NORMAL


DEFAULT_RULES: Final[Mapping[AlertKind, Rule]] = {
    AlertKind.THRESHOLD: Rule(),
    AlertKind.LIMIT: Rule(urgency=Urgency.CRITICAL),
    AlertKind.RESET: Rule(),
    AlertKind.EARLY_RESET: Rule(),
    AlertKind.PACE: Rule(hold=timedelta(minutes=5)),
    # One refused answer may be a slip of the server: the next poll, or the one after it, is waited for.
    AlertKind.LOGIN: Rule(hold=timedelta(minutes=5)),
    AlertKind.EXPIRY: Rule(),
    AlertKind.UNREADABLE: Rule(hold=timedelta(minutes=15)),
    AlertKind.LIMIT_CHANGED: Rule(),
    AlertKind.WEEK_EXPIRED: Rule(enabled=False),
    AlertKind.EXHAUSTED: Rule(urgency=Urgency.CRITICAL),
    AlertKind.EXHAUSTED_SOON: Rule(),
    AlertKind.FREE: Rule(),
}


@dataclass(frozen=True, slots=True)
class Override:
    """The exceptions for one account: its thresholds (ratios), and the rules that are silent for it."""

    thresholds: tuple[float, ...] | None = None
    silent: frozenset[AlertKind] = frozenset()


NO_THRESHOLDS: Final = "none"


def render_thresholds(thresholds: tuple[float, ...] | None) -> str:
    """Thresholds as a person types them: `80, 97.5`, `none`; nothing for None, which is the usual ones."""
    if thresholds is None:
        return ""
    return ", ".join(f"{round(ratio * 100, 6):g}" for ratio in thresholds) or NO_THRESHOLDS


def parse_thresholds(text: str) -> tuple[float, ...] | None:
    """Read what `render_thresholds` makes. Raises ValueError with words for the person."""
    if text.strip() in ("", NO_THRESHOLDS):
        return () if text.strip() else None
    try:
        percents = {float(part.removesuffix("%")) for part in _split(text)}
    except ValueError:
        percents = {0.0}
    if not all(1 <= percent <= 100 for percent in percents):
        raise ValueError(f"thresholds are percentages from 1 to 100, or {NO_THRESHOLDS}")
    return tuple(sorted(percent / 100 for percent in percents))


def parse_share(text: str) -> float:
    """Read a percentage as a ratio; one below 1 needs its sign. Raises ValueError with words for the person."""
    number = text.strip().removesuffix("%")
    try:
        percent = float(number)
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 100:
        raise ValueError("the reserve is a percentage from 0 to 100")
    if 0 < percent < 1 and number == text.strip():  # as the settings file has it
        raise ValueError(f"the reserve is a percentage: {percent * 100:g} or {percent:g}%?")
    return percent / 100


def parse_silent(text: str) -> frozenset[AlertKind]:
    """Read names of rules. Raises ValueError with words for the person."""
    known = {str(kind): kind for kind in DEFAULT_RULES}
    names = _split(text)
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"{unknown[0]} is not a rule: {', '.join(known)}")
    return frozenset(known[name] for name in names)


def _split(text: str) -> list[str]:
    return text.replace(",", " ").split()


@dataclass(frozen=True, slots=True)
class RuleBook:
    """All rules and exceptions."""

    thresholds: tuple[float, ...] = (0.80, 0.95, 1.00)
    rules: Mapping[AlertKind, Rule] = field(default_factory=lambda: DEFAULT_RULES)
    overrides: Mapping[str, Override] = field(default_factory=dict)
    enabled: bool = True

    def rule(self, kind: AlertKind) -> Rule:
        return self.rules.get(kind, DEFAULT_RULES.get(kind, Rule()))

    def applies(self, kind: AlertKind, account: str, window: str | None = None) -> bool:
        """Return whether alerts of this kind are sent of this account and window (None: of any)."""
        return not self.silence(kind, account, window)

    def silence(self, kind: AlertKind, account: str, window: str | None = None) -> str:
        """Name the setting that silences alerts of this kind, in words; empty where none does."""
        rule = self.rule(kind)
        if not self.enabled:
            return "notifications.enabled is false"
        if not rule.enabled:
            return "the rule is off"
        if kind in self.overrides.get(account, Override()).silent:
            return "the account's settings say so"
        if rule.accounts is not None and account not in rule.accounts:
            return "the rule is about other accounts"
        if rule.windows is not None and window is not None and window not in rule.windows:
            return f"the rule is about {', '.join(rule.windows)}"
        return ""

    def thresholds_of(self, account: str) -> tuple[float, ...]:
        """The account's thresholds, in rising order."""
        own = self.overrides.get(account, Override()).thresholds
        return self.thresholds if own is None else own


# What the alert machine remembers


@dataclass(frozen=True, slots=True)
class Condition:
    """The alert machine's memory of a lasting condition; see `monitor.core.alerts.conditions`.

    It holds `since`; it was sent at `told_at`; it has ceased at `ceased_at`. Once told it is not told again
    before `until`, where that is set: the end of the window period that it is about. `freed_at` is when an
    account was called free again, where the condition is that none had room. `alert` is what is so, as it was seen
    last, since then; a condition that an older version has kept has none until it is seen again.
    """

    since: datetime
    told_at: datetime | None = None
    ceased_at: datetime | None = None
    until: datetime | None = None
    freed_at: datetime | None = None
    alert: Alert | None = None

    def shift(self, by: timedelta) -> "Condition":
        """Move its instants, for a clock that was set by this much."""
        return replace(
            self,
            since=self.since + by,
            told_at=self.told_at and self.told_at + by,
            ceased_at=self.ceased_at and self.ceased_at + by,
            freed_at=self.freed_at and self.freed_at + by,
            alert=self.alert and replace(self.alert, at=self.alert.at + by),
        )


@dataclass(frozen=True, slots=True)
class Point:
    """A utilization at an instant."""

    at: datetime
    utilization: float


@dataclass(frozen=True, slots=True)
class EndedWeek:
    """A week that has ended, until the user is told what of it expired.

    `utilization` was read last at `read_at`, before the `end`, which was noticed at `noticed_at`.
    """

    end: datetime
    period: str
    utilization: float
    read_at: datetime
    noticed_at: datetime

    def shift(self, by: timedelta) -> "EndedWeek":
        """Move the instants of our own clock, which was set by this much."""
        return replace(self, read_at=self.read_at + by, noticed_at=self.noticed_at + by)


@dataclass(frozen=True, slots=True)
class WindowMemory:
    """The alert machine's memory of one window of one account; see `monitor.core.alerts.machine`.

    `low_since` is when a hint of an early reset was seen, and `low_end` the end that it named.
    `told` are the thresholds that need no more words in this period, `reached` those that the newest samples
    are at or above, and since when; `track` is what the pace is measured by; `generation` counts the early
    resets behind which the window has kept its end. `ended_week` is the period before, of a week, while that is news.
    """

    at: datetime
    utilization: float
    resets_at: datetime | None
    peak: float
    told: frozenset[float] = frozenset()
    low_since: datetime | None = None
    low_end: datetime | None = None
    reached: Mapping[float, datetime] = field(default_factory=dict)
    track: tuple[Point, ...] = ()
    generation: int = 0
    ended_week: EndedWeek | None = None

    @property
    def period(self) -> str:
        """A name for the period that is the same in every process; empty where its end is not known."""
        if self.resets_at is None:
            return ""
        end = round(self.resets_at.timestamp() / 60)
        return f"{end}+{self.generation}" if self.generation else f"{end}"

    def shift(self, by: timedelta) -> "WindowMemory":
        """Move its instants, for a clock that was set by this much; those that the server named stay."""
        return replace(
            self,
            at=self.at + by,
            low_since=self.low_since and self.low_since + by,
            reached={threshold: since + by for threshold, since in self.reached.items()},
            track=tuple(replace(point, at=point.at + by) for point in self.track),
            ended_week=self.ended_week and self.ended_week.shift(by),
        )

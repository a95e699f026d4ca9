"""Alerts, and the rules as the user sets them: which speak, of what, after how long, and how loudly. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final


class AlertKind(StrEnum):
    """What an alert says; the name of its rule in the settings, and the `kind` of the notification metrics."""

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


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to tell the user once. `threshold` and `utilization` are ratios.

    `window` is empty for what concerns a whole account, and `account` for what concerns all of them.
    `resets_at` is when the window that is spoken of ends; for a reset, when it ended (or was seen to);
    for anything else, the instant that matters: when a window will be full, a token ends, an account is free.
    `period` names the window period that is spoken of: a rule speaks once in each. Empty where there is none.
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

    @property
    def rule(self) -> str:
        """The alert rule that speaks, as metrics name it: `threshold_80`, `reset`."""
        return self.kind if self.threshold is None else threshold_rule(self.threshold)


def threshold_rule(threshold: float) -> str:
    """The name of a threshold's alert rule: 0.8 is `threshold_80`."""
    return f"{AlertKind.THRESHOLD}_{threshold * 100:g}"


class Urgency(StrEnum):
    """How much an alert presses; the words of the settings."""

    LOW = "low"
    NORMAL = "normal"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert rule. None stands for all windows, all accounts, the usual channels.

    `hold` is how long its condition must last before it speaks (Prometheus's `for`).
    """

    enabled: bool = True
    windows: tuple[str, ...] | None = None
    accounts: tuple[str, ...] | None = None
    hold: timedelta = timedelta(0)
    channels: tuple[str, ...] | None = None
    urgency: Urgency = Urgency.NORMAL

    def covers(self, account: str, window: str | None) -> bool:
        """Whether the rule speaks of this account and window; a rule about no window covers every one."""
        return (
            self.enabled
            and (self.accounts is None or account in self.accounts)
            and (self.windows is None or window is None or window in self.windows)
        )


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
    """What is different for one account: its thresholds (ratios), and the rules that are silent for it."""

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
        percents = {float(part.removesuffix("%")) for part in _words(text)}
    except ValueError:
        percents = {0.0}
    if not all(1 <= percent <= 100 for percent in percents):
        raise ValueError(f"thresholds are percentages from 1 to 100, or {NO_THRESHOLDS}")
    return tuple(sorted(percent / 100 for percent in percents))


def parse_share(text: str) -> float:
    """Read a percentage as a ratio. Raises ValueError with words for the person."""
    try:
        percent = float(text.strip().removesuffix("%"))
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 100:
        raise ValueError("the reserve is a percentage from 0 to 100")
    return percent / 100


def parse_silent(text: str) -> frozenset[AlertKind]:
    """Read names of rules. Raises ValueError with words for the person."""
    known = {str(kind): kind for kind in DEFAULT_RULES}
    names = _words(text)
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"{unknown[0]} is not a rule: {', '.join(known)}")
    return frozenset(known[name] for name in names)


def _words(text: str) -> list[str]:
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
        """Whether alerts of this kind are to be told of this account and window."""
        if not self.enabled or kind in self._override(account).silent:
            return False
        return self.rule(kind).covers(account, window)

    def thresholds_of(self, account: str) -> tuple[float, ...]:
        """The account's thresholds, in rising order."""
        own = self._override(account).thresholds
        return self.thresholds if own is None else own

    def _override(self, account: str) -> Override:
        return self.overrides.get(account, Override())

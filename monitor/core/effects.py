"""An alert: the one effect that an event may have, and the only way out of the core."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


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

"""The settings that the core needs."""

from dataclasses import dataclass, field
from datetime import timedelta

from monitor.core.alerts.rules import RuleBook


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

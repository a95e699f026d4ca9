"""Tells alerts: collects what belongs together, tries channels until one works, and notes what became of each."""

from monitor.notifier.channel import Channel, Outcome
from monitor.notifier.journal import Journal, NoJournal
from monitor.notifier.lane import DROPPED_AFTER, NEWS_FOR, RETRIES, STALE_RETRY
from monitor.notifier.notifier import Notifier
from monitor.notifier.teller import GRACE_SECS, LIMIT_SECS, MARGIN_SECS, REST_SECS, Teller

__all__ = [
    "DROPPED_AFTER",
    "GRACE_SECS",
    "LIMIT_SECS",
    "MARGIN_SECS",
    "NEWS_FOR",
    "REST_SECS",
    "RETRIES",
    "STALE_RETRY",
    "Channel",
    "Journal",
    "NoJournal",
    "Notifier",
    "Outcome",
    "Teller",
]

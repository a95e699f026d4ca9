"""Sends alerts: collects what belongs together, tries channels until one works, and writes the result of each."""

from monitor.notify.channel import (
    GRACE_SECS,
    LIMIT_SECS,
    MARGIN_SECS,
    REST_SECS,
    Channel,
    Outcome,
    Sender,
)
from monitor.notify.channel_queue import DROPPED_AFTER, NEWS_FOR, RETRIES, STALE_RETRY
from monitor.notify.journal import Journal, NoJournal
from monitor.notify.queue import Notifier

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
    "Sender",
]

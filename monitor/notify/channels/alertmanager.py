"""Sends alerts to Prometheus's Alertmanager, by the protocol that Prometheus itself uses (`POST /api/v2/alerts`).

Alertmanager identifies an alert by its labels, and takes it as resolved once its `endsAt` has passed; the sender
repeats that it fires. So what lasts is sent by `send` and then by each `refresh`, and once it has ended it is sent as
resolved, for five minutes. What happens in an instant, such as a reset, just ends five minutes later.

A window's usage does not fall before the window's end: its alerts hold until then even where we are gone or the
machine sleeps, though no longer than half a day, lest an early reset that nobody saw keep one firing for a week.
All else holds for as long as a few refreshes take.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from monitor.core.alerts.rules import LEVELS, MOMENTARY, Alert, AlertKind, Urgency
from monitor.core.alerts.text import Message, format_alert
from monitor.core.format import iso
from monitor.core.sanitize import one_line
from monitor.notify.channel import Channel
from monitor.notify.channels.webhook import post

LEASE: Final = timedelta(minutes=4)
"""An alert that lasts fires so long without a refresh: three of them, at one a minute, and some time to spare."""

WINDOW_LEASE: Final = timedelta(hours=12)
INSTANT: Final = timedelta(minutes=5)
RESOLVED_FOR: Final = timedelta(minutes=5)

_SEVERITY: Final = {
    Urgency.LOW: "info",
    Urgency.NORMAL: "warning",
    Urgency.CRITICAL: "critical",
}

AlertKey = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Sent:
    """An alert that Alertmanager knows of; `ended_at` is None while it fires."""

    alert: Alert
    ended_at: datetime | None = None


class Alertmanager(Channel):
    """One Alertmanager, or the address that stands for a cluster of them.

    `urgency_of` becomes the severity, which is a part of an alert's identity there: it must depend on the alert's
    rule alone.
    """

    name = "alertmanager"

    def __init__(
        self,
        url: str,
        now: Callable[[], datetime],
        urgency_of: Callable[[Alert], Urgency],
    ) -> None:
        self._now = now
        self._urgency_of = urgency_of
        self._url = f"{url}/api/v2/alerts"
        self._sent: dict[AlertKey, Sent] = {}

    async def send(
        self,
        message: Message,  # noqa: ARG002 - each alert has a text and a severity of its own
        alerts: Sequence[Alert],
    ) -> None:
        """Send each alert on its own, since Alertmanager groups them itself. Raises ChannelError.

        One that stands for several accounts is left to `refresh`, which sends one for each.
        """
        alone = (a for a in alerts if a.account or a.kind is not AlertKind.UNREADABLE)
        sent = {alert_key(alert): Sent(alert) for alert in alone}
        if not sent:
            return
        await self._post(sent.values(), self._now())
        self._sent |= {key: one for key, one in sent.items() if one.alert.kind not in MOMENTARY}

    async def refresh(self, firing: Sequence[Alert], now: datetime, *, quiet: bool = False) -> None:
        """Send again all that fires, and for a while what fires no more. Raises ChannelError.

        While `quiet`, nothing is sent that was not sent before.
        """
        known = {key for key, sent in self._sent.items() if sent.ended_at is None}
        new = set() if quiet else {alert_key(a) for a in firing} - _find_lower_thresholds(firing)
        fires = {alert_key(a): Sent(a) for a in firing if alert_key(a) in known | new}
        ended = {
            key: Sent(sent.alert, sent.ended_at or now)
            for key, sent in self._sent.items()
            if key not in fires
        }
        if fires or ended:
            await self._post([*fires.values(), *ended.values()], now)
        self._sent |= fires | ended  # something may have been sent meanwhile
        for key, sent in ended.items():
            if sent.ended_at is not None and now - sent.ended_at >= RESOLVED_FOR:
                del self._sent[key]

    async def _post(self, sent: Iterable[Sent], now: datetime) -> None:
        body = json.dumps([self._postable(one, now) for one in sent]).encode()
        await post(self._url, body, {"Content-Type": "application/json"})

    def _postable(self, sent: Sent, now: datetime) -> Mapping[str, Any]:
        alert = sent.alert
        urgency = self._urgency_of(alert)
        message = format_alert(replace(alert, at=sent.ended_at or now))
        return {
            "labels": labels(alert, urgency),
            "annotations": {"summary": message.title, "description": message.body},
            "startsAt": iso(min(alert.at, now)),
            "endsAt": iso(sent.ended_at or ends_at(alert, now)),
        }


def labels(alert: Alert, urgency: Urgency) -> Mapping[str, str]:
    """Make the labels that identify an alert. Empty labels are left out, which is the same to Alertmanager."""
    if urgency is Urgency.NORMAL and alert.threshold is not None and alert.threshold >= 1:
        urgency = Urgency.CRITICAL
    named = {
        "alertname": alertname(alert.kind),
        "account": one_line(alert.account),
        "window": one_line(alert.window),
        "rule": alert.rule,
        "severity": _SEVERITY[urgency],
    }
    return {name: value for name, value in named.items() if value}


def alertname(kind: AlertKind) -> str:
    """Name a kind as Prometheus does: `ClaudeUsageThreshold`, `ClaudeUsageEarlyReset`."""
    return "ClaudeUsage" + "".join(part.capitalize() for part in kind.split("_"))


def ends_at(alert: Alert, now: datetime) -> datetime:
    """Return the instant until which an alert fires if it is not sent again."""
    if alert.kind in MOMENTARY:
        return now + INSTANT
    end = alert.resets_at
    if alert.kind in LEVELS and end is not None and end > now:
        return min(end, now + WINDOW_LEASE)
    return now + LEASE


def alert_key(alert: Alert) -> AlertKey:
    return alert.account, alert.window, alert.rule


def _find_lower_thresholds(firing: Sequence[Alert]) -> set[AlertKey]:
    """Find the thresholds below another one of their window: a jump past several of them is one alert, not many."""
    levels = {
        alert_key(a): 1.0 if a.kind is AlertKind.LIMIT else a.threshold or 0.0 for a in firing
    }
    highest: dict[tuple[str, str], float] = {}
    for (account, window, _), level in levels.items():
        highest[account, window] = max(level, highest.get((account, window), 0.0))
    return {key for key, level in levels.items() if 0 < level < highest[key[:2]]}

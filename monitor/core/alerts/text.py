"""The text of alerts. Pure: the time zone is an argument, and an alert's own instant is the present."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from monitor.core.alerts.rules import LEVELS, Alert, AlertKind, Urgency
from monitor.core.format import clock, duration, exact_percent, percent
from monitor.core.sanitize import one_line


@dataclass(frozen=True, slots=True)
class Message:
    """The text that a channel shows: plain, without control characters, but for the line ends of a summary's body."""

    title: str
    body: str
    urgency: Urgency = Urgency.NORMAL


SUMMARY_LINES: Final = 6
DETAIL_LENGTH: Final = 300

_LAST_MINUTE: Final = datetime.max.replace(tzinfo=UTC) - timedelta(minutes=1)
"""Of the calendar; nothing is rounded past it."""

_ORDER: Final = (
    frozenset({AlertKind.EXHAUSTED, AlertKind.LIMIT}),
    frozenset({AlertKind.EXHAUSTED_SOON, AlertKind.LOGIN, AlertKind.THRESHOLD, AlertKind.PACE}),
    frozenset({AlertKind.EXPIRY, AlertKind.UNREADABLE}),
)
"""A summary begins with these; all other kinds come last."""


def format_alerts(
    alerts: Sequence[Alert], urgency: Urgency = Urgency.NORMAL, zone: tzinfo | None = None
) -> Message:
    """The message of one delivery, with clock times in `zone`; None is the machine's own.

    A limit that is reached is critical, unless the user wants this quieter or louder than usual.
    """
    message = format_alert(alerts[0], zone) if len(alerts) == 1 else summarize(alerts, zone)
    return message if urgency is Urgency.NORMAL else replace(message, urgency=urgency)


def format_alert(alert: Alert, zone: tzinfo | None = None) -> Message:
    """The message of one alert."""
    name = one_line(alert.account) or "unnamed"
    window = f"{name}: {one_line(alert.window.replace('_', ' '))}"
    used, detail = percent(alert.utilization), _detail(alert)
    at = left = ""
    if alert.resets_at is not None:
        at = moment(alert.resets_at, alert.at, zone)
        left = duration(to_the_minute(alert.resets_at) - alert.at, seconds=False)
    body: tuple[str, ...]
    match alert.kind:
        case AlertKind.THRESHOLD | AlertKind.LIMIT:
            title = f"{window} {'limit reached' if _is_full(alert) else f'at {used}'}"
            is_crossed = alert.threshold is not None and not _is_full(alert)
            resets = f"Resets {at} (in {left})" if at else ""
            if alert.resets_at is not None and to_the_minute(alert.resets_at) <= alert.at:
                resets = "Its reset is due"
            body = _fact(alert) if is_crossed else f"at {used}", resets
        case AlertKind.RESET:
            title = f"{window} is open again"
            body = (f"Peaked at {used}{f' before the reset {at}' if at else ''}",)
        case AlertKind.EARLY_RESET:
            title = f"{window} is open again early"
            body = (f"Peaked at {used}, reset before its time",)
        case AlertKind.PACE if at:
            title = f"{window} will be full {at}"
            body = (f"At {used}: at this pace it is full in {left}, before its reset",)
        case AlertKind.PACE:
            title, body = f"{window} is on pace to run out before the reset", (f"At {used}",)
        case AlertKind.LOGIN:
            title = f"{name}: login needed"
            body = detail, "Log in again: its data is stale until then"
        case AlertKind.EXPIRY:
            title = f"{name}: login ends {at or 'soon'}"
            body = f"In {left}" if at else "", "Log in again before then: nothing else renews it"
        case AlertKind.UNREADABLE:
            several = "Several accounts cannot be read"
            title = f"{name}: cannot be read" if alert.account else several
            body = detail, "Data is stale until this is fixed"
        case AlertKind.EXHAUSTED:
            title = "All accounts are at their limit"
            until = f", {at} (in {left})" if at else ""
            body = (f"The first to be free is {one_line(alert.detail)}{until}" if detail else "",)
        case AlertKind.EXHAUSTED_SOON:
            title = "All accounts will soon be at their limit"
            is_ahead = alert.resets_at is not None and alert.resets_at > alert.at
            when = f" {at} (in {left})" if is_ahead else ""
            body = (f"At the present pace no account will have room{when}",)
        case AlertKind.LIMIT_CHANGED:
            title = f"{name}: the limits seem to have changed"
            body = detail, "The mix of models may be the reason, too"
        case AlertKind.WEEK_EXPIRED:
            title = f"{name}: {headline(alert, alert.at, zone)}"
            body = (f"{used} was used {detail or 'by the reset'} {at}".rstrip(),)
        case AlertKind.FREE:
            title, body = f"{name} is free again", ("All accounts had been at their limit",)
        case AlertKind.TEST:
            title = "Claude Tracker: test"
            body = ("If you can read this, alerts reach you here",)
        case _:
            title, body = "Claude Tracker: alerts", (detail,)
    urgency = Urgency.CRITICAL if is_critical(alert) else Urgency.NORMAL
    return Message(title, sentences(*body), urgency)


def headline(alert: Alert, now: datetime, zone: tzinfo | None = None) -> str:
    """The alert in one line for a list, without its account: `5h passed 95% · resets 14:11`."""
    window = one_line(alert.window.replace("_", " "))
    at = "" if alert.resets_at is None else clock(to_the_minute(alert.resets_at), now, zone)
    match alert.kind:
        case AlertKind.THRESHOLD | AlertKind.LIMIT:
            is_ahead = alert.resets_at is not None and alert.resets_at > alert.at
            return f"{window} {_fact(alert)}{f' · resets {at}' if is_ahead else ''}"
        case AlertKind.RESET:
            return f"{window} open again, was {percent(alert.utilization)}"
        case AlertKind.EARLY_RESET:
            return f"{window} open again early, was {percent(alert.utilization)}"
        case AlertKind.PACE:
            return f"{window} full {f'at about {at}' if at else 'before its reset'} at this pace"
        case AlertKind.LOGIN:
            return "login needed"
        case AlertKind.EXPIRY:
            return f"login ends {at or 'soon'}"
        case AlertKind.UNREADABLE:
            return f"cannot be read: {_detail(alert)}" if alert.detail else "cannot be read"
        case AlertKind.EXHAUSTED:
            first = f" · {one_line(alert.detail)} free {at}" if alert.detail and at else ""
            return f"all accounts full{first}"
        case AlertKind.EXHAUSTED_SOON:
            return f"all accounts full {f'at about {at}' if at else 'soon'}"
        case AlertKind.LIMIT_CHANGED:
            return f"limits or mix of models changed: {_detail(alert)}"
        case AlertKind.WEEK_EXPIRED:
            return f"{percent(1 - alert.utilization)} of the week expired unused"
        case AlertKind.FREE:
            return "free again"
        case AlertKind.TEST:
            return "test: alerts are shown here"
        case _:
            return _detail(alert) or str(alert.kind)


def _fact(alert: Alert) -> str:
    if _is_full(alert):
        return "full"
    if alert.threshold is None:
        return f"at {percent(alert.utilization)}"
    return f"passed {exact_percent(alert.threshold)}"


def summarize(alerts: Sequence[Alert], zone: tzinfo | None = None) -> Message:
    """Several alerts in one message, a line each: the most urgent first, and of these the newest."""
    lines = [_line(alert, zone) for alert in sorted(alerts, key=_place)]
    left_out = len(lines) - SUMMARY_LINES
    if left_out > 0:
        lines[SUMMARY_LINES:] = [f"and {left_out} more"]
    loudest = Urgency.CRITICAL if any(map(is_critical, alerts)) else Urgency.NORMAL
    return Message(f"Claude Tracker: {len(alerts)} alerts", "\n".join(lines), loudest)


def _place(alert: Alert) -> tuple[bool, int, float]:
    rank = next((n for n, kinds in enumerate(_ORDER) if alert.kind in kinds), len(_ORDER))
    return not is_critical(alert), rank, -alert.at.timestamp()


def is_critical(alert: Alert) -> bool:
    """Tell a limit that is reached from all that is only coming."""
    return alert.kind in (AlertKind.LIMIT, AlertKind.EXHAUSTED) or _is_full(alert)


def _is_full(alert: Alert) -> bool:
    return alert.kind in LEVELS and alert.utilization >= 1


def _line(alert: Alert, zone: tzinfo | None) -> str:
    title = format_alert(alert, zone).title
    if alert.kind in LEVELS and alert.resets_at is not None and alert.resets_at > alert.at:
        return f"{title}, resets {moment(alert.resets_at, alert.at, zone)}"
    if alert.kind is AlertKind.LIMIT_CHANGED:
        return f"{one_line(alert.account)}: {headline(alert, alert.at, zone)}"
    return title


def _detail(alert: Alert) -> str:
    return one_line(alert.detail, DETAIL_LENGTH)


def moment(at: datetime, now: datetime, zone: tzinfo | None) -> str:
    """`at 14:14` today, `on Fri 27 Nov at 14:14` on any other day; a `zone` of None is the machine's own.

    Longer than `format.clock`: an alert may be read days later, when a mere `Fri` is another day.
    """
    local = to_the_minute(at).astimezone(zone)
    local_clock = f"at {local:%H:%M}"
    if local.date() == now.astimezone(zone).date():
        return local_clock
    return f"on {local:%a} {local.day} {local:%b} {local_clock}"


def to_the_minute(at: datetime) -> datetime:
    """Round to the minute: the server's instants wobble by seconds around a full one."""
    near = at if at.second < 30 or at >= _LAST_MINUTE else at + timedelta(minutes=1)
    return near.replace(second=0, microsecond=0)


def sentences(*parts: str) -> str:
    """Join the parts to a paragraph: each begins with a capital and ends with a full stop; empty ones are left out."""
    ends = [(part, "" if part[-1] in ".!?…" else ".") for part in parts if part]
    return " ".join(f"{part[0].upper()}{part[1:]}{end}" for part, end in ends)

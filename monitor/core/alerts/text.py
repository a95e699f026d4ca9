"""The text of alerts. Pure: the time zone is an argument, and an alert's own instant is the present."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from monitor.core.alerts.rules import Urgency
from monitor.core.effects import Alert, AlertKind
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

_HIGH: Final = frozenset({AlertKind.THRESHOLD, AlertKind.LIMIT})
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
    return _FORMATS[alert.kind](alert, zone)


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
            return f"limit changed: {_detail(alert)}"
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
    return alert.kind in _HIGH and alert.utilization >= 1


def _line(alert: Alert, zone: tzinfo | None) -> str:
    title = format_alert(alert, zone).title
    if alert.kind in _HIGH and alert.resets_at is not None and alert.resets_at > alert.at:
        return f"{title}, resets {moment(alert.resets_at, alert.at, zone)}"
    return title


def _threshold(alert: Alert, zone: tzinfo | None) -> Message:
    if _is_full(alert) or alert.threshold is None:
        return _high(alert, f"At {percent(alert.utilization)}", zone)
    return _high(alert, f"Passed {exact_percent(alert.threshold)}", zone)


def _limit(alert: Alert, zone: tzinfo | None) -> Message:
    return _high(alert, f"At {percent(alert.utilization)}", zone)


def _high(alert: Alert, fact: str, zone: tzinfo | None) -> Message:
    news = "limit reached" if _is_full(alert) else f"at {percent(alert.utilization)}"
    body = sentences(fact, _resets(alert, zone))
    urgency = Urgency.CRITICAL if is_critical(alert) else Urgency.NORMAL
    return Message(f"{_window(alert)} {news}", body, urgency)


def _resets(alert: Alert, zone: tzinfo | None) -> str:
    if alert.resets_at is None:
        return ""
    if to_the_minute(alert.resets_at) <= alert.at:
        return "Its reset is due"
    return f"Resets {_when(alert.resets_at, alert, zone)}"


def _reset(alert: Alert, zone: tzinfo | None) -> Message:
    peak = f"Peaked at {percent(alert.utilization)}"
    if alert.resets_at is not None:
        peak += f" before the reset {moment(alert.resets_at, alert.at, zone)}"
    return Message(f"{_window(alert)} is open again", sentences(peak))


def _early_reset(alert: Alert, _: tzinfo | None) -> Message:
    peak = f"Peaked at {percent(alert.utilization)}, reset before its time"
    return Message(f"{_window(alert)} is open again early", sentences(peak))


def _pace(alert: Alert, zone: tzinfo | None) -> Message:
    at = f"At {percent(alert.utilization)}"
    if alert.resets_at is None:
        return Message(f"{_window(alert)} is on pace to run out before the reset", f"{at}.")
    left = _left(alert.resets_at, alert)
    title = f"{_window(alert)} will be full {moment(alert.resets_at, alert.at, zone)}"
    return Message(title, f"{at}: at this pace it is full in {left}, before its reset.")


def _login(alert: Alert, _: tzinfo | None) -> Message:
    body = sentences(_detail(alert), "Log in again: its figures are old until then")
    return Message(f"{_name(alert)}: login needed", body)


def _expiry(alert: Alert, zone: tzinfo | None) -> Message:
    renew = "Log in again before then: nothing else renews it"
    if alert.resets_at is None:
        return Message(f"{_name(alert)}: login ends soon", sentences(renew))
    title = f"{_name(alert)}: login ends {moment(alert.resets_at, alert.at, zone)}"
    return Message(title, sentences(f"In {_left(alert.resets_at, alert)}", renew))


def _unreadable(alert: Alert, _: tzinfo | None) -> Message:
    body = sentences(_detail(alert), "Data is stale until this is fixed")
    title = (
        f"{_name(alert)}: cannot be read" if alert.account else "Several accounts cannot be read"
    )
    return Message(title, body)


def _exhausted(alert: Alert, zone: tzinfo | None) -> Message:
    first = f"The first to be free is {one_line(alert.detail)}" if alert.detail else ""
    if first and alert.resets_at is not None:
        first += f", {_when(alert.resets_at, alert, zone)}"
    return Message("All accounts are at their limit", sentences(first), Urgency.CRITICAL)


def _exhausted_soon(alert: Alert, zone: tzinfo | None) -> Message:
    body = "At the present pace no account will have room"
    if alert.resets_at is not None and alert.resets_at > alert.at:
        body += f" {_when(alert.resets_at, alert, zone)}"
    return Message("All accounts will soon be at their limit", sentences(body))


def _limit_changed(alert: Alert, _: tzinfo | None) -> Message:
    body = sentences(_detail(alert), "The limits were changed, or the mix of models was")
    return Message(f"{_name(alert)}: the week lasts for other use than before", body)


def _week_expired(alert: Alert, zone: tzinfo | None) -> Message:
    used = f"{percent(alert.utilization)} was used"
    if alert.resets_at is not None:
        used += f" by the reset {moment(alert.resets_at, alert.at, zone)}"
    title = f"{_name(alert)}: {percent(1 - alert.utilization)} of the week expired unused"
    return Message(title, sentences(used, _detail(alert)))


def _free(alert: Alert, _: tzinfo | None) -> Message:
    return Message(f"{_name(alert)} is free again", "All accounts had been at their limit.")


def _summary(alert: Alert, _: tzinfo | None) -> Message:
    """A summary whose text comes as it is."""
    return Message("Claude Tracker: alerts", _detail(alert))


def _test(_alert: Alert, _zone: tzinfo | None) -> Message:
    return Message("Claude Tracker: test", "If you can read this, alerts reach you here.")


_FORMATS: Final[Mapping[AlertKind, Callable[[Alert, tzinfo | None], Message]]] = {
    AlertKind.THRESHOLD: _threshold,
    AlertKind.LIMIT: _limit,
    AlertKind.RESET: _reset,
    AlertKind.EARLY_RESET: _early_reset,
    AlertKind.PACE: _pace,
    AlertKind.LOGIN: _login,
    AlertKind.EXPIRY: _expiry,
    AlertKind.UNREADABLE: _unreadable,
    AlertKind.LIMIT_CHANGED: _limit_changed,
    AlertKind.WEEK_EXPIRED: _week_expired,
    AlertKind.EXHAUSTED: _exhausted,
    AlertKind.EXHAUSTED_SOON: _exhausted_soon,
    AlertKind.FREE: _free,
    AlertKind.SUMMARY: _summary,
    AlertKind.TEST: _test,
}


def _when(at: datetime, alert: Alert, zone: tzinfo | None) -> str:
    """An instant to come: `at 14:14 (in 2h 14m)`."""
    return f"{moment(at, alert.at, zone)} (in {_left(at, alert)})"


def _left(at: datetime, alert: Alert) -> str:
    return duration(to_the_minute(at) - alert.at, seconds=False)


def _name(alert: Alert) -> str:
    return one_line(alert.account) or "unnamed"


def _window(alert: Alert) -> str:
    """The account and its window: `user@work.com: 7d opus`."""
    return f"{_name(alert)}: {one_line(alert.window.replace('_', ' '))}"


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

"""What is sent to an Alertmanager, as a real HTTP server receives it."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from monitor.core.alerts.rules import DEFAULT_RULES, Alert, AlertKind, Rule, Urgency
from monitor.core.errors import ChannelError
from monitor.notify.channels.alertmanager import Alertmanager, alertname
from tests.builders import NOW, after
from tests.notify.receiver import Receiver, delivery, receiver, status

CROSSED = Alert(
    AlertKind.THRESHOLD,
    "user@work.com",
    "5h",
    NOW,
    utilization=0.87,
    threshold=0.80,
    resets_at=after(hours=2, minutes=14),
    period="1",
)
HIGHER = replace(CROSSED, threshold=0.95, utilization=0.96)
LOGIN = Alert(AlertKind.LOGIN, "user@work.com", "", NOW, detail="refused")
RESET = Alert(AlertKind.RESET, "user@work.com", "5h", NOW, utilization=0.97, resets_at=NOW)


def usual_urgency(alert: Alert) -> Urgency:
    return DEFAULT_RULES.get(alert.kind, Rule()).urgency


class Bench:
    """The channel at a fake receiver, with a clock to turn."""

    def __init__(
        self, server: Receiver, urgency_of: Callable[[Alert], Urgency] = usual_urgency
    ) -> None:
        self._server = server
        self.now = NOW
        self.channel = Alertmanager(f"{server.url}/am", lambda: self.now, urgency_of)

    async def refresh(
        self, minutes: float, *firing: Alert, quiet: bool = False
    ) -> list[tuple[str, str]]:
        """What is sent by a refresh so many minutes from the start: (rule, end) pairs; nothing if it sends nothing."""
        before = len(self._server.requests)
        self.now = after(minutes=minutes)
        await self.channel.refresh(firing, self.now, quiet=quiet)
        return self.sent() if len(self._server.requests) > before else []

    def sent(self) -> list[tuple[str, str]]:
        """The newest request: (rule, end) pairs."""
        return [(one["labels"]["rule"], clock(one["endsAt"])) for one in posted(self._server)]


def posted(server: Receiver) -> list[dict[str, Any]]:
    request = server.requests[-1]
    assert request.path == "/am/api/v2/alerts"
    assert request.headers["Content-Type"] == "application/json"
    alerts: list[dict[str, Any]] = json.loads(request.body)
    return alerts


def clock(instant: str) -> str:
    """`14:14` of an instant on the day of the tests."""
    assert instant.startswith("2026-11-22T")
    return datetime.fromisoformat(instant).strftime("%H:%M")


async def test_an_alert_has_labels_annotations_and_an_end() -> None:
    async with receiver() as server:
        await Bench(server).channel.send(*delivery(CROSSED))
    assert posted(server) == [
        {
            "labels": {
                "alertname": "ClaudeUsageThreshold",
                "account": "user@work.com",
                "window": "5h",
                "rule": "threshold_80",
                "severity": "warning",
            },
            "annotations": {
                "summary": "user@work.com: 5h at 87%",
                "description": "Passed 80%. Resets at 14:14 (in 2h 14m).",
            },
            "startsAt": "2026-11-22T12:00:00Z",
            "endsAt": "2026-11-22T14:14:00Z",
        }
    ]


async def test_several_alerts_are_sent_one_by_one_and_empty_labels_left_out() -> None:
    exhausted = Alert(AlertKind.EXHAUSTED, "", "", NOW, resets_at=after(hours=1), detail="me")
    async with receiver() as server:
        await Bench(server).channel.send(*delivery(LOGIN, exhausted, urgency=Urgency.LOW))
    assert [one["labels"] for one in posted(server)] == [
        {
            "alertname": "ClaudeUsageLogin",
            "account": "user@work.com",
            "rule": "login",
            "severity": "warning",
        },
        {"alertname": "ClaudeUsageExhausted", "rule": "exhausted", "severity": "critical"},
    ]


def test_a_name_is_in_camel_case() -> None:
    assert alertname(AlertKind.EARLY_RESET) == "ClaudeUsageEarlyReset"


@pytest.mark.parametrize(
    ("alert", "urgency", "severity"),
    [
        (CROSSED, Urgency.LOW, "info"),
        (CROSSED, Urgency.NORMAL, "warning"),
        (CROSSED, Urgency.CRITICAL, "critical"),
        (replace(CROSSED, utilization=1.0), Urgency.NORMAL, "warning"),
        (replace(CROSSED, threshold=1.0), Urgency.NORMAL, "critical"),
        (replace(CROSSED, threshold=1.0), Urgency.LOW, "info"),
    ],
)
async def test_the_severity_is_the_rule_s_and_does_not_move_with_the_figures(
    alert: Alert, urgency: Urgency, severity: str
) -> None:
    async with receiver() as server:
        await Bench(server, urgency_of=lambda _: urgency).channel.send(*delivery(alert))
    assert posted(server)[0]["labels"]["severity"] == severity


@pytest.mark.parametrize(
    ("alert", "end"),
    [
        pytest.param(CROSSED, "14:14", id="a window's alert holds until its end"),
        pytest.param(replace(CROSSED, resets_at=after(days=5)), "00:00", id="or for half a day"),
        pytest.param(replace(CROSSED, resets_at=None), "12:04", id="an unknown end"),
        pytest.param(replace(CROSSED, resets_at=NOW), "12:04", id="an end that has passed"),
        pytest.param(LOGIN, "12:04", id="a condition holds for some refreshes"),
        pytest.param(RESET, "12:05", id="an instant holds for a moment"),
    ],
)
async def test_what_is_not_heard_of_again_ends_by_itself(alert: Alert, end: str) -> None:
    async with receiver() as server:
        channel = Bench(server).channel
        await channel.send(*delivery(alert))
    ends = datetime.fromisoformat(posted(server)[0]["endsAt"])
    assert ends.strftime("%H:%M") == end


async def test_what_fires_is_sent_again_with_each_refresh() -> None:
    async with receiver() as server:
        bench = Bench(server)
        await bench.channel.send(*delivery(LOGIN))
        assert bench.sent() == [("login", "12:04")]
        assert await bench.refresh(1, LOGIN) == [("login", "12:05")]
        assert await bench.refresh(2, LOGIN) == [("login", "12:06")]


async def test_what_fired_before_we_were_started_is_sent_as_well() -> None:
    async with receiver() as server:
        assert await Bench(server).refresh(1, LOGIN) == [("login", "12:05")]
        assert posted(server)[0]["startsAt"] == "2026-11-22T12:00:00Z"


async def test_what_stands_for_several_accounts_is_sent_as_that_of_each() -> None:
    several = Alert(AlertKind.UNREADABLE, "", "", NOW, detail="for a, b: no network")
    each = [replace(several, account=name, detail="no network") for name in "ab"]
    async with receiver() as server:
        bench = Bench(server)
        await bench.channel.send(*delivery(several))
        assert server.requests == []
        await bench.refresh(1, *each)
        assert [one["labels"]["account"] for one in posted(server)] == ["a", "b"]


async def test_what_has_ceased_is_sent_as_resolved_for_five_minutes() -> None:
    async with receiver() as server:
        bench = Bench(server)
        await bench.channel.send(*delivery(CROSSED))
        sent = [await bench.refresh(minute) for minute in range(1, 9)]
    assert sent == [[("threshold_80", "12:01")]] * 6 + [[], []]


async def test_what_fires_again_after_it_has_ceased_is_no_longer_resolved() -> None:
    async with receiver() as server:
        bench = Bench(server)
        await bench.channel.send(*delivery(LOGIN))
        assert await bench.refresh(1) == [("login", "12:01")]
        assert await bench.refresh(2, LOGIN) == [("login", "12:06")]


async def test_an_instant_is_not_resolved_early() -> None:
    async with receiver() as server:
        bench = Bench(server)
        await bench.channel.send(*delivery(RESET))
        assert await bench.refresh(1) == []


async def test_where_nothing_fires_nothing_is_sent() -> None:
    async with receiver() as server:
        await Bench(server).channel.refresh((), NOW)
    assert server.requests == []


async def test_a_jump_past_two_thresholds_stays_one_alert() -> None:
    async with receiver() as server:
        bench = Bench(server)
        await bench.channel.send(*delivery(HIGHER))
        assert await bench.refresh(1, CROSSED, HIGHER) == [("threshold_95", "14:14")]


async def test_a_threshold_that_was_told_goes_on_beside_a_higher_one() -> None:
    async with receiver() as server:
        bench = Bench(server)
        await bench.channel.send(*delivery(CROSSED))
        await bench.channel.send(*delivery(HIGHER))
        sent = await bench.refresh(1, CROSSED, HIGHER)
    assert [rule for rule, _ in sent] == ["threshold_80", "threshold_95"]


async def test_thresholds_of_other_windows_cover_nothing() -> None:
    other = replace(HIGHER, window="7d")
    full = replace(CROSSED, account="other", kind=AlertKind.LIMIT, threshold=None)
    async with receiver() as server:
        sent = await Bench(server).refresh(1, CROSSED, other, full, LOGIN)
    assert [rule for rule, _ in sent] == ["threshold_80", "threshold_95", "limit", "login"]


async def test_while_quiet_nothing_begins_and_what_fires_goes_on() -> None:
    async with receiver() as server:
        bench = Bench(server)
        await bench.channel.send(*delivery(LOGIN))
        assert await bench.refresh(1, LOGIN, CROSSED, quiet=True) == [("login", "12:05")]
        sent = await bench.refresh(2, LOGIN, CROSSED)
    assert [rule for rule, _ in sent] == ["login", "threshold_80"]


async def test_a_refresh_that_failed_is_made_up_for_by_the_next() -> None:
    async with receiver() as server:
        bench = Bench(server)
        await bench.channel.send(*delivery(LOGIN))
    with pytest.raises(ChannelError, match="cannot be reached"):
        await bench.refresh(1)
    async with receiver(port=int(server.url.rsplit(":", 1)[1])) as server:
        again = Bench(server)
        again.channel = bench.channel
        assert await again.refresh(2) == [("login", "12:02")]


async def test_what_was_not_delivered_is_not_resolved_later() -> None:
    async with receiver(status(400)) as server:
        bench = Bench(server)
        with pytest.raises(ChannelError, match="HTTP 400"):
            await bench.channel.send(*delivery(LOGIN))
        assert await bench.refresh(1) == []


async def test_what_is_told_during_a_refresh_is_kept() -> None:
    async with receiver() as server:
        bench = Bench(server)
        await bench.channel.send(*delivery(LOGIN))
        refreshing = bench.channel.refresh([LOGIN], NOW)
        await asyncio.gather(refreshing, bench.channel.send(*delivery(CROSSED)))
        sent = await bench.refresh(1)
    assert sorted(rule for rule, _ in sent) == ["login", "threshold_80"]


async def test_the_words_are_those_of_the_moment_of_sending() -> None:
    async with receiver() as server:
        bench = Bench(server)
        await bench.refresh(60, CROSSED)
    description = posted(server)[0]["annotations"]["description"]
    assert description == "Passed 80%. Resets at 14:14 (in 1h 14m)."


async def test_a_start_in_the_future_is_now() -> None:
    """A clock that was set back: Alertmanager refuses an alert that ends before it starts."""
    async with receiver() as server:
        await Bench(server).channel.send(*delivery(replace(RESET, at=after(minutes=5))))
    assert posted(server)[0]["startsAt"] == "2026-11-22T12:00:00Z"

"""Bursts and quiet hours: what waits for what, and leaves together."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.alerts.rules import AlertKind, Urgency
from monitor.notify.queue import CRITICAL_SECS, LONGEST_SECS, Delivery, release
from monitor.storage.deliveries import StoredAlert
from tests.builders import after
from tools.kill.bench import Bench, FakeChannel, alert, rules_with, running


def arrivals(*places: tuple[float, bool]) -> list[Delivery]:
    return [
        Delivery(
            StoredAlert(alert("a"), "key"),
            Urgency.CRITICAL if critical else Urgency.NORMAL,
            (),
            set(),
            after(),
            at,
        )
        for at, critical in places
    ]


@pytest.mark.parametrize(
    ("places", "now", "busy", "free"),
    [
        pytest.param([(0, False)], 0.2, False, [], id="it waits a moment for others"),
        pytest.param([(0, False)], 0.3, False, [0], id="and is sent then"),
        pytest.param([(0, False), (0.2, False)], 0.4, False, [], id="another prolongs it"),
        pytest.param([(0, False), (0.2, False)], 0.5, False, [0, 0.2], id="a bit"),
        pytest.param([(0, False)], 9.9, True, [], id="it waits while accounts are polled"),
        pytest.param([(0, False)], 10, True, [0], id="but no longer than that"),
        pytest.param([(0, False), (9.9, False)], 10, False, [0, 9.9], id="come what may"),
        pytest.param([(0, False), (5, True)], 5.9, True, [], id="the critical waits too"),
        pytest.param([(0, False), (5, True)], 6, True, [5], id="and then goes alone"),
        pytest.param([(0, True), (0.9, True)], 1, True, [0, 0.9], id="with its like"),
        pytest.param([], 5, True, [], id="nothing is nothing"),
    ],
)
def test_when_a_burst_is_over(
    places: list[tuple[float, bool]], now: float, busy: bool, free: list[float]
) -> None:
    assert [d.arrived_at for d in release(arrivals(*places), now, busy)] == free


@given(
    st.lists(st.tuples(st.floats(0, 30), st.booleans()), min_size=1).map(sorted),
    st.booleans(),
    st.floats(0, 60),
)
def test_nothing_is_late_or_out_of_order(
    places: list[tuple[float, bool]], busy: bool, later: float
) -> None:
    burst = arrivals(*places)
    now = burst[-1].arrived_at + later
    free = release(burst, now, busy)
    kept = [delivery for delivery in burst if delivery not in free]
    assert free == [delivery for delivery in burst if delivery in free]
    assert all(now < delivery.arrived_at + LONGEST_SECS for delivery in kept)
    critical = [delivery for delivery in kept if delivery.urgency is Urgency.CRITICAL]
    assert not any(now >= delivery.arrived_at + CRITICAL_SECS for delivery in critical)


async def test_alerts_that_come_together_are_one_summary() -> None:
    channel = FakeChannel("only")
    bench = Bench(channel)
    async with running(bench):
        bench.notify("a", "b")
        await bench.pass_by(0.2)
        bench.notify("c")
        await bench.pass_by(0.2)
        assert channel.sent == []
        await bench.pass_by(0.2)
    assert channel.sent == [["a", "b", "c"]]
    assert [event.kind for event in bench.events] == ["summary"]


async def test_a_burst_lasts_while_accounts_are_still_asked() -> None:
    channel = FakeChannel("only")
    bench = Bench(channel)
    bench.busy = True
    async with running(bench):
        for account in "abcde":
            bench.notify(account)
            await bench.pass_by(1)
        bench.busy = False
        await bench.pass_by(0.2)
    assert channel.sent == [["a", "b", "c", "d", "e"]]


async def test_no_burst_lasts_longer_than_ten_seconds() -> None:
    channel = FakeChannel("only")
    bench = Bench(channel)
    bench.busy = True
    async with running(bench):
        bench.notify("a")
        await bench.pass_by(9.5)
        assert channel.sent == []
        await bench.pass_by(0.6)
    assert channel.sent == [["a"]]


async def test_a_critical_alert_does_not_wait_for_its_burst() -> None:
    channel = FakeChannel("only")
    bench = Bench(channel)
    bench.busy = True
    async with running(bench):
        bench.notify("a")
        bench.notify("b", kind=AlertKind.LIMIT)
        await bench.pass_by(1.0)
        assert channel.sent == [["b"]]
        bench.busy = False
        await bench.pass_by(0.2)
    assert channel.sent == [["b"], ["a"]]
    assert channel.urgencies == [Urgency.CRITICAL, Urgency.NORMAL]


async def test_a_summary_is_as_urgent_as_the_most_urgent_of_its_alerts() -> None:
    channel = FakeChannel("only")
    rules = rules_with(AlertKind.RESET, urgency=Urgency.LOW)
    bench = Bench(channel, rules=rules)
    async with running(bench):
        bench.notify("a", kind=AlertKind.RESET)
        await bench.pass_by(0.4)
        bench.notify("a", kind=AlertKind.RESET)
        bench.notify("b", kind=AlertKind.THRESHOLD)
        await bench.pass_by(0.4)
    assert channel.urgencies == [Urgency.LOW, Urgency.NORMAL]


def night(now: datetime) -> datetime | None:
    """Quiet from ten minutes after `NOW` on, for one hour."""
    ends = after(minutes=70)
    return ends if after(minutes=10) <= now < ends else None


async def test_quiet_hours_end_with_a_summary_of_what_they_kept_back() -> None:
    channel = FakeChannel("only")
    bench = Bench(channel, quiet_until=night)
    async with running(bench):
        await bench.decide_each("before")
        await bench.clock.advance(600)
        await bench.decide_each("a")
        await bench.clock.advance(1800)
        await bench.decide_each("b")
        assert channel.sent == [["before"]]
        await bench.clock.advance(1800)
    assert channel.sent == [["before"], ["a", "b"]]


async def test_what_is_critical_is_told_in_quiet_hours() -> None:
    channel = FakeChannel("only")
    bench = Bench(channel, quiet_until=night)
    async with running(bench):
        await bench.clock.advance(700)
        bench.notify("a", kind=AlertKind.EXHAUSTED)
        bench.notify("b", kind=AlertKind.THRESHOLD)
        await bench.pass_by(0.4)
        assert channel.sent == [["a"]]


@pytest.mark.parametrize("minutes", [11, 69])
async def test_a_channel_that_recovers_in_quiet_hours_keeps_them(minutes: int) -> None:
    channel = FakeChannel("only", ZeroDivisionError())
    bench = Bench(channel, quiet_until=night)
    async with running(bench):
        await bench.clock.advance(599)
        await bench.decide_each("a")
        await bench.clock.advance(minutes * 60 - 600)
        channel.behaviour = None
        assert channel.sent == []
        await bench.clock.advance((70 - minutes) * 60 + 6)
    assert channel.sent == [["a"]]

"""Bursts and quiet hours: what waits for what, and leaves together."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.alerts.rules import Urgency
from monitor.core.effects import AlertKind
from monitor.notify.queue import Arrived, GroupingDelays, next_release, release
from tests.builders import after
from tools.kill.bench import Bench, FakeChannel, rules_with, running

PACE = GroupingDelays(calm=0.3, longest=10, critical=1)


def arrivals(*places: tuple[float, bool]) -> list[Arrived[str]]:
    return [Arrived(f"{'!' if critical else ''}{at:g}", at, critical) for at, critical in places]


@pytest.mark.parametrize(
    ("places", "now", "busy", "free", "waiting"),
    [
        pytest.param([(0, False)], 0.2, False, [], ["0"], id="it waits a moment for others"),
        pytest.param([(0, False)], 0.3, False, ["0"], [], id="and is told then"),
        pytest.param(
            [(0, False), (0.2, False)], 0.4, False, [], ["0", "0.2"], id="another prolongs it"
        ),
        pytest.param([(0, False), (0.2, False)], 0.5, False, ["0", "0.2"], [], id="a bit"),
        pytest.param([(0, False)], 9.9, True, [], ["0"], id="it waits while accounts are asked"),
        pytest.param([(0, False)], 10, True, ["0"], [], id="but no longer than that"),
        pytest.param([(0, False), (9.9, False)], 10, False, ["0", "9.9"], [], id="come what may"),
        pytest.param(
            [(0, False), (5, True)], 5.9, True, [], ["0", "!5"], id="the critical waits too"
        ),
        pytest.param([(0, False), (5, True)], 6, True, ["!5"], ["0"], id="and then goes alone"),
        pytest.param([(0, True), (0.9, True)], 1, True, ["!0", "!0.9"], [], id="with its like"),
        pytest.param([], 5, True, [], [], id="nothing is nothing"),
    ],
)
def test_when_a_burst_is_over(
    places: list[tuple[float, bool]], now: float, busy: bool, free: list[str], waiting: list[str]
) -> None:
    told, kept = release(arrivals(*places), now, busy, PACE)
    assert (told, [arrival.what for arrival in kept]) == (free, waiting)


@given(
    st.lists(st.tuples(st.floats(0, 30), st.booleans()), min_size=1).map(sorted),
    st.booleans(),
    st.floats(0, 60),
)
def test_nothing_is_lost_doubled_or_late(
    places: list[tuple[float, bool]], busy: bool, later: float
) -> None:
    burst = arrivals(*places)
    now = burst[-1].at + later
    told, kept = release(burst, now, busy, PACE)
    assert sorted([*told, *(a.what for a in kept)]) == sorted(a.what for a in burst)
    assert all(now < arrival.at + PACE.longest for arrival in kept)
    assert not any(arrival.critical and now >= arrival.at + PACE.critical for arrival in kept)
    assert bool(told) is (now >= next_release(burst, busy, PACE))


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

from datetime import datetime

import pytest

from monitor.core.alerts.rules import Urgency
from monitor.core.effects import AlertKind
from tests.builders import after
from tools.kill.bench import Bench, FakeChannel, rules_with, running


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

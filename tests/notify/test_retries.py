import asyncio
import logging
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from monitor.core.alerts.rules import AlertKind
from monitor.core.errors import ChannelError, ChannelReason
from monitor.notify.queue import FRESH_FOR, STALE_RETRY
from monitor.storage.deliveries import Stage
from tests.fakes import settle
from tests.storage.factories import locked
from tools.kill.bench import Bench, FakeChannel, RestartableBench, running

BROKEN = ChannelError(ChannelReason.UNAVAILABLE, "nobody there")


async def test_what_was_told_is_noted(tmp_path: Path) -> None:
    bench = RestartableBench(tmp_path, FakeChannel("only"))
    async with running(bench):
        await bench.decide("a")
    assert bench.stages() == {"a": Stage.SENT}
    assert [entry.outcome for entry in bench.stored()] == ["sent (only)"]


async def test_it_is_noted_that_an_alert_is_being_told_before_anybody_is(tmp_path: Path) -> None:
    bench = RestartableBench(tmp_path, FakeChannel("hanging", asyncio.Event()))
    async with running(bench):
        await bench.decide("a")
        assert bench.stages() == {"a": Stage.SENDING}


async def test_a_delivery_that_failed_is_tried_again_less_and_less_often() -> None:
    channel = FakeChannel("only", BROKEN)
    bench = Bench(channel)
    tries = []
    async with running(bench):
        bench.notify("a")
        for second in range(300):
            before_it = len(channel.asked)
            await bench.clock.advance(1)
            tries += [second] * (len(channel.asked) - before_it)
    gaps = [later - earlier for earlier, later in pairwise(tries)]
    assert gaps[:6] == [5, 15, 30, 60, 60, 60]


async def test_it_is_told_as_soon_as_a_channel_works_again(tmp_path: Path) -> None:
    channel = FakeChannel("only", BROKEN)
    bench = RestartableBench(tmp_path, channel)
    async with running(bench):
        await bench.decide("a")
        assert bench.stages() == {"a": Stage.DECIDED}
        channel.behaviour = None
        await bench.pass_by(5)
    assert channel.sent == [["a"]]
    assert bench.stages() == {"a": Stage.SENT}


async def test_an_alert_that_failed_does_not_hold_up_the_next(tmp_path: Path) -> None:
    channel = FakeChannel("only", BROKEN)
    bench = RestartableBench(tmp_path, channel)
    async with running(bench):
        await bench.decide("a")
        channel.behaviour = None
        await bench.decide("b")
        assert channel.sent == [["b"]]
        await bench.pass_by(5)
    assert channel.sent == [["b"], ["a"]]


async def test_what_is_news_no_more_is_one_summary_with_the_next_success(tmp_path: Path) -> None:
    channel = FakeChannel("only", BROKEN)
    bench = RestartableBench(tmp_path, channel)
    async with running(bench):
        for account in "abc":
            await bench.decide(account)
            await bench.clock.advance(61)
        await bench.clock.advance(FRESH_FOR.total_seconds() + 60)
        channel.behaviour = None
        await bench.decide("d")
        await settle()
    assert channel.sent == [["d"], ["a", "b", "c"]]
    assert [event.kind for event in bench.events if event.failure is None] == [
        "threshold",
        "summary",
    ]


async def test_what_is_news_no_more_is_still_tried_now_and_then(tmp_path: Path) -> None:
    channel = FakeChannel("only", BROKEN)
    bench = RestartableBench(tmp_path, channel)
    async with running(bench):
        await bench.decide("a", "b")
        await bench.clock.advance(FRESH_FOR.total_seconds() + 61)
        asked = len(channel.asked)
        await bench.clock.advance(STALE_RETRY - 61)
        assert len(channel.asked) == asked
        channel.behaviour = None
        await bench.clock.advance(61)
    assert channel.sent == [["a", "b"]]


async def test_an_alert_that_nobody_could_be_told_for_a_day_is_given_up(tmp_path: Path) -> None:
    bench = RestartableBench(tmp_path, FakeChannel("only", BROKEN))
    async with running(bench):
        await bench.decide("a")
        bench.clock.step(timedelta(hours=24))
        await bench.clock.advance(61)
    (entry,) = bench.stored()
    assert entry.stage is Stage.DROPPED
    assert entry.outcome == "given up after a day: only: unavailable: nobody there"


async def test_where_there_is_no_channel_nothing_piles_up(tmp_path: Path) -> None:
    bench = RestartableBench(tmp_path)
    async with running(bench):
        await bench.decide("a")
    assert bench.stages() == {"a": Stage.DROPPED}


async def test_after_a_restart_what_was_decided_is_told_while_it_is_news(tmp_path: Path) -> None:
    bench = RestartableBench(tmp_path)
    await bench.decide("a")
    await bench.clock.advance(600)
    channel = FakeChannel("only")
    restarted = bench.restarted(channel)
    async with running(restarted):
        await restarted.pass_by(0.5)
    assert channel.sent == [["a"]]


async def test_after_a_restart_what_is_news_no_more_is_one_summary(tmp_path: Path) -> None:
    bench = RestartableBench(tmp_path)
    await bench.decide("a", "b")
    await bench.clock.advance(1000, tick=100)
    await bench.decide("c", "d")
    channel = FakeChannel("only")
    restarted = bench.restarted(channel)
    async with running(restarted):
        await restarted.pass_by(0.5)
    assert channel.sent == [["c", "d"], ["a", "b"]]


async def test_after_days_what_was_decided_is_not_told_at_all(tmp_path: Path) -> None:
    bench = RestartableBench(tmp_path)
    await bench.decide("a")
    bench.clock.step(timedelta(days=1))
    channel = FakeChannel("only")
    restarted = bench.restarted(channel)
    async with running(restarted):
        await restarted.pass_by(0.5)
    assert channel.sent == []
    assert restarted.stages() == {"a": Stage.DROPPED}


async def test_what_was_in_flight_is_told_again_and_marked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bench = RestartableBench(tmp_path, FakeChannel("hanging", asyncio.Event()))
    async with running(bench) as task:
        await bench.decide("a")
        task.cancel()
        await bench.clock.advance(2)
    channel = FakeChannel("only")
    restarted = bench.restarted(channel)
    async with running(restarted):
        await restarted.pass_by(0.5)
    assert channel.sent == [["a"]]
    (entry,) = restarted.stored()
    assert entry.outcome == "sent (only), perhaps for the second time"
    assert "an alert was being sent when the program ended, and is sent again" in caplog.messages


async def test_an_alert_that_is_decided_before_the_notifier_runs_is_told_once(
    tmp_path: Path,
) -> None:
    channel = FakeChannel("only")
    bench = RestartableBench(tmp_path, channel)
    await bench.decide("a")
    async with running(bench):
        await bench.pass_by(1)
    assert channel.sent == [["a"]]


async def until_sent(bench: RestartableBench, channel: FakeChannel, count: int) -> None:
    """Wait, in real time, until the database is tried again, and so many messages are sent and written."""
    async with asyncio.timeout(10):
        while len(channel.sent) < count:
            await asyncio.sleep(0.05)
            await bench.pass_by(0.4)
    assert await bench.recorder.drain(10)


async def test_a_journal_that_fails_keeps_no_alert_back_and_repeats_none(tmp_path: Path) -> None:
    channel = FakeChannel("only")
    bench = RestartableBench(tmp_path, channel)
    async with running(bench):
        with locked(tmp_path / "state.db"):
            bench.notify("unwritten")
            await bench.pass_by(0.5)
        await bench.decide("written")
        await until_sent(bench, channel, 2)
    assert channel.sent == [["unwritten"], ["written"]]
    assert all(one.ended for one in bench.stored())


async def test_what_was_told_while_the_journal_failed_is_not_told_after_a_restart(
    tmp_path: Path,
) -> None:
    channel = FakeChannel("only", BROKEN)
    bench = RestartableBench(tmp_path, channel)
    async with running(bench):
        await bench.decide("a")
        channel.behaviour = None
        with locked(tmp_path / "state.db"):
            await bench.pass_by(5)
        await bench.decide("b")
        await until_sent(bench, channel, 2)
    assert channel.sent == [["a"], ["b"]]
    restarted = bench.restarted(channel)
    async with running(restarted):
        await restarted.pass_by(1)
    assert channel.sent == [["a"], ["b"]]


async def test_a_critical_alert_goes_before_what_waits_in_its_lane(tmp_path: Path) -> None:
    slow = asyncio.Event()
    channel = FakeChannel("only", slow)
    bench = RestartableBench(tmp_path, channel)
    async with running(bench):
        await bench.decide("a")
        await bench.decide("b", "c")
        await bench.decide("d", kind=AlertKind.LIMIT)
        slow.set()
        await settle()
    assert channel.sent == [["a"], ["d", "b", "c"]]

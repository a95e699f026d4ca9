import asyncio
from datetime import timedelta
from pathlib import Path

from monitor.core.alerts.rules import AlertKind
from monitor.core.errors import ChannelError, ChannelReason
from monitor.notify.channel import LIMIT_SECS
from monitor.storage.deliveries import Stage
from tools.kill.bench import FakeChannel, RestartableBench, rules_with, running

BROKEN = ChannelError(ChannelReason.UNAVAILABLE, "nobody there")


async def test_every_channel_tells_and_each_is_counted(tmp_path: Path) -> None:
    desktop, webhook = FakeChannel("desktop"), FakeChannel("webhook")
    bench = RestartableBench(tmp_path, desktop, webhook, fan_out=True)
    async with running(bench):
        await bench.decide("a")
    assert (desktop.sent, webhook.sent) == ([["a"]], [["a"]])
    assert sorted(bench.outcomes) == [("desktop", None), ("webhook", None)]
    assert bench.stages() == {"a": Stage.SENT}


async def test_a_channel_that_hangs_for_a_minute_delays_no_other(tmp_path: Path) -> None:
    desktop, webhook = (
        FakeChannel("desktop"),
        FakeChannel("webhook", asyncio.Event(), limit_secs=60),
    )
    bench = RestartableBench(tmp_path, webhook, desktop, fan_out=True)
    async with running(bench):
        for number, account in enumerate("abcdefgh"):
            await bench.decide(account)
            await bench.pass_by(0.5)
            assert len(desktop.sent) == number + 1
    assert webhook.sent == []


async def test_a_channel_that_failed_is_tried_again_alone(tmp_path: Path) -> None:
    desktop, webhook = FakeChannel("desktop"), FakeChannel("webhook", BROKEN)
    bench = RestartableBench(tmp_path, desktop, webhook, fan_out=True)
    async with running(bench):
        await bench.decide("a")
        webhook.behaviour = None
        await bench.pass_by(LIMIT_SECS)
    assert (desktop.sent, webhook.sent) == ([["a"]], [["a"]])
    assert all(one.ended for one in bench.stored())


async def test_after_a_restart_only_the_channel_that_failed_is_tried(tmp_path: Path) -> None:
    bench = RestartableBench(
        tmp_path, FakeChannel("desktop"), FakeChannel("webhook", BROKEN), fan_out=True
    )
    async with running(bench):
        await bench.decide("a")
    desktop, webhook = FakeChannel("desktop"), FakeChannel("webhook")
    restarted = bench.restarted(desktop, webhook, fan_out=True)
    async with running(restarted):
        await restarted.pass_by(0.5)
    assert (desktop.sent, webhook.sent) == ([], [["a"]])
    assert all(one.ended for one in restarted.stored())


async def test_what_one_channel_told_is_told_even_where_another_gave_up(tmp_path: Path) -> None:
    bench = RestartableBench(
        tmp_path, FakeChannel("desktop"), FakeChannel("webhook", BROKEN), fan_out=True
    )
    async with running(bench):
        await bench.decide("a")
        for _ in range(50):
            bench.clock.step(timedelta(minutes=30))
            await bench.clock.advance(1000, tick=100)
    (entry,) = bench.stored()
    assert (entry.stage, entry.ended) == (Stage.SENT, True)
    assert entry.outcome.startswith("sent (desktop); given up after a day")


async def test_other_channels_than_before_do_not_tell_again(tmp_path: Path) -> None:
    bench = RestartableBench(
        tmp_path, FakeChannel("desktop"), FakeChannel("webhook", BROKEN), fan_out=True
    )
    async with running(bench):
        await bench.decide("a")
    desktop = FakeChannel("desktop")
    restarted = bench.restarted(desktop)
    async with running(restarted):
        await restarted.pass_by(0.5)
    assert desktop.sent == []
    assert all(one.ended for one in restarted.stored())


async def test_a_rule_with_channels_of_its_own_is_told_on_all_of_them(tmp_path: Path) -> None:
    channels = [FakeChannel(name) for name in ("desktop", "webhook", "command")]
    rules = rules_with(AlertKind.THRESHOLD, channels=("webhook", "command"))
    bench = RestartableBench(tmp_path, *channels, fan_out=True, rules=rules)
    async with running(bench):
        await bench.decide("a")
    assert [channel.sent for channel in channels] == [[], [["a"]], [["a"]]]

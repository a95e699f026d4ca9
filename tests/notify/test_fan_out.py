import asyncio
from datetime import timedelta
from pathlib import Path

from monitor.core.alerts.rules import AlertKind
from monitor.core.errors import ChannelError, ChannelReason
from monitor.notify.channel import LIMIT_SECS
from monitor.storage.deliveries import Stage
from tools.kill.bench import FakeChannel, rules_with, running
from tools.kill.lives import Life

BROKEN = ChannelError(ChannelReason.UNAVAILABLE, "nobody there")


async def test_every_channel_tells_and_each_is_counted(tmp_path: Path) -> None:
    desktop, webhook = FakeChannel("desktop"), FakeChannel("webhook")
    life = Life(tmp_path, desktop, webhook, fan_out=True)
    async with running(life):
        await life.decide("a")
    assert (desktop.sent, webhook.sent) == ([["a"]], [["a"]])
    assert sorted(life.outcomes) == [("desktop", None), ("webhook", None)]
    assert life.stages() == {"a": Stage.SENT}


async def test_a_channel_that_hangs_for_a_minute_delays_no_other(tmp_path: Path) -> None:
    desktop, webhook = (
        FakeChannel("desktop"),
        FakeChannel("webhook", asyncio.Event(), limit_secs=60),
    )
    life = Life(tmp_path, webhook, desktop, fan_out=True)
    async with running(life):
        for number, account in enumerate("abcdefgh"):
            await life.decide(account)
            await life.pass_by(0.5)
            assert len(desktop.sent) == number + 1
    assert webhook.sent == []


async def test_a_channel_that_failed_is_tried_again_alone(tmp_path: Path) -> None:
    desktop, webhook = FakeChannel("desktop"), FakeChannel("webhook", BROKEN)
    life = Life(tmp_path, desktop, webhook, fan_out=True)
    async with running(life):
        await life.decide("a")
        webhook.behaviour = None
        await life.pass_by(LIMIT_SECS)
    assert (desktop.sent, webhook.sent) == ([["a"]], [["a"]])
    assert all(one.ended for one in life.stored())


async def test_after_a_restart_only_the_channel_that_failed_is_tried(tmp_path: Path) -> None:
    life = Life(tmp_path, FakeChannel("desktop"), FakeChannel("webhook", BROKEN), fan_out=True)
    async with running(life):
        await life.decide("a")
    desktop, webhook = FakeChannel("desktop"), FakeChannel("webhook")
    again = life.again(desktop, webhook, fan_out=True)
    async with running(again):
        await again.pass_by(0.5)
    assert (desktop.sent, webhook.sent) == ([], [["a"]])
    assert all(one.ended for one in again.stored())


async def test_what_one_channel_told_is_told_even_where_another_gave_up(tmp_path: Path) -> None:
    life = Life(tmp_path, FakeChannel("desktop"), FakeChannel("webhook", BROKEN), fan_out=True)
    async with running(life):
        await life.decide("a")
        for _ in range(50):
            life.clock.step(timedelta(minutes=30))
            await life.clock.advance(1000, tick=100)
    (entry,) = life.stored()
    assert (entry.stage, entry.ended) == (Stage.SENT, True)
    assert entry.outcome.startswith("sent (desktop); given up after a day")


async def test_other_channels_than_before_do_not_tell_again(tmp_path: Path) -> None:
    life = Life(tmp_path, FakeChannel("desktop"), FakeChannel("webhook", BROKEN), fan_out=True)
    async with running(life):
        await life.decide("a")
    desktop = FakeChannel("desktop")
    again = life.again(desktop)
    async with running(again):
        await again.pass_by(0.5)
    assert desktop.sent == []
    assert all(one.ended for one in again.stored())


async def test_a_rule_with_channels_of_its_own_is_told_on_all_of_them(tmp_path: Path) -> None:
    channels = [FakeChannel(name) for name in ("desktop", "webhook", "command")]
    rules = rules_with(AlertKind.THRESHOLD, channels=("webhook", "command"))
    life = Life(tmp_path, *channels, fan_out=True, rules=rules)
    async with running(life):
        await life.decide("a")
    assert [channel.sent for channel in channels] == [[], [["a"]], [["a"]]]

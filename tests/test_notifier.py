import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from monitor.core.effects import Alert, AlertKind, Effect, Notify
from monitor.core.events import Notified
from monitor.core.notify import ChannelError
from monitor.notifier import GRACE_SECS, LIMIT_SECS, REST_SECS, Channel, Notifier
from tests.builders import NOW, after
from tests.fakes import FakeClock, settle


class FakeChannel:
    """Tells at once, raises, or waits for an event, as `behaviour` has it at each alert."""

    def __init__(self, name: str, behaviour: Exception | asyncio.Event | None = None) -> None:
        self.name = name
        self.behaviour = behaviour
        self.asked: list[str] = []
        self.told: list[str] = []
        self.closed = 0

    async def tell(self, alert: Alert) -> None:
        self.asked.append(alert.account)
        if isinstance(self.behaviour, Exception):
            raise self.behaviour
        if self.behaviour is not None:
            await self.behaviour.wait()
        self.told.append(alert.account)

    def close(self) -> None:
        self.closed += 1


def alert(account: str, kind: AlertKind = AlertKind.THRESHOLD) -> Alert:
    return Alert(kind, account, "5h", NOW, utilization=0.8, threshold=0.8)


class Bench:
    """A notifier with its queue of effects, and all that it has dispatched."""

    def __init__(self, *channels: Channel) -> None:
        self.clock = FakeClock()
        self.effects: asyncio.Queue[Effect] = asyncio.Queue()
        self.events: list[Notified] = []
        self.notifier = Notifier(
            channels=channels,
            next_effect=self.effects.get,
            dispatch=self.events.append,
            clock=self.clock,
        )

    def notify(self, *accounts: str) -> None:
        for account in accounts:
            self.effects.put_nowait(Notify(alert(account)))

    @property
    def outcomes(self) -> list[tuple[str, str | None]]:
        return [(event.channel, event.failure) for event in self.events]


@asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(bench.notifier.run())
    yield task
    task.cancel()
    await asyncio.wait((task,))


async def test_the_first_channel_that_works_tells_the_alert_alone() -> None:
    first, second = FakeChannel("first"), FakeChannel("second")
    bench = Bench(first, second)
    async with running(bench):
        bench.notify("a", "b")
        await settle()
    assert (first.told, second.asked) == (["a", "b"], [])
    assert bench.events == [
        Notified(NOW, "first", "threshold"),
        Notified(NOW, "first", "threshold"),
    ]


async def test_the_next_channel_is_tried_where_one_fails_and_both_are_reported() -> None:
    first = FakeChannel("first", ChannelError("no_capability", "dropped"))
    second = FakeChannel("second")
    bench = Bench(first, second)
    async with running(bench):
        bench.notify("a")
        await settle()
    assert second.told == ["a"]
    assert bench.outcomes == [("first", "no_capability"), ("second", None)]


async def test_a_failed_channel_is_tried_again_for_the_next_alert() -> None:
    first = FakeChannel("first", ChannelError("unavailable", "nobody"))
    bench = Bench(first, FakeChannel("second"))
    async with running(bench):
        bench.notify("a")
        await settle()
        first.behaviour = None
        bench.notify("b")
        await settle()
    assert first.told == ["b"]


async def test_an_alert_that_no_channel_could_tell_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench(FakeChannel("only", ChannelError("unavailable", "nobody there")))
    async with running(bench):
        bench.notify("a")
        await settle()
    assert "channel only: unavailable: nobody there" in caplog.messages
    assert "no channel could tell: a, 5h, threshold_80" in caplog.messages


async def test_a_hanging_channel_is_given_up_after_the_limit() -> None:
    hanging, second = FakeChannel("hanging", asyncio.Event()), FakeChannel("second")
    bench = Bench(hanging, second)
    async with running(bench):
        bench.notify("a")
        await bench.clock.advance(LIMIT_SECS - 1)
        assert bench.events == []
        await bench.clock.advance(1)
    assert second.told == ["a"]
    assert bench.events == [
        Notified(after(seconds=LIMIT_SECS), "hanging", "threshold", "timeout"),
        Notified(after(seconds=LIMIT_SECS), "second", "threshold"),
    ]


async def test_alerts_behind_a_hang_go_to_the_fall_back_at_once() -> None:
    hanging, second = FakeChannel("hanging", asyncio.Event()), FakeChannel("second")
    bench = Bench(hanging, second)
    async with running(bench):
        bench.notify("a", "b", "c")
        await bench.clock.advance(LIMIT_SECS)
        assert second.told == ["a", "b", "c"]
        assert hanging.asked == ["a"]
        await bench.clock.advance(REST_SECS + 1)
        hanging.behaviour = None
        bench.notify("d")
        await settle()
    assert hanging.told == ["d"]


async def test_a_resting_channel_is_still_asked_where_the_others_fail() -> None:
    hanging = FakeChannel("hanging", asyncio.Event())
    second = FakeChannel("second", ChannelError("error", "broken"))
    bench = Bench(hanging, second)
    async with running(bench):
        bench.notify("a")
        await bench.clock.advance(LIMIT_SECS)
        hanging.behaviour = None
        bench.notify("b", "c")
        await settle(40)
    assert hanging.told == ["b", "c"]
    assert bench.outcomes[2:] == [("second", "error"), ("hanging", None), ("hanging", None)]


async def test_a_bug_in_a_channel_is_a_failure_and_the_next_one_tells(
    caplog: pytest.LogCaptureFixture,
) -> None:
    second = FakeChannel("second")
    bench = Bench(FakeChannel("buggy", ZeroDivisionError("oops")), second)
    async with running(bench):
        bench.notify("a", "b")
        await settle()
    assert second.told == ["a", "b"]
    assert bench.outcomes[:2] == [("buggy", "error"), ("second", None)]
    bugs = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.exc_info is not None for record in bugs] == [True, True]


async def test_an_alert_that_is_under_way_at_the_end_has_a_moment_to_arrive() -> None:
    slow = asyncio.Event()
    channel = FakeChannel("slow", slow)
    bench = Bench(channel)
    async with running(bench) as task:
        bench.notify("a")
        await settle()
        task.cancel()
        await settle()
        slow.set()
        await settle()
        assert task.cancelled()
    assert channel.told == ["a"]
    assert bench.outcomes == [("slow", None)]


async def test_an_alert_that_does_not_arrive_in_that_moment_is_reported() -> None:
    channel = FakeChannel("hanging", asyncio.Event())
    bench = Bench(channel)
    async with running(bench) as task:
        bench.notify("a")
        await settle()
        task.cancel()
        await bench.clock.advance(GRACE_SECS)
        assert task.cancelled()
    assert bench.outcomes == [("hanging", "interrupted")]


async def test_an_alert_that_nobody_has_begun_stays_in_the_queue() -> None:
    bench = Bench(FakeChannel("only"))
    async with running(bench):
        await settle()
    bench.notify("a")
    assert bench.effects.qsize() == 1
    assert bench.events == []


async def test_channels_are_closed_at_the_end() -> None:
    channels = FakeChannel("first"), FakeChannel("second")
    async with running(Bench(*channels)):
        await settle()
        assert [channel.closed for channel in channels] == [0, 0]
    assert [channel.closed for channel in channels] == [1, 1]


async def test_no_task_is_left_behind_by_a_hang() -> None:
    bench = Bench(FakeChannel("hanging", asyncio.Event()), FakeChannel("second"))
    before = asyncio.all_tasks()
    async with running(bench):
        bench.notify("a")
        await bench.clock.advance(LIMIT_SECS)
    await settle()
    assert asyncio.all_tasks() == before


async def test_a_test_asks_every_channel_and_says_what_became_of_each() -> None:
    channels = (
        FakeChannel("broken", ChannelError("unavailable", "there is no terminal here")),
        FakeChannel("works"),
        FakeChannel("hanging", asyncio.Event()),
        FakeChannel("buggy", ZeroDivisionError("oops")),
    )
    bench = Bench(*channels)
    testing = asyncio.create_task(bench.notifier.test_all(alert("a", AlertKind.TEST)))
    await bench.clock.advance(LIMIT_SECS)
    assert [(o.channel, o.failure, o.words) for o in await testing] == [
        ("broken", "unavailable", "unavailable: there is no terminal here"),
        ("works", None, "told"),
        ("hanging", "timeout", "timeout: no answer within 5 s"),
        ("buggy", "error", "error: a bug, ZeroDivisionError; the log has more"),
    ]
    assert [event.kind for event in bench.events] == ["test"] * 4
    assert [channel.closed for channel in channels] == [1] * 4

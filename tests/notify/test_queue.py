import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

import pytest

from monitor.core.alerts.rules import Alert, AlertKind
from monitor.core.alerts.text import Message
from monitor.core.errors import ChannelError, ChannelReason
from monitor.core.events import Notified
from monitor.notify.channel import GRACE_SECS, LIMIT_SECS, MARGIN_SECS, REST_SECS
from monitor.storage.deliveries import StoredAlert
from tests.builders import after
from tests.fakes import settle
from tools.kill.bench import Bench, FakeChannel, rules_with, running

GIVEN_UP_SECS = LIMIT_SECS + MARGIN_SECS
BROKEN = ChannelError(ChannelReason.UNAVAILABLE, "nobody there")


async def test_the_first_channel_that_works_tells_the_alert_alone() -> None:
    first, second = FakeChannel("first"), FakeChannel("second")
    bench = Bench(first, second)
    async with running(bench):
        await bench.decide_each("a", "b")
    assert (first.sent, second.asked) == ([["a"], ["b"]], [])
    assert bench.outcomes == [("first", None), ("first", None)]
    assert [event.kind for event in bench.events] == ["threshold", "threshold"]


async def test_the_next_channel_is_tried_where_one_fails_and_both_are_reported() -> None:
    first = FakeChannel("first", ChannelError(ChannelReason.NO_CAPABILITY, "dropped"))
    second = FakeChannel("second")
    bench = Bench(first, second)
    async with running(bench):
        await bench.decide_each("a")
    assert second.sent == [["a"]]
    assert bench.outcomes == [("first", "no_capability"), ("second", None)]


async def test_a_failed_channel_is_tried_again_for_the_next_alert() -> None:
    first = FakeChannel("first", BROKEN)
    bench = Bench(first, FakeChannel("second"))
    async with running(bench):
        await bench.decide_each("a")
        first.behaviour = None
        await bench.decide_each("b")
    assert first.sent == [["b"]]


async def test_an_alert_that_no_channel_could_tell_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench(FakeChannel("only", BROKEN))
    async with running(bench):
        await bench.decide_each("a")
        await bench.pass_by(10)
    assert caplog.messages.count("channel only: unavailable: nobody there") == 2
    assert caplog.messages.count("no channel could send: a, 5h, threshold_80") == 1


async def test_an_alert_of_no_window_is_logged_without_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench(FakeChannel("only", BROKEN))
    async with running(bench):
        of_no_window = Alert(AlertKind.UNREADABLE, "a", "", bench.clock.now())
        bench.decided.put_nowait(StoredAlert(of_no_window, "key"))
        await bench.pass_by(0.4)
    assert "no channel could send: a, unreadable" in caplog.messages


async def test_a_hanging_channel_is_given_up_after_the_limit() -> None:
    hanging, second = FakeChannel("hanging", asyncio.Event()), FakeChannel("second")
    bench = Bench(hanging, second)
    async with running(bench):
        await bench.decide_each("a")
        await bench.pass_by(GIVEN_UP_SECS - 0.5)
        assert bench.events == []
        await bench.pass_by(0.5)
    assert second.sent == [["a"]]
    assert bench.outcomes == [("hanging", "timeout"), ("second", None)]


async def test_a_channel_s_own_limit_ends_first_and_says_it_in_its_words() -> None:
    class Limited(FakeChannel):
        async def send(self, message: Message, alerts: Sequence[Alert]) -> None:  # noqa: ARG002
            await bench.clock.sleep(self.limit_secs)
            raise ChannelError(ChannelReason.TIMEOUT, "the notification service did not answer")

    bench = Bench(Limited("limited"))
    testing = asyncio.create_task(bench.send_to_each())
    await bench.pass_by(GIVEN_UP_SECS)
    (outcome,) = await testing
    assert outcome.detail == "timeout: the notification service did not answer"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (ChannelError(ChannelReason.TIMEOUT, "killed it"), "timeout: killed it"),
        (ZeroDivisionError("oops"), "error: a bug, ZeroDivisionError; the log has more"),
        (None, "timeout: no answer within 6 s"),
    ],
)
async def test_what_a_cancelled_channel_still_says_is_heard(
    said: Exception | None, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    ended = False

    class Cleaning(FakeChannel):
        async def send(self, message: Message, alerts: Sequence[Alert]) -> None:
            nonlocal ended
            try:
                await super().send(message, alerts)
            finally:
                await bench.clock.sleep(GRACE_SECS / 2)
                ended = True
                if said is not None:
                    raise said

    bench = Bench(Cleaning("cleaning", asyncio.Event()))
    testing = asyncio.create_task(bench.send_to_each())
    await bench.pass_by(GIVEN_UP_SECS + 2 * GRACE_SECS)
    (outcome,) = await testing
    assert (outcome.detail, ended) == (words, True)
    bugs = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(bugs) == isinstance(said, ZeroDivisionError)


async def test_a_channel_that_does_not_even_end_is_left_behind_after_a_grace() -> None:
    stubborn = asyncio.Event()

    class Stubborn(FakeChannel):
        async def send(self, message: Message, alerts: Sequence[Alert]) -> None:  # noqa: ARG002
            while not stubborn.is_set():
                with suppress(asyncio.CancelledError):
                    await stubborn.wait()

    bench = Bench(Stubborn("stubborn"))
    testing = asyncio.create_task(bench.send_to_each())
    await bench.pass_by(GIVEN_UP_SECS + 2 * GRACE_SECS)
    assert [o.failure for o in await testing] == ["timeout"]
    stubborn.set()
    await settle()


async def test_a_channel_may_have_a_limit_of_its_own() -> None:
    slow, second = FakeChannel("slow", asyncio.Event(), limit_secs=19), FakeChannel("second")
    bench = Bench(slow, second)
    async with running(bench):
        await bench.decide_each("a")
        await bench.pass_by(19)
        assert bench.events == []
        await bench.pass_by(1)
    assert second.sent == [["a"]]


async def test_alerts_behind_a_hang_go_to_the_fall_back_at_once() -> None:
    hanging, second = FakeChannel("hanging", asyncio.Event()), FakeChannel("second")
    bench = Bench(hanging, second)
    async with running(bench):
        await bench.decide_each("a", "b")
        await bench.pass_by(GIVEN_UP_SECS)
        await bench.decide_each("c")
        assert second.sent == [["a"], ["b"], ["c"]]
        assert hanging.asked == [["a"]]
        await bench.pass_by(REST_SECS + 1)
        hanging.behaviour = None
        await bench.decide_each("d")
    assert hanging.sent == [["d"]]


async def test_a_resting_channel_is_still_asked_where_the_others_fail() -> None:
    hanging = FakeChannel("hanging", asyncio.Event())
    second = FakeChannel("second")
    bench = Bench(hanging, second)
    async with running(bench):
        await bench.decide_each("a")
        await bench.pass_by(GIVEN_UP_SECS)
        hanging.behaviour, second.behaviour = None, BROKEN
        await bench.decide_each("b", "c")
    assert hanging.sent == [["b"], ["c"]]
    assert bench.outcomes[2:] == [("second", "unavailable"), ("hanging", None), ("hanging", None)]


async def test_a_bug_in_a_channel_is_a_failure_and_the_next_one_tells(
    caplog: pytest.LogCaptureFixture,
) -> None:
    second = FakeChannel("second")
    bench = Bench(FakeChannel("buggy", ZeroDivisionError("oops")), second)
    async with running(bench):
        await bench.decide_each("a", "b")
    assert second.sent == [["a"], ["b"]]
    assert bench.outcomes[:2] == [("buggy", "error"), ("second", None)]
    bugs = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.exc_info is not None for record in bugs] == [True, True]


async def test_a_rule_may_have_channels_of_its_own() -> None:
    desktop, webhook = FakeChannel("desktop"), FakeChannel("webhook")
    rules = rules_with(AlertKind.RESET, channels=("webhook",))
    bench = Bench(desktop, webhook, rules=rules)
    async with running(bench):
        bench.notify("a", kind=AlertKind.RESET)
        bench.notify("b", kind=AlertKind.THRESHOLD)
        await bench.pass_by(0.4)
    assert (desktop.sent, webhook.sent) == ([["b"]], [["a"]])


async def test_a_rule_whose_channels_are_all_unknown_has_the_usual_ones() -> None:
    desktop = FakeChannel("desktop")
    rules = rules_with(AlertKind.THRESHOLD, channels=("pigeon",))
    bench = Bench(desktop, rules=rules)
    async with running(bench):
        await bench.decide_each("a")
    assert desktop.sent == [["a"]]


async def test_a_name_may_stand_for_several_channels_in_order() -> None:
    desktop, bell = FakeChannel("desktop", BROKEN), FakeChannel("bell")
    bench = Bench(chains={"desktop": (desktop, bell)})
    async with running(bench):
        await bench.decide_each("a")
    assert bell.sent == [["a"]]


async def test_an_alert_that_is_under_way_at_the_end_has_a_moment_to_arrive() -> None:
    slow = asyncio.Event()
    channel = FakeChannel("slow", slow)
    bench = Bench(channel)
    async with running(bench) as task:
        await bench.decide_each("a")
        task.cancel()
        await settle()
        slow.set()
        await settle()
        assert task.cancelled()
    assert channel.sent == [["a"]]
    assert bench.outcomes == [("slow", None)]


async def test_an_alert_that_does_not_arrive_in_that_moment_is_reported() -> None:
    channel = FakeChannel("hanging", asyncio.Event())
    bench = Bench(channel)
    async with running(bench) as task:
        await bench.decide_each("a")
        task.cancel()
        await bench.clock.advance(GRACE_SECS)
        assert task.cancelled()
    assert bench.outcomes == [("hanging", "interrupted")]


async def test_an_alert_that_nobody_has_begun_stays_in_the_queue() -> None:
    bench = Bench(FakeChannel("only"))
    async with running(bench):
        await settle()
    bench.notify("a")
    assert bench.decided.qsize() == 1
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
        await bench.decide_each("a")
        await bench.clock.advance(GIVEN_UP_SECS)
    await settle()
    assert asyncio.all_tasks() == before


async def test_a_test_asks_every_channel_and_says_what_became_of_each() -> None:
    channels = (
        FakeChannel("broken", ChannelError(ChannelReason.UNAVAILABLE, "there is no terminal here")),
        FakeChannel("works"),
        FakeChannel("hanging", asyncio.Event()),
        FakeChannel("buggy", ZeroDivisionError("oops")),
    )
    bench = Bench(*channels)
    testing = asyncio.create_task(bench.send_to_each())
    await bench.clock.advance(GIVEN_UP_SECS)
    assert [(o.channel, o.failure, o.detail) for o in await testing] == [
        ("broken", "unavailable", "unavailable: there is no terminal here"),
        ("works", None, "sent"),
        ("hanging", "timeout", "timeout: no answer within 6 s"),
        ("buggy", "error", "error: a bug, ZeroDivisionError; the log has more"),
    ]
    assert [event.kind for event in bench.events] == ["test"] * 4
    assert [channel.closed for channel in channels] == [1] * 4


async def test_each_try_is_dispatched_with_its_instant() -> None:
    bench = Bench(FakeChannel("only"))
    async with running(bench):
        await bench.decide_each("a")
    (event,) = bench.events
    assert after() < event.at <= after(seconds=0.4)
    assert event == Notified(event.at, "only", "threshold", alerts=event.alerts)
    assert [alert.account for alert in event.alerts] == ["a"]

import asyncio
import logging
from collections.abc import Callable, Sequence

import pytest

from monitor.core.effects import Effect, Notify
from monitor.core.errors import TrackerError
from monitor.core.events import PollSucceeded, Ticked
from monitor.core.state import State
from monitor.store import Store
from tests.builders import NOW, live, state, window
from tools.kill.restarts import sample

LOW, HIGH = sample("a", 0, 70), sample("a", 3, 85)


class Recorder:
    """Notes what it is shown, and fails or filters as it is told to."""

    def __init__(self) -> None:
        self.seen: list[tuple[State, State, int]] = []
        self.failure: str | None = None
        self.answer: Callable[[Sequence[Effect]], Sequence[Effect]] = lambda effects: effects

    def __call__(self, before: State, after: State, effects: Sequence[Effect]) -> Sequence[Effect]:
        self.seen.append((before, after, len(effects)))
        if self.failure:
            raise TrackerError(self.failure)
        return self.answer(effects)


def store_with(record: Recorder) -> Store:
    return Store(state(live("a", window("5h", 10))), record)


async def told(store: Store) -> list[Effect]:
    """The effects that are queued."""
    effects = []
    while True:
        try:
            async with asyncio.timeout(0):
                effects.append(await store.next_effect())
        except TimeoutError:
            return effects


async def test_a_change_wakes_whoever_waits_for_one() -> None:
    store = Store(state())
    waiting = asyncio.create_task(store.changed())
    await asyncio.sleep(0)
    store.dispatch(Ticked(NOW))
    assert await waiting is store.state


async def test_effects_are_queued_in_order_and_each_is_taken_once() -> None:
    store = Store(state(live("a", window("5h", 10))))
    for event in (LOW, HIGH, sample("a", 6, 96)):
        store.dispatch(event)
    assert [effect.alert.threshold for effect in await told(store)] == [0.8, 0.95]
    assert await told(store) == []


async def test_an_event_is_written_down_before_its_state_is_seen() -> None:
    record = Recorder()
    store = store_with(record)
    seen = []

    def look(effects: Sequence[Effect]) -> Sequence[Effect]:
        seen.append(store.state)
        return effects

    record.answer = look
    before = store.state
    store.dispatch(LOW)
    assert seen == [before]
    assert record.seen == [(before, store.state, 0)]


async def test_what_the_record_has_already_is_not_told_again() -> None:
    record = Recorder()
    record.answer = lambda _: ()
    store = store_with(record)
    store.dispatch(LOW)
    store.dispatch(HIGH)
    assert await told(store) == []


async def test_what_cannot_be_written_is_told_all_the_same_and_once() -> None:
    record = Recorder()
    record.failure = "the disk is full"
    store = store_with(record)
    for event in (LOW, HIGH, sample("a", 6, 86), sample("a", 9, 87)):
        store.dispatch(event)
    (effect,) = await told(store)
    assert isinstance(effect, Notify)
    assert store.state.ledger_failure == "the disk is full"


async def test_a_failure_is_logged_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    record = Recorder()
    store = store_with(record)
    for failure in (None, "full", "full", "full", None, None):
        record.failure = failure
        store.dispatch(Ticked(NOW))
    assert caplog.messages == ["full", "the alert ledger can be written again"]
    assert store.state.ledger_failure is None


async def test_without_a_record_nothing_is_missed() -> None:
    store = Store(state(live("a", window("5h", 10))))
    events: tuple[PollSucceeded, ...] = (LOW, HIGH)
    for event in events:
        store.dispatch(event)
    assert len(await told(store)) == 1
    assert store.state.ledger_failure is None


async def test_what_a_successor_needs_is_kept_before_anything_else_is_done() -> None:
    seen: list[tuple[State, State, State]] = []

    def keep(before: State, after: State) -> None:
        seen.append((before, after, store.state))

    store = Store(state(live("a", window("5h", 10))), keep=keep)
    start = store.state
    store.dispatch(HIGH)
    assert seen == [(start, store.state, start)]
    store.dispatch(Ticked(NOW))
    assert len(seen) == 2


async def test_what_is_kept_knows_whether_the_ledger_could_be_written() -> None:
    kept: list[State] = []
    record = Recorder()
    record.failure = "the disk is full"
    store = Store(state(live("a")), record, lambda _, after: kept.append(after))
    store.dispatch(LOW)
    assert kept == [store.state]
    assert kept[0].ledger_failure == "the disk is full"

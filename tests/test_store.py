import asyncio
from collections.abc import Callable, Sequence

from monitor.core.effects import Effect
from monitor.core.events import Ticked
from monitor.core.state import State
from monitor.store import Store
from tests.builders import NOW, live, state, window
from tools.kill.restarts import sample

LOW, HIGH = sample("a", 0, 70), sample("a", 3, 85)


class Record:
    """Keeps what it is shown, and the effects that it has not released yet."""

    def __init__(self) -> None:
        self.seen: list[tuple[State, State]] = []
        self.held: list[Effect] = []
        self.release: Callable[[Effect], None] = lambda _: None

    def __call__(
        self,
        before: State,
        after: State,
        effects: Sequence[Effect],
        release: Callable[[Effect], None],
    ) -> None:
        self.seen.append((before, after))
        self.held += effects
        self.release = release


def store_with(record: Record | None = None) -> Store:
    return Store(state(live("a", window("5h", 10))), record)


async def queued(store: Store) -> list[Effect]:
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
    store = store_with()
    for event in (LOW, HIGH, sample("a", 6, 96)):
        store.dispatch(event)
    assert [effect.alert.threshold for effect in await queued(store)] == [0.8, 0.95]
    assert await queued(store) == []


async def test_each_event_is_recorded_with_the_states_before_and_after_it() -> None:
    record = Record()
    store = store_with(record)
    states = [store.state]
    for event in (LOW, HIGH):
        store.dispatch(event)
        states.append(store.state)
    assert record.seen == [(states[0], states[1]), (states[1], states[2])]


async def test_an_effect_is_queued_once_it_is_released_and_its_state_is_seen_at_once() -> None:
    record = Record()
    store = store_with(record)
    store.dispatch(LOW)
    changed = asyncio.create_task(store.changed())
    await asyncio.sleep(0)
    store.dispatch(HIGH)
    assert await changed is store.state
    assert await queued(store) == []
    (effect,) = record.held
    record.release(effect)
    assert await queued(store) == [effect]

import asyncio
from collections.abc import Sequence

from monitor.core.alerts.rules import Alert
from monitor.core.events import Muted, Ticked
from monitor.core.state import State
from monitor.store import Store
from monitor.system.aio import Observable
from tests.builders import NOW, after, live, state, window
from tools.kill.restarts import sample

LOW, HIGH = sample("a", 0, 70), sample("a", 3, 85)


class Record:
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.seen: list[tuple[State, State]] = []
        self.alerts: list[Alert] = []

    def __call__(self, before: State, after: State, alerts: Sequence[Alert]) -> None:
        self.seen.append((before, after))
        self.alerts += alerts


def store_with(record: Record) -> Store:
    return Store(state(live("a", window("5h", 10))), record)


async def test_a_change_wakes_whoever_waits_for_one() -> None:
    store = Store(state())
    waiting = asyncio.create_task(store.wait_for_change())
    await asyncio.sleep(0)
    store.dispatch(Ticked(NOW))
    assert await waiting is store.state


async def test_each_event_is_recorded_with_the_states_before_and_after_it() -> None:
    record = Record()
    store = store_with(record)
    states = [store.state]
    for event in (LOW, HIGH):
        store.dispatch(event)
        states.append(store.state)
    assert record.seen == [(states[0], states[1]), (states[1], states[2])]


async def test_alerts_are_recorded_in_order_and_their_state_is_seen_at_once() -> None:
    record = Record()
    store = store_with(record)
    store.dispatch(LOW)
    changed = asyncio.create_task(store.wait_for_change())
    await asyncio.sleep(0)
    store.dispatch(HIGH)
    assert await changed is store.state
    store.dispatch(sample("a", 6, 96))
    assert [alert.threshold for alert in record.alerts] == [0.8, 0.95]


async def test_another_view_shows_every_state_at_once_and_the_last_one_afterwards() -> None:
    view, store = Observable(State()), Store(state(live("a")))
    turned = asyncio.create_task(view.wait_for_change())
    await asyncio.sleep(0)
    with store.show_in(view):
        assert await turned is view.state is store.state
        changed = asyncio.create_task(view.wait_for_change())
        await asyncio.sleep(0)
        store.dispatch(Muted(NOW, after(minutes=1)))
        assert view.state is store.state
        assert (await changed).muted_until == after(minutes=1)
    store.dispatch(Muted(NOW, None))
    assert view.state.muted_until == after(minutes=1)
    second = Store(state(live("b")))
    with second.show_in(view):
        assert view.state is second.state

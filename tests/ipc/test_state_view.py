"""One state to look at, whoever keeps it: what is seen while the view turns."""

import asyncio

from monitor.core.events import Muted
from monitor.ipc.state_view import StateView
from monitor.store import Store
from tests.builders import NOW, after, live, state
from tests.fakes import settle

FIRST = state(live("first@example.com"))
SECOND = state(live("second@example.com"))


async def test_a_view_that_is_turned_to_is_a_change() -> None:
    outlook = StateView()
    waiting = asyncio.create_task(outlook.changed())
    await settle()
    async with outlook.follow(Store(FIRST)):
        assert await waiting is FIRST
        assert outlook.state is FIRST


async def test_every_change_of_the_view_is_one_of_the_outlook() -> None:
    outlook, store = StateView(), Store(FIRST)
    async with outlook.follow(store):
        await settle()
        for minute in (1, 2):
            waiting = asyncio.create_task(outlook.changed())
            await settle()
            store.dispatch(Muted(NOW, after(minutes=minute)))
            assert (await waiting).muted_until == after(minutes=minute)


async def test_a_change_right_after_the_turn_is_not_missed() -> None:
    outlook, store = StateView(), Store(FIRST)
    seen = []

    async def watch() -> None:
        while True:
            seen.append((await outlook.changed()).muted_until)

    task = asyncio.create_task(watch())
    await settle()
    async with outlook.follow(store):
        store.dispatch(Muted(NOW, after(minutes=1)))
        await settle()
    task.cancel()
    assert seen[-1] == after(minutes=1)


async def test_between_two_views_the_last_state_stays_in_sight() -> None:
    outlook, store = StateView(), Store(FIRST)
    async with outlook.follow(store):
        store.dispatch(Muted(NOW, after(hours=1)))
    assert outlook.state.muted_until == after(hours=1)
    waiting = asyncio.create_task(outlook.changed())
    await settle()
    store.dispatch(Muted(NOW, None))  # nobody looks at it any more
    await settle()
    assert not waiting.done()
    async with outlook.follow(Store(SECOND)):
        assert await waiting is SECOND


async def test_nothing_has_been_seen_before_the_first_view() -> None:
    outlook = StateView()
    waiting = asyncio.create_task(outlook.ready())
    await settle()
    assert not waiting.done()
    assert not outlook.state.accounts
    async with outlook.follow(Store(FIRST)):
        await waiting

"""Waiting for one thing while another may end it, and blocking calls off the loop."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from monitor.system.aio import DaemonThreads, wait_for_either


def pending() -> "asyncio.Future[None]":
    return asyncio.get_running_loop().create_future()


async def fails() -> None:
    raise ZeroDivisionError


async def test_a_bug_in_what_is_waited_for_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await wait_for_either(pending(), fails())


async def test_the_front_is_left_as_it_is_and_the_other_is_given_up() -> None:
    front, other = pending(), pending()
    front.set_result(None)
    await wait_for_either(front, other)
    assert other.cancelled()
    front, other = pending(), pending()
    other.set_result(None)
    await wait_for_either(front, other)
    assert not front.done()


class Hanging:
    """Work that does not come back before `let_go`; it counts how often it was begun."""

    def __init__(self) -> None:
        self.begun = 0
        self.let_go = threading.Event()

    def __call__(self) -> str:
        self.begun += 1
        self.let_go.wait(15)
        return "back"


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    work = Hanging()
    yield work
    work.let_go.set()


async def test_the_outcome_is_that_of_the_work() -> None:
    threads = DaemonThreads(15)
    assert await threads.run(lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0)
    assert await threads.run(threading.current_thread) is not threading.current_thread()


async def test_a_timeout_of_the_work_itself_leaves_nothing_stuck() -> None:
    threads = DaemonThreads(15)

    def slow_disk() -> None:
        raise TimeoutError

    for _ in range(20):
        with pytest.raises(TimeoutError):
            await threads.run(slow_disk)
        assert await threads.run(lambda: 42) == 42


async def test_while_a_call_is_stuck_past_its_limit_no_other_is_begun(hanging: Hanging) -> None:
    threads = DaemonThreads(0.02)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await threads.run(hanging)
    assert hanging.begun == 1


async def test_neither_is_one_while_a_call_is_stuck_that_its_caller_gave_up(
    hanging: Hanging,
) -> None:
    threads = DaemonThreads(15)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await threads.run(hanging)
    assert hanging.begun == 1


async def test_once_the_stuck_call_is_back_the_next_is_begun(hanging: Hanging) -> None:
    threads = DaemonThreads(15)
    given_up = asyncio.create_task(threads.run(hanging))
    await asyncio.sleep(0)
    given_up.cancel()
    with suppress(asyncio.CancelledError):
        await given_up
    hanging.let_go.set()
    async with asyncio.timeout(15):
        while True:
            with suppress(TimeoutError):
                assert await threads.run(hanging) == "back"
                break
            await asyncio.sleep(0.005)
    assert hanging.begun == 2


async def test_calls_beside_one_another_are_no_trouble(hanging: Hanging) -> None:
    threads = DaemonThreads(15)
    waiting = asyncio.create_task(threads.run(hanging))
    await asyncio.sleep(0)
    assert await threads.run(lambda: 42) == 42
    hanging.let_go.set()
    assert await waiting == "back"


async def test_a_thread_is_used_again_once_it_is_free(hanging: Hanging) -> None:
    threads = DaemonThreads(15)
    stuck = asyncio.create_task(threads.run(hanging))
    await asyncio.sleep(0)
    used = {await threads.run(threading.get_ident) for _ in range(200)}
    assert len(used) < 20
    hanging.let_go.set()
    assert await stuck == "back"

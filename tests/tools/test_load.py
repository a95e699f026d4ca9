"""What `make load` counts with, and that 200 followers all get the newest state."""

import asyncio
import math
from pathlib import Path

import pytest

from monitor.core.state import State
from tests.builders import after, state, waiting
from tests.ipc.handlers import serving
from tools.load.figures import Polls, percentile
from tools.load.followers import Follower


async def test_two_hundred_followers_all_get_the_newest_state(tmp_path: Path) -> None:
    path = tmp_path / "run" / "socket"
    async with serving(path) as handler:
        handler.padding = "x" * 20_000
        followers, seen = [Follower() for _ in range(200)], asyncio.Semaphore(0)
        tasks = [asyncio.create_task(one.follow(str(path), seen)) for one in followers]
        for _ in followers:
            await seen.acquire()
        for number in range(1, 101):
            handler.show(number)
            if number % 10 == 0:
                await asyncio.sleep(0)
        async with asyncio.timeout(10):
            while {follower.newest["state"].get("active") for follower in followers} != {100}:  # noqa: ASYNC110 - nobody says when
                await asyncio.sleep(0.02)
        assert handler.renderings <= 13 * len(followers), "one for ten changes, and at both ends"
        assert not any(task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize(
    ("values", "rank", "value"),
    [([1], 50, 1), ([3, 1, 2], 50, 2), (range(1, 101), 99, 99), (range(1, 101), 100, 100)],
)
def test_a_percentile_is_one_of_the_values(values: list[float], rank: int, value: float) -> None:
    assert percentile(list(values), rank) == value


def test_of_nothing_there_is_no_percentile() -> None:
    assert math.isnan(percentile([], 50))


def seen(due: float, *requests: float, polling: bool = False) -> State:
    sent = tuple(after(seconds=secs) for secs in requests)
    return state(waiting("a", next_poll_at=after(seconds=due), requests=sent, polling=polling))


def test_a_poll_is_as_late_as_its_request_left_after_it_was_due() -> None:
    polls = Polls()
    polls.look(seen(1, 0))
    polls.look(seen(1, 0))
    polls.look(seen(9, 0, 1.25, polling=True))
    polls.look(seen(31.25, 0, 1.25))
    polls.look(seen(62, 0, 1.25, 31.26))
    assert polls.late_ms == [250.0, 10.0]

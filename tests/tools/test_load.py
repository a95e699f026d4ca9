"""What `make load` counts with, and that 200 viewers all get the newest state."""

import asyncio
import math
from pathlib import Path

import pytest

from monitor.core.state import State
from tests.builders import after, state, waiting
from tests.ipc.handlers import serving
from tools.load.figures import Polls, percentile
from tools.load.viewers import Viewer


async def test_two_hundred_viewers_all_get_the_newest_state(tmp_path: Path) -> None:
    path = tmp_path / "run" / "socket"
    async with serving(path) as desk:
        desk.padding = "x" * 20_000
        viewers, seen = [Viewer() for _ in range(200)], asyncio.Semaphore(0)
        tasks = [asyncio.create_task(v.follow(str(path), seen)) for v in viewers]
        for _ in viewers:
            await seen.acquire()
        for number in range(1, 101):
            desk.show(number)
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            while {viewer.newest["state"].get("active") for viewer in viewers} != {100}:  # noqa: ASYNC110 - nobody says when
                await asyncio.sleep(0.02)
        assert desk.renderings <= 3 + max(viewer.states for viewer in viewers)
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

"""Streams over real sockets: the newest for each who follows, and nobody held up by one who stalls."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from monitor.ipc.server import ServerLimits
from tests.ipc.handlers import FakeHandler, everything, line, serving


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "claude-tracker" / "socket"


class Watcher:
    """Reads a stream; `number` is the newest that came."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self.reader = reader
        self.numbers: list[int] = []
        self.beats = 0
        self.ended = False

    @property
    def number(self) -> int | None:
        return self.numbers[-1] if self.numbers else None

    async def run(self) -> None:
        assert await self.reader.readline() == b"0\n"
        while text := await self.reader.readline():
            if text == b"\n":
                self.beats += 1
            else:
                self.numbers.append(json.loads(text)["number"])
        self.ended = True


@asynccontextmanager
async def watchers(path: Path, count: int = 1) -> AsyncIterator[list[Watcher]]:
    writers, tasks, watching = [], [], []
    for _ in range(count):
        reader, writer = await asyncio.open_unix_connection(str(path), limit=1 << 24)
        writer.write(line("watch"))
        writers.append(writer)
        watching.append(Watcher(reader))
        tasks.append(asyncio.create_task(watching[-1].run()))
    try:
        yield watching
    finally:
        for writer in writers:
            writer.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what the test looks at sets no event
            await asyncio.sleep(0.005)


async def test_who_comes_is_shown_the_newest_at_once_and_every_change(path: Path) -> None:
    async with serving(path) as handler:
        handler.show(1)
        async with watchers(path) as [watcher]:
            for number in (1, 2, 3):
                handler.show(number)
                await until(lambda number=number: watcher.number == number)  # type: ignore[misc]
            assert watcher.numbers == [1, 2, 3]


async def test_a_change_that_changes_nothing_seen_is_not_sent(path: Path) -> None:
    async with serving(path) as handler, watchers(path) as [watcher]:
        await until(lambda: watcher.number == 0)
        handler.show(0)
        await asyncio.sleep(0.25)
        handler.show(1)
        await until(lambda: watcher.number == 1)
        assert watcher.numbers == [0, 1]


async def test_silence_is_filled_with_heart_beats(path: Path) -> None:
    async with serving(path, limits=ServerLimits(beat_secs=0.02)), watchers(path) as [watcher]:
        await until(lambda: watcher.beats >= 3)
        assert watcher.numbers == [0]


async def test_changes_that_change_nothing_seen_are_silence_too(path: Path) -> None:
    """As those of a countdown whose format shows no time."""
    async with (
        serving(path, limits=ServerLimits(beat_secs=0.3)) as handler,
        watchers(path) as [watcher],
    ):
        async with asyncio.timeout(5):
            while watcher.beats < 3:
                handler.show(0)
                await asyncio.sleep(0.01)
        assert watcher.numbers == [0]
        assert handler.renderings < 60  # though some hundred changes have come


async def test_many_changes_are_some_ten_a_second_and_the_last_is_never_lost(path: Path) -> None:
    async with serving(path) as handler, watchers(path) as [watcher]:
        await until(lambda: watcher.number == 0)
        for number in range(1, 500):
            handler.show(number)
            await asyncio.sleep(0.001)
        await until(lambda: watcher.number == 499)
        assert len(watcher.numbers) <= 15


class RestlessHandler(FakeHandler):
    """Changes once more right after each rendering, until the fifth."""

    def _document(self) -> str:
        document = super()._document()
        number: int = json.loads(document)["number"]
        if number < 5:
            asyncio.get_running_loop().call_soon(self.show, number + 1)
        return document


async def test_a_change_right_after_a_rendering_is_not_missed(path: Path) -> None:
    async with serving(path, RestlessHandler()), watchers(path) as [watcher]:
        await until(lambda: watcher.number == 5)


async def test_two_hundred_followers_see_every_change(path: Path) -> None:
    async with serving(path) as handler:
        handler.padding = "x" * 100_000  # as of a hundred accounts
        async with watchers(path, 200) as watching:
            for number in range(4):
                handler.show(number)
                await until(lambda n=number: all(w.number == n for w in watching))  # type: ignore[misc]
        handler.show(4)  # with this it is seen that nobody is there any more
        await asyncio.sleep(0.3)
        renderings = handler.renderings
        for number in (5, 6):
            handler.show(number)
            await asyncio.sleep(0.15)
        assert handler.renderings == renderings


async def test_a_follower_who_never_reads_delays_nobody_and_is_dropped(path: Path) -> None:
    async with serving(path, limits=ServerLimits(drain_secs=0.4)) as handler:
        handler.padding = "x" * 1_000_000
        stalled, writer = await asyncio.open_unix_connection(str(path), limit=1024)
        writer.write(line("watch"))
        async with watchers(path) as [watcher]:
            for number in range(1, 8):
                handler.show(number)
                begun = time.monotonic()
                await until(lambda n=number: watcher.number == n)  # type: ignore[misc]
                assert time.monotonic() - begun < 0.4
            assert len(await everything(stalled)) < 1_000_000  # it was cut off in its first
            assert watcher.numbers == list(range(watcher.numbers[0], 8))
        writer.transport.abort()


async def test_a_slow_follower_skips_to_the_newest(path: Path) -> None:
    async with serving(path) as handler:
        handler.padding = "x" * 1_000_000
        reader, writer = await asyncio.open_unix_connection(str(path), limit=1024)
        writer.write(line("watch"))
        async with watchers(path) as [watcher]:
            await until(lambda: watcher.number == 0)
            for number in range(1, 6):
                handler.show(number)
                await until(lambda n=number: watcher.number == n)  # type: ignore[misc]
        data = b""
        while data.count(b"\n") < 3:
            data += await reader.read(65536)
        assert [json.loads(text)["number"] for text in data.splitlines()[1:3]] == [0, 5]
        writer.transport.abort()


READER = """
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
s.sendall(b'{"v": 3, "type": "watch"}\\n')
print(s.recv(2), flush=True)
while s.recv(65536): pass
"""


async def test_a_stopped_follower_process_delays_nobody_and_is_dropped(path: Path) -> None:
    async with serving(path, limits=ServerLimits(drain_secs=0.3)) as handler:
        handler.padding = "x" * 300_000
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", READER, str(path), stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        await child.stdout.readline()
        child.send_signal(signal.SIGSTOP)
        async with watchers(path) as [watcher]:
            for number in range(1, 8):
                handler.show(number)
                await until(lambda n=number: watcher.number == n, 1)  # type: ignore[misc]
            await asyncio.sleep(0.4)
        child.send_signal(signal.SIGCONT)
        assert await asyncio.wait_for(child.wait(), 5) == 0  # its stream has ended


async def test_a_rendering_that_fails_ends_its_followers_and_the_next_is_told(path: Path) -> None:
    async with serving(path) as handler:
        async with watchers(path) as [watcher]:
            await until(lambda: watcher.number == 0)
            handler.broken = True
            handler.show(1)
            await until(lambda: watcher.ended, 1)
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(line("watch"))
            assert (await everything(reader)).startswith(b"3\na bug in the running monitor")
            writer.close()
        handler.broken = False
        async with watchers(path) as [watcher]:
            await until(lambda: watcher.number == 1)


async def test_idle_followers_cost_next_to_nothing(path: Path) -> None:
    """A fifth of a core would be far too much; it is some hundredth."""
    async with serving(path), watchers(path, 20) as watching:
        await until(lambda: all(watcher.number == 0 for watcher in watching))
        before = sum(os.times()[:2])
        await asyncio.sleep(1)
        assert sum(os.times()[:2]) - before < 0.2

"""Writing to a terminal that does not read."""

import asyncio
import os
from collections.abc import Iterator

import pytest

from monitor.terminal.tty import Output

Pipe = tuple[int, int]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A non-blocking writer and its reader."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    os.set_blocking(reader, False)
    yield reader, writer
    for fd in (reader, writer):
        os.close(fd)


def read_all(reader: int) -> bytes:
    data = b""
    while True:
        try:
            data += os.read(reader, 1 << 20)
        except BlockingIOError:
            return data


LARGE = b"x" * (1 << 20)


async def drain(reader: int, output: Output) -> bytes:
    """Read until the output has written all that it holds."""
    data = b""
    while not output.idle:
        data += read_all(reader)
        await asyncio.sleep(0)
    return data + read_all(reader)


async def test_what_fits_is_written_at_once(pipe: Pipe) -> None:
    output = Output(pipe[1], asyncio.get_running_loop())
    assert output.offer(b"frame")
    assert read_all(pipe[0]) == b"frame"


async def test_a_frame_is_dropped_while_an_earlier_one_is_on_its_way(pipe: Pipe) -> None:
    output = Output(pipe[1], asyncio.get_running_loop())
    assert output.offer(LARGE)
    assert not output.offer(b"dropped")
    assert await drain(pipe[0], output) == LARGE
    assert output.offer(b"newest")
    assert read_all(pipe[0]) == b"newest"


async def test_what_must_not_be_lost_follows_what_is_on_its_way(pipe: Pipe) -> None:
    output = Output(pipe[1], asyncio.get_running_loop())
    output.offer(LARGE)
    output.send(b"the end")
    assert await drain(pipe[0], output) == LARGE + b"the end"


async def test_waiting_for_a_stalled_terminal_has_an_end(pipe: Pipe) -> None:
    output = Output(pipe[1], asyncio.get_running_loop())
    output.offer(LARGE)
    await output.drain(0)
    assert output.offer(b"")


async def test_waiting_ends_as_soon_as_all_is_written(pipe: Pipe) -> None:
    output = Output(pipe[1], asyncio.get_running_loop())
    output.offer(b"frame")
    await asyncio.wait_for(output.drain(60), 5)
    assert output.idle


async def test_a_terminal_that_is_gone_takes_everything_without_an_error() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    os.close(reader)
    output = Output(writer, asyncio.get_running_loop())
    assert output.offer(b"frame")
    assert output.idle
    os.close(writer)

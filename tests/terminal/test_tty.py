"""A terminal that does not read, sends odd bytes, or is gone."""

import asyncio
import os
import pty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from monitor.core.errors import TrackerError
from monitor.terminal.text import Size
from monitor.terminal.tty import Key, Tty
from tests.real.pty import resized

LARGE = b"x" * (1 << 20)


@asynccontextmanager
async def terminal() -> AsyncIterator[tuple[Tty, int]]:
    """A terminal in its full-screen mode, and the other side of its pty."""
    master, slave = pty.openpty()
    os.set_blocking(master, False)
    tty = await Tty.open(os.ttyname(slave))
    tty.enter()
    await read_until(master, b"\x1b[?2004h")
    try:
        yield tty, master
    finally:
        await tty.close(0)
        os.close(slave)
        os.close(master)


async def read_until(master: int, end: bytes) -> bytes:
    """What is written, up to these bytes."""
    data = b""
    async with asyncio.timeout(10):
        while not data.endswith(end):
            try:
                data += os.read(master, 1 << 20)
            except BlockingIOError:
                await asyncio.sleep(0.001)
    return data


async def test_a_frame_is_dropped_while_an_earlier_one_is_on_its_way() -> None:
    async with terminal() as (tty, master):
        assert tty.offer(LARGE + b"1.")
        assert not tty.offer(b"dropped.")
        assert await read_until(master, b"1.") == LARGE + b"1."
        assert tty.offer(b"newest.")
        assert await read_until(master, b"newest.") == b"newest."


async def test_what_must_not_be_lost_follows_what_is_on_its_way() -> None:
    async with terminal() as (tty, master):
        tty.offer(LARGE)
        tty.write(b"the end")
        assert await read_until(master, b"the end") == LARGE + b"the end"


async def test_closing_waits_for_a_terminal_that_reads() -> None:
    async with terminal() as (tty, master):
        tty.offer(LARGE + b"the end")
        closing = asyncio.ensure_future(tty.close(60))
        assert await read_until(master, b"the end") == LARGE + b"the end"
        await asyncio.wait_for(closing, 5)


async def test_closing_does_not_wait_for_one_that_does_not() -> None:
    async with terminal() as (tty, _):
        tty.offer(LARGE)
        await asyncio.wait_for(tty.close(0.01), 5)


async def test_a_key_whose_rest_does_not_come_is_taken_as_it_is() -> None:
    async with terminal() as (tty, master):
        os.write(master, b"j\xe6\x97")
        assert await tty.keys() == [Key("j", "j")]
        os.write(master, b"\xa5\x1b")
        assert await tty.keys() == [Key("日", "日")]
        assert await tty.keys() == [Key("esc")]


async def test_the_size_is_the_present_one() -> None:
    async with terminal() as (tty, master):
        resized(master, 20, 4)
        assert tty.size() == Size(20, 4)
        resized(master, 0, 0)
        assert tty.size() == Size(80, 24)


async def test_a_terminal_that_is_gone_takes_everything_and_ends_the_keys() -> None:
    master, slave = pty.openpty()
    tty = await Tty.open(os.ttyname(slave))
    os.close(slave)
    os.close(master)
    for _ in range(10):
        tty.write(b"frame")
    with pytest.raises(EOFError):
        await tty.keys()
    assert tty.offer(b"frame")
    tty.leave()
    await tty.close(5)


async def test_a_terminal_that_cannot_be_opened_is_an_error_for_the_user() -> None:
    with pytest.raises(TrackerError, match="cannot open the terminal /nonexistent"):
        await Tty.open("/nonexistent/tty")

"""Two things that are waited for: which of them ends it, and that nothing is kept quiet."""

import asyncio

import pytest

from monitor.system.aio import first


def pending() -> "asyncio.Future[None]":
    return asyncio.get_running_loop().create_future()


async def fails() -> None:
    raise ZeroDivisionError


async def test_a_bug_in_what_is_waited_for_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await first(pending(), fails())


async def test_the_front_is_left_as_it_is_and_the_other_is_given_up() -> None:
    front, other = pending(), pending()
    front.set_result(None)
    await first(front, other)
    assert other.cancelled()
    front, other = pending(), pending()
    other.set_result(None)
    await first(front, other)
    assert not front.done()

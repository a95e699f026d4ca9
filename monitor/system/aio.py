"""Waiting for one thing while another one may end all of it."""

import asyncio
from collections.abc import Awaitable
from typing import Any


async def first(front: "asyncio.Future[None]", other: Awaitable[Any]) -> None:
    """Until either is done; `front` is only looked at. Raises what the other one raises."""
    waiting = asyncio.ensure_future(other)
    try:
        await asyncio.wait([front, waiting], return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            waiting.result()
    finally:
        waiting.cancel()


async def any_of(*these: Awaitable[Any]) -> None:
    """Until one of these is done; the others are cancelled. Raises what that one raises."""
    tasks = [asyncio.ensure_future(one) for one in these]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()

"""Blocking calls off the loop, each with a limit, in threads that never keep the process from exiting."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

T = TypeVar("T")


class DaemonThreads:
    """Runs what may hang without end. `asyncio.to_thread` would be waited for at exit; these threads are not.

    While a call that ran out of time is still stuck, no further ones are begun: they would only pile up.
    """

    def __init__(self, limit_secs: float) -> None:
        self._limit_secs = limit_secs
        self._stuck: list[threading.Thread] = []

    async def run(self, work: Callable[[], T]) -> T:
        """What the work returns or raises, or TimeoutError."""
        self._stuck = [thread for thread in self._stuck if thread.is_alive()]
        if self._stuck:
            raise TimeoutError
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        thread = threading.Thread(target=_deliver, args=(work, future), daemon=True)
        thread.start()
        try:
            async with asyncio.timeout(self._limit_secs):
                return await future
        except TimeoutError:
            if thread.is_alive():
                self._stuck.append(thread)
            raise


def _deliver(work: Callable[[], T], future: asyncio.Future[T]) -> None:
    """Hand the outcome to the loop, if that still runs and anybody still waits."""
    try:
        settle = partial(future.set_result, work())
    except BaseException as error:  # noqa: BLE001 - it is raised again, where it is awaited
        settle = partial(future.set_exception, error)

    def unless_done() -> None:
        if not future.done():
            settle()

    with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
        future.get_loop().call_soon_threadsafe(unless_done)

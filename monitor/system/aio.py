"""Waits for one thing while another may end first, and runs blocking calls in threads, off the loop.

Such a thread never keeps the process from exiting, as one of `asyncio.to_thread` would.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, Generic, TypeVar

from monitor.system.clock import Clock


async def wait_for_either(watched: "asyncio.Future[Any]", other: Awaitable[Any]) -> None:
    """Wait until either is done. `watched` is not cancelled, the other one is; raises what the other one raises."""
    waiting = asyncio.ensure_future(other)
    try:
        await asyncio.wait([watched, waiting], return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            waiting.result()
    finally:
        waiting.cancel()
        await asyncio.wait((waiting,))


async def wait_or_cancel(clock: Clock, seconds: float, task: asyncio.Task[Any]) -> bool:
    """Wait for the task, and cancel it when the time is up or the caller is cancelled; return whether it was done."""
    timer = asyncio.create_task(clock.sleep(seconds))
    try:
        await asyncio.wait((task, timer), return_when=asyncio.FIRST_COMPLETED)
        return task.done()
    finally:
        task.cancel()
        timer.cancel()
        await asyncio.wait((timer,))


async def wait_for_event(clock: Clock, event: asyncio.Event, seconds: float | None) -> None:
    """Wait for the event, at most so long (None: forever), and clear it."""
    waiting = asyncio.create_task(event.wait())
    try:
        if seconds is None:
            await waiting
        else:
            await wait_or_cancel(clock, seconds, waiting)
    finally:
        waiting.cancel()
        await asyncio.wait((waiting,))
    event.clear()


async def see_through(clock: Clock, grace: float, task: asyncio.Task[Any]) -> None:
    """Wait for the task; where the caller is cancelled, the task still has `grace` seconds to end by itself."""
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        if not await wait_or_cancel(clock, grace, task):
            await asyncio.wait((task,))
        raise


T = TypeVar("T")


class Observable(Generic[T]):
    """A state that others watch. Whoever waits for a change gets the newest state, however many were missed."""

    def __init__(self, state: T) -> None:
        self._state = state
        self._changed = asyncio.Event()
        self._others: list[Observable[T]] = []

    @property
    def state(self) -> T:
        return self._state

    async def wait_for_change(self) -> T:
        """Return the state after the next change."""
        await self._changed.wait()
        return self.state

    def show(self, state: T) -> None:
        """Change the state, and wake all who wait for that."""
        self._state = state
        self._changed.set()
        self._changed = asyncio.Event()
        for other in self._others:
            other.show(state)

    @contextlib.contextmanager
    def show_in(self, other: "Observable[T]") -> Iterator[None]:
        """Keep the other one at this state within the block; afterwards it has the last of it."""
        self._others.append(other)
        other.show(self._state)
        try:
            yield
        finally:
            self._others.remove(other)


class Daemon(Generic[T]):
    """A blocking call, begun at once in a thread; `future` has its outcome, and may be cancelled when time is up."""

    def __init__(self, work: Callable[[], T]) -> None:
        self.future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.is_running = True
        """Whether the call has not returned yet, even if nobody waits for it any more."""
        try:
            calls = _idle.pop()
        except IndexError:
            calls = queue.SimpleQueue()
            threading.Thread(target=_work, args=(calls,), daemon=True).start()
        calls.put(partial(self._run, work))

    def _run(self, work: Callable[[], T]) -> None:
        """Do the work, and pass its outcome to the loop, if that still runs and anybody still waits."""
        try:
            settle = partial(self.future.set_result, work())
        except BaseException as error:  # noqa: BLE001 - it is raised again, where it is awaited
            settle = partial(self.future.set_exception, error)
        self.is_running = False

        def unless_done() -> None:
            if not self.future.done():
                settle()

        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            self.future.get_loop().call_soon_threadsafe(unless_done)


_Calls = queue.SimpleQueue[Callable[[], None]]
_idle: list[_Calls] = []
"""The queues of threads that wait for a call: to start one for each would cost more than most calls."""


def _work(calls: _Calls) -> None:
    while True:
        calls.get()()
        _idle.append(calls)


class DaemonThreads:
    """Runs calls that may hang without end, each with a limit.

    While a call that was given up is still stuck, no further one is begun: they would only pile up.
    """

    def __init__(self, limit_secs: float) -> None:
        self._limit_secs = limit_secs
        self._stuck: list[Daemon[Any]] = []

    async def run(self, work: Callable[[], T]) -> T:
        """Return or raise what the work does. Raises TimeoutError at the limit, or at once while another call hangs."""
        self._stuck = [call for call in self._stuck if call.is_running]
        if self._stuck:
            raise TimeoutError
        call = Daemon(work)
        try:
            async with asyncio.timeout(self._limit_secs):
                return await call.future
        finally:
            if call.future.cancelled():  # by our limit, or a shorter one of the caller
                self._stuck.append(call)

"""The one thread that uses the state database of a running program: nothing on the event loop ever waits for a disk."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from monitor.storage.db import Connection, StateFile, StorageError, Work

CLOSE_SECS: Final = 2.0
"""So long the end of a program waits for its last words to be written."""

T = TypeVar("T")
Job = Callable[[], Any]
Done = Callable[[Any, Exception | None], None]
"""Takes what the work has returned, or what it has raised; is called on the loop that submitted it."""


class Database:
    """Jobs on a state database, one after the other, in the order in which they were submitted."""

    def __init__(self, file: StateFile) -> None:
        self._file = file
        self._jobs = queue.SimpleQueue[tuple[Job, Done, asyncio.AbstractEventLoop] | None]()
        self._thread: threading.Thread | None = None

    def submit(self, work: Work[T], done: Done, *, durable: bool = False) -> None:
        """Have the work written as soon as it can be tried; `done` learns what became of it."""
        self._put(lambda: self._file.write(work, durable=durable), done)

    async def write(self, work: Work[T], *, within: float, durable: bool = False) -> T:
        """Do the work in one transaction, and return its result. Raises StorageError, also where it takes too long."""
        return await self._result(partial(StateFile.write, durable=durable), work, within)

    async def read(self, work: Work[T], *, within: float) -> T:
        """Return what the work reads in one transaction. Raises StorageError, also where that takes too long."""
        return await self._result(StateFile.read, work, within)

    async def close(self) -> None:
        """End the thread once all jobs are done, or after a while without it."""
        if self._thread is None:
            return
        thread, self._thread = self._thread, None
        self._jobs.put(None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECS):
                while thread.is_alive():  # noqa: ASYNC110 - a thread has no event of the loop's
                    await asyncio.sleep(0.005)

    async def _result(
        self, use: Callable[[StateFile, Work[Any]], Any], work: Work[T], within: float
    ) -> T:
        """The result of a job that is skipped, or its transaction undone, once nobody waits for it any more."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def while_wanted(database: Connection) -> T:
            result = work(database)
            if future.cancelled():  # whoever waited has gone on without it meanwhile
                raise StorageError("it took too long")
            return result

        def done(result: Any, error: Exception | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)

        self._put(lambda: None if future.cancelled() else use(self._file, while_wanted), done)
        try:
            async with asyncio.timeout(within):
                return await future
        except TimeoutError:
            words = f"{self._file.path} cannot be used: another program keeps it locked, or the disk is slow"
            raise StorageError(words) from None

    def _put(self, job: Job, done: Done) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="storage", daemon=True)
            self._thread.start()
        self._jobs.put((job, done, asyncio.get_running_loop()))

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, done, loop = item
            outcome = outcome_of(job)
            with contextlib.suppress(RuntimeError):  # the loop may have ended meanwhile
                loop.call_soon_threadsafe(done, *outcome)
        self._file.close()


def outcome_of(job: Job) -> tuple[Any, Exception | None]:
    """What the job returns, or what it raises."""
    try:
        return job(), None
    except Exception as error:  # noqa: BLE001 - the loop is told, which raises what is a bug
        return None, error

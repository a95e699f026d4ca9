"""Writing to a terminal that may stall, without ever waiting for it: of frames, the newest wins."""

import asyncio
import os


class Output:
    """A file descriptor of our own, in non-blocking mode, and what it has not taken yet."""

    def __init__(self, fd: int, loop: asyncio.AbstractEventLoop) -> None:
        self._fd = fd
        self._loop = loop
        self._pending = b""
        self._watched = False
        self._drained = asyncio.Event()
        self._drained.set()

    @property
    def idle(self) -> bool:
        """Whether all is written."""
        return not self._pending

    def offer(self, frame: bytes) -> bool:
        """Write a frame, unless an earlier one is still on its way: then it is dropped, and False returned."""
        if not self.idle:
            return False
        self.send(frame)
        return True

    def send(self, data: bytes) -> None:
        """Write what must not be lost, after all that is still on its way."""
        self._pending += data
        self._flush()

    async def drained(self, seconds: float) -> None:
        """Wait until all is written, but no longer than this; what is left then is lost."""
        try:
            await asyncio.wait_for(self._drained.wait(), seconds)
        except TimeoutError:
            self._pending = b""
            self._watch(False)

    def _flush(self) -> None:
        try:
            while self._pending:
                self._pending = self._pending[os.write(self._fd, self._pending) :]
        except BlockingIOError:
            pass
        except OSError:  # the terminal is gone; its end of input says so to the program
            self._pending = b""
        self._watch(bool(self._pending))

    def _watch(self, wanted: bool) -> None:
        """Have the loop call `_flush` when there is room again."""
        if wanted and not self._watched:
            self._loop.add_writer(self._fd, self._flush)
            self._drained.clear()
        elif self._watched and not wanted:
            self._loop.remove_writer(self._fd)
        if not wanted:
            self._drained.set()
        self._watched = wanted

"""Runs another program for what it prints: by argument list, never through a shell, and not for long.

Its words for errors are discarded: they may quote a secret.
"""

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from typing import IO, Final

MAX_BYTES: Final = 64 * 1024


class TooMuchOutputError(Exception):
    """The program printed more than it may; it was ended."""


async def output_of(*argv: str, limit_secs: float, max_bytes: int = MAX_BYTES) -> tuple[int, bytes]:
    """Exit code, negative for a signal, and standard output.

    Raises OSError where it cannot be started, and TimeoutError where it was ended at the limit, with whatever
    it had started. It has a session of its own: no terminal to ask on, nor to draw over.
    """
    # Our own pipe: that of asyncio would be waited for while any grandchild keeps it open.
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0) as pipe:  # noqa: ASYNC230, PTH123 - a descriptor
        try:
            process = await asyncio.create_subprocess_exec(
                *argv, stdin=DEVNULL, stdout=writing, stderr=DEVNULL, start_new_session=True
            )
        finally:
            os.close(writing)
        try:
            async with asyncio.timeout(limit_secs):
                output = await _drained(pipe, max_bytes)
                return await process.wait(), output
        except BaseException:
            await _kill(process)
            raise


async def _drained(pipe: IO[bytes], max_bytes: int) -> bytes:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    try:
        await reader.readexactly(max_bytes + 1)
    except asyncio.IncompleteReadError as everything:
        return everything.partial
    finally:
        transport.close()
    raise TooMuchOutputError


async def _kill(process: Process) -> None:
    """The whole group, even where only a part of it is left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()

"""Runs another program: by argument list, never through a shell, and not for long.

It has a session of its own: no terminal to ask on, nor to draw over, and where it is ended, whatever it has started
is ended with it. What goes on in the background after its own end is left alone, and not waited for.
"""

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Self

MAX_BYTES: Final = 64 * 1024
_PIECE: Final = 64 * 1024
_MOST_PIECES: Final = 16
"""A pipe holds no more when its program ends; what is written later, by others, is not waited for."""


class TooMuchOutputError(Exception):
    """The program printed more than it may; it was ended."""


async def capture_stdout(
    *argv: str, limit_secs: float, max_bytes: int = MAX_BYTES
) -> tuple[int, bytes]:
    """Return the exit code, negative for a signal, and standard output; standard error may quote a secret, and is lost.

    Raises OSError or ValueError where the program cannot be started, TimeoutError where it was ended at the limit, and
    TooMuchOutputError.
    """
    with _Pipe(max_bytes) as pipe:
        code = await _run(argv, limit_secs, pipe, end_if_full=True, stdout=pipe.writing)
    if pipe.is_full:
        raise TooMuchOutputError
    return code, pipe.content


async def capture_stderr(
    *argv: str,
    limit_secs: float,
    stdin: bytes | None = None,
    environ: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    """Return the exit code, and the beginning of standard error; nothing of it where something is given on `stdin`.

    Such a program need not read its input. Raises as `capture_stdout`, but not for too much output.
    """
    with _Pipe(MAX_BYTES) as pipe:
        # The user's program may go on in the background, where writing to our closed pipe would end it.
        stderr = pipe.writing if stdin is None else DEVNULL
        code = await _run(argv, limit_secs, pipe, given=stdin, env=environ, stderr=stderr)
    return code, pipe.content


def describe_exit(code: int) -> str:
    """Say in words how a program ended."""
    return f"ended with {code}" if code >= 0 else f"was ended by signal {-code}"


class _Pipe:
    """A pipe of our own, since asyncio waits for its pipes while any grandchild keeps them open.

    It is emptied as it fills, and keeps the first `most` bytes.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept = bytearray()
        self._loop = asyncio.get_running_loop()
        self._full: Callable[[], None] | None = None

    def __enter__(self) -> Self:
        self._reading, self.writing = os.pipe()
        os.set_blocking(self._reading, False)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.remove_reader(self._reading)
        os.close(self._reading)

    @property
    def is_full(self) -> bool:
        """Say whether there was more than is kept."""
        return len(self._kept) > self._most

    @property
    def content(self) -> bytes:
        return bytes(self._kept[: self._most])

    def listen(self, full: Callable[[], None] | None) -> None:
        """Read from now on, and call `full` once there is more than is kept; the rest is dropped."""
        self._full = full
        self._loop.add_reader(self._reading, self._read)

    def drain(self) -> None:
        """Read what is there."""
        for _ in range(_MOST_PIECES):
            if not self._read():
                return

    def _read(self) -> bool:
        """Read once, and say whether something was there."""
        try:
            piece = os.read(self._reading, _PIECE)
        except BlockingIOError:
            return False
        if not piece:
            self._loop.remove_reader(self._reading)
            return False
        self._kept += piece[: self._most + 1 - len(self._kept)]
        if self.is_full and self._full is not None:
            self._full()
        return True


async def _run(
    argv: tuple[str, ...],
    limit_secs: float,
    pipe: _Pipe,
    *,
    given: bytes | None = None,
    end_if_full: bool = False,
    **streams: Any,
) -> int:
    stdin = DEVNULL if given is None else PIPE
    quiet = {"stdin": stdin, "stdout": DEVNULL, "stderr": DEVNULL}
    try:
        process = await asyncio.create_subprocess_exec(
            *argv, **quiet | streams, start_new_session=True
        )
    finally:
        os.close(pipe.writing)
    try:
        pipe.listen(partial(_end_group, process) if end_if_full else None)
        async with asyncio.timeout(limit_secs):
            if process.stdin is not None and given is not None:
                with contextlib.suppress(ConnectionError):  # it has ended, or does not read
                    process.stdin.write(given)
                    await process.stdin.drain()
                process.stdin.close()
            code = await process.wait()
        pipe.drain()
    except BaseException:
        if process.stdin is not None and process.stdin.transport.get_write_buffer_size():
            # Else a process that left the group, and does not read, keeps the rest of the input waiting.
            process.stdin.transport.abort()
        elif process.stdin is not None:
            process.stdin.close()
        _end_group(process)
        await process.wait()
        raise
    return code


def _end_group(process: Process) -> None:
    """End the whole group, even where only a part of it is left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)

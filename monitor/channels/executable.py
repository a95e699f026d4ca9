"""Runs another program that tells an alert: by argument list, never through a shell, and not for long."""

import asyncio
import contextlib
import os
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from typing import Final

from monitor.core.notify import ChannelError

LIMIT_SECS: Final = 5.0


async def run(*argv: str, limit: float = LIMIT_SECS) -> None:
    """Run the program to its end. Raises ChannelError where it is missing, fails, or takes longer than `limit`."""
    process = await _started(*argv)
    try:
        async with asyncio.timeout(limit):
            _, stderr = await process.communicate()
    except TimeoutError:
        raise ChannelError("timeout", f"{argv[0]} took longer than {limit:g} s") from None
    finally:
        await _ended(process)
    if process.returncode:
        words = " ".join(stderr.decode(errors="replace").split())[:200]
        raise ChannelError("error", f"{argv[0]} ended with {process.returncode}: {words}")


async def _started(*argv: str) -> Process:
    """In a process group of its own, so that it can be ended with whatever it has started."""
    program = shutil.which(argv[0])
    if program is None:
        raise ChannelError("unavailable", f"{argv[0]} is not on PATH")
    try:
        return await asyncio.create_subprocess_exec(
            program, *argv[1:], stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, process_group=0
        )
    except OSError as error:
        raise ChannelError("unavailable", f"{program}: {error.strerror}") from error


async def _ended(process: Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

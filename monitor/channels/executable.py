"""Runs another program that tells an alert: by argument list, never through a shell, and not for long."""

import asyncio
import contextlib
import os
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from monitor.core.notify import ChannelError

LIMIT_SECS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Input:
    """What a program is given beside its arguments; an `environ` of None is our own."""

    stdin: bytes = b""
    environ: Mapping[str, str] | None = None


async def run(*argv: str, limit: float = LIMIT_SECS, given: Input | None = None) -> None:
    """Run the program to its end. Raises ChannelError where it is missing, fails, or takes longer than `limit`.

    Only the words of a program that is given nothing are passed on: with an input they may quote it.
    """
    process = await _started(argv, given)
    try:
        async with asyncio.timeout(limit):
            _, stderr = await process.communicate(given.stdin if given else None)
    except TimeoutError:
        raise ChannelError("timeout", f"{argv[0]} took longer than {limit:g} s") from None
    finally:
        await _ended(process)
    if process.returncode:
        raise ChannelError("error", f"{argv[0]} {_end(process.returncode)}{_words(stderr)}")


async def _started(argv: tuple[str, ...], given: Input | None) -> Process:
    """In a process group of its own, so that it can be ended with whatever it has started."""
    program = shutil.which(argv[0])
    if program is None:
        where = "missing, or no program" if os.sep in argv[0] else "not on PATH"
        raise ChannelError("unavailable", f"{argv[0]} is {where}")
    try:
        return await asyncio.create_subprocess_exec(
            program,
            *argv[1:],
            stdin=PIPE if given else DEVNULL,
            stdout=DEVNULL,
            stderr=DEVNULL if given else PIPE,
            env=given.environ if given else None,
            process_group=0,
        )
    except (OSError, ValueError) as error:
        raise ChannelError("unavailable", f"{program}: {_reason(error)}") from None


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or "cannot be started"


def _end(code: int) -> str:
    return f"ended with {code}" if code > 0 else f"was ended by signal {-code}"


def _words(stderr: bytes | None) -> str:
    words = " ".join((stderr or b"").decode(errors="replace").split())[:200]
    return f": {words}" if words else ""


async def _ended(process: Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

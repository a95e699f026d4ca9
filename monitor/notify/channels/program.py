"""Runs another program that tells an alert."""

import os
import shutil
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from monitor.core.notify import ChannelError
from monitor.system.subprocesses import code_of, complaint_of, ending

LIMIT_SECS: Final = 5.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Input:
    """What a program is given beside its arguments; an `environ` of None is our own."""

    stdin: bytes = b""
    environ: Mapping[str, str] | None = None


async def run(*argv: str, limit: float = LIMIT_SECS, given: Input | None = None) -> None:
    """Run the program to its end. Raises ChannelError where it is missing, fails, or takes longer than `limit`.

    Only the words of a program that is given nothing are passed on: with an input they may quote it.
    """
    name, program = argv[0], (_found(argv[0]), *argv[1:])
    if given is None:
        code, stderr = await _ended(name, complaint_of(*program, limit_secs=limit), limit)
    else:
        telling = code_of(*program, limit_secs=limit, stdin=given.stdin, environ=given.environ)
        code, stderr = await _ended(name, telling, limit), b""
    if code:
        raise ChannelError("error", f"{name} {ending(code)}{_words(stderr)}")


def _found(name: str) -> str:
    program = shutil.which(name)
    if program is None:
        where = "missing, or no program" if os.sep in name else "not on PATH"
        raise ChannelError("unavailable", f"{name} is {where}")
    return program


async def _ended(name: str, running: Awaitable[T], limit: float) -> T:
    """What it comes to, with a ChannelError for what may go wrong on the way."""
    try:
        return await running
    except TimeoutError:
        raise ChannelError("timeout", f"{name} took longer than {limit:g} s") from None
    except (OSError, ValueError) as error:
        raise ChannelError("unavailable", f"{name}: {_reason(error)}") from None


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or "cannot be started"


def _words(stderr: bytes) -> str:
    words = " ".join(stderr.decode(errors="replace").split())[:200]
    return f": {words}" if words else ""

"""macOS's `security` program: one question at a time, each with a limit. Asks; writes nothing, ever."""

import asyncio
from typing import Final

from monitor.core.errors import Cause, CredentialError, Failure, Reason, Source
from monitor.system.subprocesses import TooMuchOutputError, output_of

SECURITY: Final = "/usr/bin/security"
LIMIT_SECS: Final = 5.0
MAX_BYTES: Final = 4 * 1024 * 1024


class Security:
    """All who ask through one of these wait for their turn: where a question hangs, no others pile up behind it."""

    def __init__(self, program: str = SECURITY, limit_secs: float = LIMIT_SECS) -> None:
        self._program = program
        self._limit_secs = limit_secs
        self._turn = asyncio.Lock()

    async def ask(self, *arguments: str, max_bytes: int = MAX_BYTES) -> tuple[int, bytes]:
        """Exit code and output. Raises CredentialError where it cannot be run, or was killed for its silence."""
        async with self._turn:
            try:
                return await output_of(
                    self._program, *arguments, limit_secs=self._limit_secs, max_bytes=max_bytes
                )
            except TimeoutError:
                cause, detail = Cause.SILENT, ""
            except OSError as error:
                cause, detail = Cause.NOT_STARTED, error.strerror or ""
            except TooMuchOutputError:
                cause, detail = Cause.TOO_LARGE, ""
        raise CredentialError(
            Failure(Reason.CREDENTIALS, cause, Source.KEYCHAIN, name=self._program, detail=detail)
        )

"""Tokens that the user hands over: systemd's credentials, and what a program of the user's choice prints."""

import asyncio
import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePath
from typing import Final

from monitor.core.errors import Cause, CredentialError, Failure, Reason, Source
from monitor.core.model import Credential
from monitor.credentials.claude_files import WholeFile
from monitor.credentials.tokens import parse_token
from monitor.system.aio import Daemon
from monitor.system.clock import Clock
from monitor.system.subprocesses import MAX_BYTES, TooMuchOutputError, ending, output_of

LIMIT_SECS: Final = 10.0
AT_MOST_EVERY_SECS: Final = 60.0
_DIRECTORY: Final = "CREDENTIALS_DIRECTORY"


class CredentialsDirectory:
    """The credentials that systemd hands to a service: the files in `$CREDENTIALS_DIRECTORY`, one for each account.

    `LoadCredentialEncrypted=user@example.com:/etc/…` keeps it encrypted at rest. A new token needs a restart.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._folder = environ.get(_DIRECTORY, "")

    async def read(self, name: str, label: str | None = None) -> Credential | None:
        """Read what is there under the account's name, or under its label; None where nothing is.

        Raises CredentialError where it cannot be read, or is no token.
        """
        for title in filter(None, (name, label)):
            # The name of a file right in the folder, and of no hidden one.
            is_name = not title.startswith(".") and not {"/", "\\", "\0"} & set(title)
            path = Path(self._folder, title)
            content = await WholeFile(path).read(bytes) if self._folder and is_name else None
            if content is not None:
                credential = parse_token(content.decode(errors="replace"))
                if credential is None:
                    raise CredentialError.of(Cause.DAMAGED, Source.SYSTEMD, title)
                return credential
        return None


class TokenCommand:
    """The token of one account that a program prints, such as `pass show claude/work`. Never run by a shell.

    Neither its arguments nor what it prints is ever told: the one may name a secret, the other is one. It is kept in
    memory for as long as it works. The program is run anew once the token was refused or is known to be dead, but at
    most once a minute.
    """

    def __init__(
        self, argv: Sequence[str], clock: Clock, *, limit_secs: float = LIMIT_SECS
    ) -> None:
        self._argv = tuple(argv)
        self._clock = clock
        self._limit_secs = limit_secs
        self._turn = asyncio.Lock()
        self._run_at: float | None = None
        self._credential: Credential | None = None
        self._failure: Failure | None = None

    async def read(self, rejected: Credential | None = None) -> Credential:
        """The token, unless it is the one that the API rejected. Raises CredentialError."""
        async with self._turn:
            held, now = self._credential, self._clock.monotonic()
            is_of_use = held and not _is(held, rejected) and not held.is_dead(self._clock.now())
            if not is_of_use and (self._run_at is None or now - self._run_at >= AT_MOST_EVERY_SECS):
                self._run_at, self._credential, self._failure = now, None, None
                try:
                    self._credential = await self._printed()
                except CredentialError as error:
                    self._failure = error.failure
            held = self._credential
            if held is None:
                known = self._failure and CredentialError(self._failure)
                raise known or self._failed(Cause.INTERRUPTED)
            if _is(held, rejected):
                raise self._failed(Cause.REFUSED, reason=Reason.AUTH)
            if held.is_dead(self._clock.now()):
                raise self._failed(Cause.EXPIRED, reason=Reason.AUTH)
            return held

    async def _printed(self) -> Credential:
        if not self._argv or not await Daemon(partial(shutil.which, self._argv[0])).future:
            raise self._failed(Cause.MISSING)
        name, limit = program_name(self._argv), self._limit_secs
        code, output = await run(Source.COMMAND, name, *self._argv, limit_secs=limit)
        if code != 0:
            raise self._failed(Cause.FAILED, ending(code))
        # All of a JSON text, else the first line that has something in it: `pass` may keep notes below.
        text = output.decode(errors="replace").strip()
        credential = parse_token(text if text.startswith("{") else text.partition("\n")[0])
        if credential is None:
            raise self._failed(Cause.DAMAGED)
        return credential

    def _failed(
        self, cause: Cause, detail: str = "", *, reason: Reason = Reason.CREDENTIALS
    ) -> CredentialError:
        return CredentialError.of(
            cause, Source.COMMAND, program_name(self._argv), detail, reason=reason
        )


async def run(
    source: Source, name: str, *argv: str, limit_secs: float, max_bytes: int = MAX_BYTES
) -> tuple[int, bytes]:
    """The program's exit code and output; `name` is what errors call it.

    Raises CredentialError where it cannot be started, or was ended.
    """
    try:
        return await output_of(*argv, limit_secs=limit_secs, max_bytes=max_bytes)
    except TimeoutError:
        cause, detail = Cause.SILENT, f"{limit_secs:g} s"
    except TooMuchOutputError:
        cause, detail = Cause.TOO_LARGE, ""
    except (OSError, ValueError) as error:
        cause, detail = Cause.NOT_STARTED, getattr(error, "strerror", None) or "an odd argument"
    raise CredentialError.of(cause, source, name, detail)


def program_name(argv: Sequence[str]) -> str:
    """The program without its folder and arguments, fit to be shown."""
    return shlex.quote(PurePath(argv[0]).name) if argv else "''"


def _is(credential: Credential, rejected: Credential | None) -> bool:
    return rejected is not None and credential.secret == rejected.secret

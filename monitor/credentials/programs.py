"""Programs of the user's that know of accounts: one that prints a token, and claude-swap. None is run by a shell.

claude-swap's tokens stay with it; its list is that of `cswap list --json`, schema version 1 of claude-swap 0.26
(realiti4/claude-swap, `json_output.py` at 3c3f2b8): `accounts` are rows of `email`, `organizationUuid` ("" for a
personal account), `organizationName`, and now and then `loginExpiresAt` in ISO 8601; an error is
`{"error": {"type", "message"}}` with exit code 1. The list has no account uuids. To make it, claude-swap may ask the
usage API for what its own cache lacks, so it is for imports and not for a timer.
"""

import asyncio
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import PurePath
from typing import Final

from monitor.core.errors import Cause, CredentialError, Failure, Reason, Source
from monitor.core.model import Credential
from monitor.core.sanitize import ordinary
from monitor.credentials.tokens import parse_instant, parse_object, parse_token
from monitor.system.aio import Daemon
from monitor.system.clock import Clock
from monitor.system.subprocesses import MAX_BYTES, TooMuchOutputError, capture_stdout, describe_exit

LIMIT_SECS: Final = 10.0
AT_MOST_EVERY_SECS: Final = 60.0

CSWAP_LIMIT_SECS: Final = 30.0
CSWAP_MAX_BYTES: Final = 4 * 1024 * 1024
CSWAP_VERSION: Final = 1
_API_KEY: Final = "api_key"


class TokenCommand:
    """The token of one account that a program prints, such as `pass show claude/work`.

    Neither its arguments nor its output is ever shown: those may name a secret, this is one. The token is kept in
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
        """Return the token, unless it is the one that the API rejected. Raises CredentialError."""
        async with self._turn:
            held, now = self._credential, self._clock.monotonic()
            is_of_use = (
                held and not _is_rejected(held, rejected) and not held.is_dead(self._clock.now())
            )
            if not is_of_use and (self._run_at is None or now - self._run_at >= AT_MOST_EVERY_SECS):
                self._run_at, self._credential, self._failure = now, None, None
                try:
                    self._credential = await self._run()
                except CredentialError as error:
                    self._failure = error.failure
            held = self._credential
            if held is None:
                known = self._failure and CredentialError(self._failure)
                raise known or self._error(Cause.INTERRUPTED)
            if _is_rejected(held, rejected):
                raise self._error(Cause.REFUSED, reason=Reason.AUTH)
            if held.is_dead(self._clock.now()):
                raise self._error(Cause.EXPIRED, reason=Reason.AUTH)
            return held

    async def _run(self) -> Credential:
        if not self._argv or not await Daemon(partial(shutil.which, self._argv[0])).future:
            raise self._error(Cause.MISSING)
        name, limit = program_name(self._argv), self._limit_secs
        code, output = await run(Source.COMMAND, name, *self._argv, limit_secs=limit)
        if code != 0:
            raise self._error(Cause.FAILED, describe_exit(code))
        # All of a JSON text, else the first line that has something in it: `pass` may keep notes below.
        text = output.decode(errors="replace").strip()
        credential = parse_token(text if text.startswith("{") else text.partition("\n")[0])
        if credential is None:
            raise self._error(Cause.DAMAGED)
        return credential

    def _error(
        self, cause: Cause, detail: str = "", *, reason: Reason = Reason.CREDENTIALS
    ) -> CredentialError:
        return CredentialError.of(
            cause, Source.COMMAND, program_name(self._argv), detail, reason=reason
        )


async def run(
    source: Source, name: str, *argv: str, limit_secs: float, max_bytes: int = MAX_BYTES
) -> tuple[int, bytes]:
    """Run a program, and return its exit code and output; `name` is what errors call it.

    Raises CredentialError where it cannot be started, or was ended.
    """
    try:
        return await capture_stdout(*argv, limit_secs=limit_secs, max_bytes=max_bytes)
    except TimeoutError:
        cause, detail = Cause.SILENT, f"{limit_secs:g} s"
    except TooMuchOutputError:
        cause, detail = Cause.TOO_LARGE, ""
    except (OSError, ValueError) as error:
        cause, detail = Cause.NOT_STARTED, getattr(error, "strerror", None) or "an odd argument"
    raise CredentialError.of(cause, source, name, detail)


def program_name(argv: Sequence[str]) -> str:
    """Return the program's name without its folder and arguments, fit to be shown."""
    return shlex.quote(PurePath(argv[0]).name) if argv else "''"


def _is_rejected(credential: Credential, rejected: Credential | None) -> bool:
    return rejected is not None and credential.secret == rejected.secret


@dataclass(frozen=True, slots=True)
class SwapAccount:
    """An account of claude-swap. `org_uuid` is empty where it has none, `account_uuid` where it is not told.

    `login_expires_at` is when the login that claude-swap keeps ends, where it knows that.
    """

    email: str
    org_uuid: str = ""
    org_name: str = ""
    account_uuid: str = ""
    login_expires_at: datetime | None = None


async def list_swap_accounts(
    executable: str = "cswap", *, limit_secs: float = CSWAP_LIMIT_SECS
) -> list[SwapAccount]:
    """List claude-swap's accounts in its order, without API keys, which have no windows. Raises CredentialError."""
    if await Daemon(partial(shutil.which, executable)).future is None:
        raise CredentialError.of(Cause.MISSING, Source.CSWAP, executable)
    argv, limit = (executable, "list", "--json"), limit_secs
    try:
        code, output = await run(
            Source.CSWAP, executable, *argv, limit_secs=limit, max_bytes=CSWAP_MAX_BYTES
        )
    except CredentialError as error:
        if error.cause is not Cause.TOO_LARGE:
            raise
        code, output = 0, b""
    return parse_list(output, code, executable)


def parse_list(output: bytes, code: int = 0, executable: str = "cswap") -> list[SwapAccount]:
    """Parse the accounts in the output of `cswap list --json`. Raises CredentialError."""
    document = parse_object(output) or {}
    error, rows = document.get("error"), document.get("accounts")
    if code != 0 or error is not None:
        # Of its own words only the name of the error is shown.
        kind = ordinary(error.get("type")) if isinstance(error, dict) else ""
        detail = f"exit code {code} ({kind})" if kind else f"exit code {code}"
        raise CredentialError.of(Cause.FAILED, Source.CSWAP, executable, detail)
    if document.get("schemaVersion") != CSWAP_VERSION or not isinstance(rows, list):
        raise CredentialError.of(Cause.DAMAGED, Source.CSWAP, executable)
    return [
        SwapAccount(
            ordinary(row["email"]),
            ordinary(row.get("organizationUuid")),
            ordinary(row.get("organizationName")),
            ordinary(row.get("accountUuid")),
            parse_instant(row.get("loginExpiresAt")),
        )
        for row in rows
        if isinstance(row, dict) and ordinary(row.get("email"))
        if row.get("usageStatus") != _API_KEY
    ]

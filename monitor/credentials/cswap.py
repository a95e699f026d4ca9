"""The accounts that claude-swap knows, by `cswap list --json`. Its tokens stay with it.

The form is schema version 1 of claude-swap 0.26 (realiti4/claude-swap, `json_output.py` at 3c3f2b8): `accounts` are
rows of `email`, `organizationUuid` ("" for a personal account), `organizationName`, and now and then
`loginExpiresAt` in ISO 8601; an error is `{"error": {"type", "message"}}` with exit code 1. The list
has no account uuids. To make it, claude-swap may ask the usage API for what its own cache lacks, so it is for
imports and not for a timer.
"""

import shutil
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from monitor.core.errors import Cause, CredentialError, Source
from monitor.core.sanitize import ordinary
from monitor.credentials.given import run
from monitor.credentials.tokens import parse_instant, parse_object
from monitor.system.aio import Daemon

LIMIT_SECS: Final = 30.0
MAX_BYTES: Final = 4 * 1024 * 1024
VERSION: Final = 1

_API_KEY: Final = "api_key"


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


async def listed(executable: str = "cswap", *, limit_secs: float = LIMIT_SECS) -> list[SwapAccount]:
    """In its own order, without API keys, which have no windows. Raises CredentialError."""
    if await Daemon(partial(shutil.which, executable)).future is None:
        raise CredentialError.of(Cause.MISSING, Source.CSWAP, executable)
    argv, limit = (executable, "list", "--json"), limit_secs
    try:
        code, output = await run(
            Source.CSWAP, executable, *argv, limit_secs=limit, max_bytes=MAX_BYTES
        )
    except CredentialError as error:
        if error.cause is not Cause.TOO_LARGE:
            raise
        code, output = 0, b""
    return parse_list(output, code, executable)


def parse_list(output: bytes, code: int = 0, executable: str = "cswap") -> list[SwapAccount]:
    """The accounts in what `cswap list --json` prints. Raises CredentialError."""
    document = parse_object(output) or {}
    error, rows = document.get("error"), document.get("accounts")
    if code != 0 or error is not None:
        # Of its own words only the name of the error is shown.
        kind = ordinary(error.get("type")) if isinstance(error, dict) else ""
        detail = f"exit code {code} ({kind})" if kind else f"exit code {code}"
        raise CredentialError.of(Cause.FAILED, Source.CSWAP, executable, detail)
    if document.get("schemaVersion") != VERSION or not isinstance(rows, list):
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

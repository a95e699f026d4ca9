"""What systemd hands to a service: the files in `$CREDENTIALS_DIRECTORY`, one for each account. Read only.

`LoadCredentialEncrypted=user@example.com:/etc/…` keeps it encrypted at rest. A new token needs a restart.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from monitor.core.errors import Cause, CredentialError, Failure, Reason, Source
from monitor.core.model import Credential
from monitor.credentials.claude_files import WholeFile
from monitor.credentials.tokens import parse_token

VARIABLE: Final = "CREDENTIALS_DIRECTORY"


class CredentialsDirectory:
    """The credentials of the unit that we run as; without one it holds nothing."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._folder = environ.get(VARIABLE, "")

    async def read(self, name: str, label: str | None = None) -> Credential | None:
        """What is there under the account's name, or under its label; None where nothing is.

        Raises CredentialError where it cannot be read, or is no token.
        """
        for title in (name, label or ""):
            if self._folder and _is_file_name(title):
                credential = await self._read(title)
                if credential is not None:
                    return credential
        return None

    async def _read(self, title: str) -> Credential | None:
        text = await WholeFile(Path(self._folder, title)).read(_text)
        if text is None:
            return None
        credential = parse_token(text)
        if credential is None:
            raise CredentialError(
                Failure(Reason.CREDENTIALS, Cause.DAMAGED, Source.SYSTEMD, name=title)
            )
        return credential


def _text(content: bytes) -> str:
    return content.decode(errors="replace")


def _is_file_name(title: str) -> bool:
    """Whether it names a file right in the folder, and no hidden one."""
    return bool(title) and not title.startswith(".") and not {"/", "\\", "\0"} & set(title)

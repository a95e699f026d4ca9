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
        for title in filter(None, (name, label)):
            # The name of a file right in the folder, and of no hidden one.
            is_name = not title.startswith(".") and not {"/", "\\", "\0"} & set(title)
            path = Path(self._folder, title)
            text = await WholeFile(path).read(_text) if self._folder and is_name else None
            if text is not None:
                credential = parse_token(text)
                if credential is None:
                    failure = Failure(Reason.CREDENTIALS, Cause.DAMAGED, Source.SYSTEMD, name=title)
                    raise CredentialError(failure)
                return credential
        return None


def _text(content: bytes) -> str:
    return content.decode(errors="replace")

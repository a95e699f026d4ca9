"""Claude Code's `.credentials.json`. Read whole or not at all, and never written."""

from collections.abc import Hashable
from pathlib import Path

from monitor.core.errors import Cause, Failure, NotLoggedInError, Reason, Source
from monitor.core.model import Login
from monitor.credentials.login_document import parse_login
from monitor.credentials.whole_file import WholeFile


class CredentialsFile:
    """The login that one folder's file holds."""

    def __init__(self, folder: Path) -> None:
        self._file = WholeFile(folder / ".credentials.json")

    def stamp(self) -> Hashable:
        """Differs after each change: the file is replaced, rewritten, or made readable."""
        return self._file.stamp()

    async def read(self) -> Login:
        """Raises CredentialError."""
        login = await self._file.read(self._login)
        if login is None:
            where = str(self._file.path.parent)
            raise NotLoggedInError(
                Failure(Reason.CREDENTIALS, Cause.ABSENT, Source.FILE, name=where)
            )
        return login

    def _login(self, content: bytes) -> Login:
        return parse_login(content.decode(errors="replace"), str(self._file.path))

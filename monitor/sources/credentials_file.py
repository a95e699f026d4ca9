"""Claude Code's `.credentials.json`. Read whole or not at all, and never written."""

import errno
import stat
from collections.abc import Hashable
from pathlib import Path
from typing import Final

from monitor.core.errors import CredentialError, NotLoggedInError
from monitor.core.model import Login
from monitor.sources.login import parse_login
from monitor.threads import DaemonThreads

LIMIT_SECS: Final = 5.0
MAX_BYTES: Final = 1024 * 1024


class CredentialsFile:
    """The login that one folder's file holds."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".credentials.json"
        self._threads = DaemonThreads(LIMIT_SECS)

    def stamp(self) -> Hashable:
        """Differs after each change: the file is replaced, rewritten, or made readable."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size

    async def read(self) -> Login:
        """Raises CredentialError."""
        try:
            content = await self._threads.run(self._content)
        except FileNotFoundError:
            where = self._path.parent
            raise NotLoggedInError(
                f"Claude Code is not logged in at {where}: start `claude` there and use /login"
            ) from None
        except TimeoutError:
            raise CredentialError(f"{self._path} cannot be read: its disk is silent") from None
        except OSError as error:
            raise CredentialError(f"{self._path} cannot be read: {error.strerror}") from None
        if len(content) > MAX_BYTES:
            raise CredentialError(f"{self._path} is too large to be Claude Code's: look what it is")
        return parse_login(content.decode(errors="replace"), str(self._path))

    def _content(self) -> bytes:
        """At most one byte more than there may be."""
        if not stat.S_ISREG(self._path.stat().st_mode):
            raise OSError(errno.EINVAL, "Not a regular file")
        with self._path.open("rb") as file:
            return file.read(MAX_BYTES + 1)

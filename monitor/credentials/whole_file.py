"""A file that belongs to another program: read whole or not at all, off the loop, within a size and a time.

Its stamp alone is taken on the loop: a `stat` takes microseconds, and a thread for each, every few seconds and for
each login, would take more than all else. A folder whose server is gone can hold the loop up there.
"""

import errno
import stat
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Final, TypeVar

from monitor.core.errors import Cause, CredentialError, Failure, Reason, Source
from monitor.system.aio import DaemonThreads

T = TypeVar("T")

LIMIT_SECS: Final = 5.0
MAX_BYTES: Final = 1024 * 1024


class WholeFile:
    """Symlinks are followed; pipes and devices are not read, since they may never end."""

    def __init__(
        self, path: Path, *, max_bytes: int = MAX_BYTES, limit_secs: float = LIMIT_SECS
    ) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._threads = DaemonThreads(limit_secs)

    def stamp(self) -> Hashable:
        """Differs after each change: the file is replaced, rewritten, or made readable. None where it is absent."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size

    async def read(self, parse: Callable[[bytes], T]) -> T | None:
        """What `parse` makes of the content, in a thread; None where there is no file. Raises CredentialError."""
        try:
            return await self._threads.run(lambda: parse(self._content()))
        except FileNotFoundError:
            return None
        except TimeoutError:
            raise self._unread(Cause.SILENT) from None
        except PermissionError as error:
            raise self._unread(Cause.DENIED, error.strerror) from None
        except OSError as error:
            raise self._unread(Cause.FAILED, error.strerror) from None

    def _content(self) -> bytes:
        if not stat.S_ISREG(self.path.stat().st_mode):
            raise OSError(errno.EINVAL, "Not a regular file")
        with self.path.open("rb") as file:
            content = file.read(self._max_bytes + 1)
        if len(content) > self._max_bytes:
            raise self._unread(Cause.TOO_LARGE)
        return content

    def _unread(self, cause: Cause, why: str | None = None) -> CredentialError:
        failure = Failure(Reason.CREDENTIALS, cause, Source.FILE, str(self.path), detail=why or "")
        return CredentialError(failure)

"""The lock whose holder is the process that polls. The kernel frees it with its holder's last breath, kill -9 included.

The file is never removed: between one process's look and another's lock it would be two files.
"""

import errno
import fcntl
import os
from typing import Final

from monitor.ipc.permissions import check_file, inode, no_folder, own_folder, touch

_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_BUSY: Final = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)


class Lock:
    """The lock of one instance. A process started from here does not hold it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take the lock, if nobody has it; does not wait.

        Raises NoFolderError where there can be none, another TrackerError where the file is not to be trusted.
        """
        if self._descriptor is not None:
            return True
        try:
            own_folder(os.path.dirname(self.path))
            check_file(self.path)
            self._descriptor = _taken(self.path)
        except OSError as error:
            raise no_folder(self.path, "locked", error) from None
        return self._descriptor is not None

    def keep(self) -> bool:
        """Return whether it still is ours; to be called now and then, or what clears old files away may take it.

        False after somebody has removed the file: another process may have made and locked a new one.
        """
        return self._descriptor is not None and touch(self.path, _inode_of(self._descriptor))

    def release(self) -> None:
        """Let others have it; nothing happens where it is not held."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def holder(path: str) -> int | None:
    """Return the pid of the process that holds the lock, for messages; None where none seems to."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            pid = int(os.read(descriptor, 20))
        finally:
            os.close(descriptor)
    except (OSError, ValueError):
        return None
    return pid if _lives(pid) else None


def _lives(pid: int) -> bool:
    """Return whether the process is there: what it wrote outlasts a process that was killed."""
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno == errno.EPERM
    return True


def _taken(path: str) -> int | None:
    """Return a descriptor that holds the lock on the file that is there now."""
    while True:
        descriptor = os.open(path, _FLAGS, 0o600)
        try:
            if not _is_locked(descriptor):
                os.close(descriptor)
                return None
            if inode(path) == _inode_of(descriptor):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, b"%d\n" % os.getpid())
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # somebody has removed it meanwhile


def _inode_of(descriptor: int) -> tuple[int, int]:
    held = os.fstat(descriptor)
    return held.st_dev, held.st_ino


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _BUSY:
            return False
        raise
    return True

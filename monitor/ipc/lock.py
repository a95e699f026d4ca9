"""The folder of lock and socket, which must be the user's own, and the lock whose holder is the process that polls.

The kernel frees the lock with its holder's last breath, kill -9 included. Its file is never removed: between one
process's look and another's lock it would be two files.
"""

import fcntl
import os
import stat

from monitor.ipc.protocol import tracker_error

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OTHERS_MAY_ANYTHING = stat.S_IRWXG | stat.S_IRWXO


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
            self._descriptor = _open_locked(self.path)
        except OSError as error:
            raise _no_folder(self.path, "locked", error) from None
        return self._descriptor is not None

    def keep(self) -> bool:
        """Return whether it is still ours; called now and then, or what clears away old files may take it.

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
        os.kill(pid, 0)  # what it wrote outlasts a process that was killed
    except (OSError, ValueError, OverflowError):
        return None
    return pid


def _open_locked(path: str) -> int | None:
    """Return a descriptor that holds the lock on the file that is there now; None while another process has it."""
    while True:
        descriptor = os.open(path, _FLAGS, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if inode(path) == _inode_of(descriptor):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, b"%d\n" % os.getpid())
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # somebody has removed it meanwhile


def own_folder(path: str) -> None:
    """Make the folder, mode 0700, unless it is there. Raises TrackerError where it is not the user's alone.

    All functions raise NoFolderError where the system does not let us.
    """
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise _no_folder(path, "made", error) from None
    found = _find_own(path, is_folder=True)
    if found is not None and found.st_mode & _OTHERS_MAY_ANYTHING:
        os.chmod(path, 0o700)


def check_file(path: str) -> bool:
    """Return whether the file is there. Raises TrackerError where it or its folder is not the user's."""
    folder = _find_own(os.path.dirname(path), is_folder=True)
    return folder is not None and _find_own(path) is not None


def _find_own(path: str, *, is_folder: bool = False) -> os.stat_result | None:
    """Look at a path; None where nothing is there. Raises TrackerError where others own it, or may write to it."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _no_folder(path, "looked at", error) from None
    if is_folder and not stat.S_ISDIR(found.st_mode):
        raise tracker_error(
            f"{path}: is no folder, and lock and socket have no other place: remove it"
        )
    if found.st_uid != os.getuid():
        raise tracker_error(
            f"{path}: belongs to another user (uid {found.st_uid}), and is not to be trusted: "
            "have it removed, or set XDG_RUNTIME_DIR to a folder of your own"
        )
    if is_folder and found.st_mode & _OTHERS_MAY_WRITE:
        raise tracker_error(f"{path}: others may write there: remove it, or run chmod 700 {path}")
    return found


def inode(path: str) -> tuple[int, int] | None:
    """Return the identity of the file that is there now; None where there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def touch(path: str, made: tuple[int, int] | None) -> bool:
    """Renew the file's time, so that nothing clears it away; return whether it is still the one that was made."""
    if made is None or inode(path) != made:
        return False
    try:
        os.utime(path)
    except OSError:
        return False
    return True


def _inode_of(descriptor: int) -> tuple[int, int]:
    held = os.fstat(descriptor)
    return held.st_dev, held.st_ino


def _no_folder(path: str, what: str, error: OSError) -> Exception:
    from monitor.core.errors import NoFolderError

    words = f"{path}: cannot be {what}: {error.strerror}"
    return NoFolderError(f"{words}: set XDG_RUNTIME_DIR to a folder of your own")

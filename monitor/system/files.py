"""Files and folders that are private to the user, written whole or not at all."""

import contextlib
import errno
import os
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

LOCK_SECS: Final = 5.0
_RETRY_SECS: Final = 0.01


def private_folder(path: Path) -> Path:
    """The folder, made with mode 0700 where it is missing, as are its missing parents. Raises OSError."""
    if not path.is_dir():
        private_folder(path.parent)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
    return path


def target_of(path: Path) -> Path:
    """The file that is meant, behind whatever symlinks; it need not exist."""
    return Path(os.path.realpath(path))


def write_private(path: Path, content: bytes) -> None:
    """Replace the file's content in one step, with mode 0600, behind whatever symlink. Raises OSError.

    After a crash there is the old file or the new one, never a part of either.
    """
    target = target_of(path)
    _refuse_special(target)
    private_folder(target.parent)
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _write_durably(file, content)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _refuse_special(target: Path) -> None:
    """A device or a pipe would be replaced by a plain file, which nobody wants of /dev/null."""
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(target))


def _write_durably(file: IO[bytes], content: bytes) -> None:
    if sys.platform != "win32":
        os.fchmod(file.fileno(), 0o600)
    file.write(content)
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Without this, a power cut may undo the rename. Windows cannot open folders, nor needs to."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path, limit_secs: float = LOCK_SECS) -> Iterator[None]:
    """Keep other processes and threads from editing the file meanwhile; blocks until it is one's turn.

    What is locked is the real file's folder, which leaves nothing behind, and is the same for every environment. A
    rename would take a lock on the file itself away with the old content. Raises TimeoutError (an OSError) when the
    turn does not come.
    """
    target = target_of(path)
    private_folder(target.parent)
    descriptor = _lockable(target)
    try:
        for _ in range(max(1, round(limit_secs / _RETRY_SECS))):
            if _acquired(descriptor):
                break
            time.sleep(_RETRY_SECS)
        else:
            raise TimeoutError(errno.ETIMEDOUT, "Another program keeps it locked", str(target))
        yield
    finally:
        os.close(descriptor)


def _lockable(target: Path) -> int:
    """The file's folder, opened; where that cannot be locked (Windows, some network file systems), `<name>.lock`."""
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                _acquired(folder)  # or not yet: it can be
            except OSError:
                os.close(folder)
                raise
            return folder
    return os.open(target.with_name(f"{target.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)


def _acquired(descriptor: int) -> bool:
    try:
        _lock(descriptor)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        raise
    return True


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

"""Files and folders that are private to the user, written whole or not at all."""

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MOST_BYTES: Final = 1 << 20
"""No file that is read whole is larger."""

LOCK_SECS: Final = 5.0
_RETRY_SECS: Final = 0.01


def private_folder(path: Path) -> Path:
    """Make the folder and its parents, with mode 0700, where they are missing; return it. Raises OSError."""
    if not path.is_dir():
        private_folder(path.parent)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
    return path


def read_regular(path: str | os.PathLike[str], most: int = MOST_BYTES) -> bytes:
    """Read a whole file; a pipe, a device or a larger file is refused at once. Raises OSError."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "Not a regular file", os.fspath(path))
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"larger than {most >> 10} KiB", os.fspath(path))
    return content


def target_of(path: Path) -> Path:
    """Follow all symlinks to the real file, which need not exist."""
    return Path(os.path.realpath(path))


def write_private(path: Path, content: bytes) -> None:
    """Replace the content of a file of our own in one step, with mode 0600. Raises OSError, as `write_whole` does."""
    private_folder(target_of(path).parent)
    write_whole(path, content, 0o600)


def write_whole(path: Path, content: bytes, mode: int) -> None:
    """Replace the file's content in one step, behind whatever symlink. Raises OSError.

    After a crash there is the old file or the new one, never a part of either.
    """
    target = target_of(path)
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        # A device such as /dev/null would be replaced by a plain file.
        raise OSError(errno.EINVAL, "Not a regular file", str(target))
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # without this, a power cut may undo the rename
    finally:
        os.close(folder)


@contextlib.contextmanager
def lock_file(path: Path, limit_secs: float = LOCK_SECS) -> Iterator[None]:
    """Keep other processes and threads from editing the file within the block; waits for the lock, and blocks.

    The lock is on the real file's folder, which leaves nothing behind; a rename would take a lock on the file itself
    away with the old content. Raises TimeoutError (an OSError) at the limit.
    """
    target = target_of(path)
    private_folder(target.parent)
    descriptor = _open_for_lock(target)
    try:
        for _ in range(max(1, round(limit_secs / _RETRY_SECS))):
            if _try_lock(descriptor):
                break
            time.sleep(_RETRY_SECS)
        else:
            raise TimeoutError(errno.ETIMEDOUT, "another program keeps it locked", str(target))
        yield
    finally:
        os.close(descriptor)


def _open_for_lock(target: Path) -> int:
    """Open the file's folder, or `<name>.lock` where a folder cannot be locked, as on some network file systems."""
    with contextlib.suppress(OSError):
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _try_lock(folder)  # whether it is free now or not, it can be locked
        except OSError:
            os.close(folder)
            raise
        return folder
    return os.open(target.with_name(f"{target.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

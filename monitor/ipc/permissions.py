"""Trust on the socket: its folder and files must be the user's own, for session keys go through it."""

import os
import socket
import stat
import sys

_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OTHERS_MAY_ANYTHING = stat.S_IRWXG | stat.S_IRWXO

_SOL_LOCAL, _LOCAL_PEERCRED = 0, 1
_XUCRED_BYTES = 76
_UCRED_BYTES = 12


def own_folder(path: str) -> None:
    """Make the folder, mode 0700, unless it is there. Raises TrackerError where it is not the user's alone.

    All functions raise NoFolderError where the system does not let us.
    """
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise no_folder(path, "made", error) from None
    if check_folder(path) and os.lstat(path).st_mode & _OTHERS_MAY_ANYTHING:
        os.chmod(path, 0o700)


def check_folder(path: str) -> bool:
    """Return whether the folder is there. Raises TrackerError where it is another user's, or others may write there."""
    found = _status(path)
    if found is None:
        return False
    if not stat.S_ISDIR(found.st_mode):
        raise _error(f"{path}: is no folder, and lock and socket have no other place: remove it")
    _check_owner(path, found)
    if found.st_mode & _OTHERS_MAY_WRITE:
        raise _error(f"{path}: others may write there: remove it, or run chmod 700 {path}")
    return True


def check_file(path: str) -> bool:
    """Return whether the file is there. Raises TrackerError where it or its folder is not the user's."""
    found = _status(path) if check_folder(os.path.dirname(path)) else None
    if found is None:
        return False
    _check_owner(path, found)
    return True


def inode(path: str) -> tuple[int, int] | None:
    """Return what tells the file that is there now from any later one; None where there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def touch(path: str, made: tuple[int, int] | None) -> bool:
    """Return whether the file that was made is still there, and if so keep what clears old files from taking it."""
    if made is None or inode(path) != made:
        return False
    try:
        os.utime(path)
    except OSError:
        return False
    return True


def peer_uid(connection: socket.socket, platform: str = sys.platform) -> int:
    """Return the user id of a Unix socket's peer, by the kernel's word. Raises OSError."""
    if platform == "linux":
        return parse_ucred(
            connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED_BYTES)
        )
    return parse_xucred(connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_BYTES))


def parse_ucred(data: bytes) -> int:
    """Read Linux's `struct ucred`: pid, uid, gid, of four bytes each."""
    if len(data) != _UCRED_BYTES:
        raise OSError("the peer's user is not known")
    return int.from_bytes(data[4:8], sys.byteorder)


def parse_xucred(data: bytes) -> int:
    """Read the `struct xucred` of <sys/ucred.h> on macOS: a version, which is 0, the uid, then groups."""
    if len(data) < 8 or int.from_bytes(data[:4], sys.byteorder) != 0:
        raise OSError("the peer's user is not known")
    return int.from_bytes(data[4:8], sys.byteorder)


def no_folder(path: str, what: str, error: OSError) -> Exception:
    """Make the error of a file or folder that the system does not let us have."""
    from monitor.core.errors import NoFolderError

    words = f"{path}: cannot be {what}: {error.strerror}"
    return NoFolderError(f"{words}: set XDG_RUNTIME_DIR to a folder of your own")


def _status(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise no_folder(path, "looked at", error) from None


def _check_owner(path: str, found: os.stat_result) -> None:
    if found.st_uid != os.getuid():
        raise _error(
            f"{path}: belongs to another user (uid {found.st_uid}), and is not to be trusted: "
            "have it removed, or set XDG_RUNTIME_DIR to a folder of your own"
        )


def _error(text: str) -> Exception:
    from monitor.core.errors import TrackerError  # its imports take longer than asking does

    return TrackerError(text)

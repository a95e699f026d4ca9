"""What of the lock's and socket's folder is believed: it must be the user's own, for session keys go through it."""

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from monitor.core.errors import TrackerError

_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OTHERS_MAY_ANYTHING = stat.S_IRWXG | stat.S_IRWXO


def own_folder(path: str) -> None:
    """Make the folder, mode 0700, unless it is there. Raises TrackerError where it is not the user's alone.

    All functions raise NoPlaceError where the system does not let us.
    """
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise no_place(path, "made", error) from None
    if check_folder(path):
        _close_to_others(path)


def check_folder(path: str) -> bool:
    """Whether there is such a folder. Raises TrackerError where it is another user's, or others may write there."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise no_place(path, "looked at", error) from None
    if not stat.S_ISDIR(found.st_mode):
        raise _trouble(f"{path}: is no folder, and lock and socket have no other place: remove it")
    _check_owner(path, found)
    if found.st_mode & _OTHERS_MAY_WRITE and os.name == "posix":
        raise _trouble(f"{path}: others may write there: remove it, or run chmod 700 {path}")
    return True


def check_file(path: str) -> "os.stat_result | None":
    """The file's own status, None where there is none. Raises TrackerError where it or its folder is not the user's."""
    if not check_folder(os.path.dirname(path)):
        return None
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise no_place(path, "looked at", error) from None
    _check_owner(path, found)
    return found


def mark(path: str) -> "tuple[int, int] | None":
    """What tells the file that is there now from any that comes to be there later; None where there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_kept(path: str, made: "tuple[int, int] | None") -> bool:
    """Whether the file that was made is still there; if so, what clears old files away is kept from taking it."""
    if made is None or mark(path) != made:
        return False
    try:
        os.utime(path)
    except OSError:
        return False
    return True


def _check_owner(path: str, found: os.stat_result) -> None:
    if os.name == "posix" and found.st_uid != os.getuid():
        raise _trouble(
            f"{path}: belongs to another user (uid {found.st_uid}), and is not to be trusted: "
            "have it removed, or set XDG_RUNTIME_DIR to a folder of your own"
        )


def _close_to_others(path: str) -> None:
    if os.name == "posix" and os.lstat(path).st_mode & _OTHERS_MAY_ANYTHING:
        os.chmod(path, 0o700)


def no_place(path: str, what: str, error: OSError) -> "TrackerError":
    """The system does not let us have a file or folder: it cannot be made, say. There is no monitor then."""
    from monitor.ipc.errors import NoPlaceError

    words = f"{path}: cannot be {what}: {error.strerror}"
    return NoPlaceError(f"{words}: set XDG_RUNTIME_DIR to a folder of your own")


def _trouble(text: str) -> "TrackerError":
    from monitor.core.errors import TrackerError

    return TrackerError(text)

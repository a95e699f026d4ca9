"""Listeners of the leader: a socket file of its own, or a socket that a service manager has passed."""

import contextlib
import os
import socket
from typing import Final, Protocol

from monitor.core.errors import TrackerError
from monitor.ipc.permissions import inode, own_folder, touch

BACKLOG: Final = 1024
"""Followers that come all at once, as after a change of leader, wait here; the system may allow fewer."""


class Listener(Protocol):
    """The lock of the instance is held for as long as this is open."""

    def open(self) -> socket.socket:
        """Return a socket that listens. Raises TrackerError."""

    def touch(self) -> bool:
        """Return whether it still is there; called now and then, or what clears old files away may take it."""

    def close(self) -> None:
        """Take away what was put into the folder, if it still is ours."""


class UnixListener:
    """A socket file with mode 0600, which a dead leader may have left and a later one may have replaced."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._inode: tuple[int, int] | None = None

    def open(self) -> socket.socket:
        """Make the file beside its place, and put it there in one step."""
        listener, new = socket.socket(socket.AF_UNIX), f"{self._path}~"
        try:
            own_folder(os.path.dirname(self._path))
            if inode(new) is not None:  # of a leader that died right here
                os.unlink(new)
            listener.bind(new)
            os.chmod(new, 0o600)  # before it listens, so nobody gets in earlier
            listener.listen(BACKLOG)
            os.replace(new, self._path)
        except OSError as error:
            listener.close()
            raise TrackerError(
                f"{self._path}: cannot open the control socket: {error.strerror or error}"
            ) from None
        except BaseException:
            listener.close()
            raise
        self._inode = inode(self._path)
        return listener

    def touch(self) -> bool:
        return touch(self._path, self._inode)

    def close(self) -> None:
        if self._inode is not None and inode(self._path) == self._inode:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
        self._inode = None


class InheritedListener:
    """A Unix socket that a service manager has bound, and will take away itself; it can be opened again."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener

    def open(self) -> socket.socket:
        return self._listener.dup()

    def touch(self) -> bool:
        return True

    def close(self) -> None:
        """Leave it: it is not ours."""

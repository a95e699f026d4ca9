"""Where the owner is reached: a socket file or, on Windows, a file that names a port. The lock is held meanwhile."""

import contextlib
import os
import socket
import sys
from typing import Final, Protocol

from monitor.core.errors import TrackerError
from monitor.ipc import loopback
from monitor.ipc.permissions import is_kept, mark, own_folder

BACKLOG: Final = 1024
"""Viewers that come all at once, as after a change of owner, wait here; the system may allow fewer."""


class Listener(Protocol):
    token: str
    """What a request must carry here; empty where the kernel says who asks."""

    def open(self) -> socket.socket:
        """A socket that listens. Raises TrackerError."""

    def keep(self) -> bool:
        """Whether it still is there; to be called now and then, or what clears old files away may take it."""

    def close(self) -> None:
        """Take away what was put into the folder, if it still is ours."""


class _File:
    """The one file of a door, which a dead owner may have left and a later one may have replaced."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._mark: tuple[int, int] | None = None

    @property
    def _new(self) -> str:
        """Where the file is made, before it takes the place of the old one in one step."""
        return f"{self._path}~"

    def _clear(self) -> None:
        """Room for the new file: a folder of our own, without what an owner left that died right here."""
        own_folder(os.path.dirname(self._path))
        if mark(self._new) is not None:
            os.unlink(self._new)

    def _put(self) -> None:
        os.replace(self._new, self._path)
        self._mark = mark(self._path)

    def keep(self) -> bool:
        return is_kept(self._path, self._mark)

    def close(self) -> None:
        if self._mark is not None and mark(self._path) == self._mark:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
        self._mark = None


class UnixListener(_File):
    """A socket file with mode 0600."""

    token = ""

    def open(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        try:
            self._clear()
            listener.bind(self._new)
            os.chmod(self._new, 0o600)  # before it listens, so nobody gets in earlier
            listener.listen(BACKLOG)
            self._put()
        except OSError as error:
            listener.close()
            raise _trouble(self._path, error) from None
        except BaseException:
            listener.close()
            raise
        return listener


class LoopbackListener(_File):
    """A port, and a file with mode 0600 that names it and the token."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.token = loopback.new_token()

    def open(self) -> socket.socket:
        listener = socket.socket(socket.AF_INET)
        try:
            listener.bind((loopback.HOST, 0))
            listener.listen(BACKLOG)
            self._clear()
            self._write(loopback.render_note(listener.getsockname()[1], self.token))
            self._put()
        except OSError as error:
            listener.close()
            raise _trouble(self._path, error) from None
        except BaseException:
            listener.close()
            raise
        return listener

    def _write(self, note: bytes) -> None:
        descriptor = os.open(self._new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(note)


class InheritedListener:
    """A Unix socket that a service manager has bound, and will take away itself; it can be opened again."""

    token = ""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener

    def open(self) -> socket.socket:
        return self._listener.dup()

    def keep(self) -> bool:
        return True

    def close(self) -> None:
        """It is not ours."""


def door(path: str, given: socket.socket | None = None) -> Listener:
    """The way in that this system has."""
    if given is not None:
        return InheritedListener(given)
    return LoopbackListener(path) if sys.platform == "win32" else UnixListener(path)


def _trouble(path: str, error: OSError) -> TrackerError:
    return TrackerError(f"{path}: viewers cannot be let in: {error.strerror or error}")

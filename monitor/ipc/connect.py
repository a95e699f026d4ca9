"""A connection to the running monitor, blocking and light: `socket` alone would take longer than the asking."""

import _socket
import stat
import time

from monitor.ipc.permissions import check_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os

    from monitor.core.errors import TrackerError

_PIECE = 65536
_RETRY_SECS = 0.02


def dial(path: str, deadline: float) -> "tuple[_socket.socket, str] | None":
    """A connection to the owner, and the token that its requests carry; None where nobody listens.

    Raises TrackerError where what listens is not the user's own, TimeoutError past the deadline.
    """
    found = _found(path)
    if found is None:
        return None
    if stat.S_ISSOCK(found.st_mode):
        connection = _dialled(_socket.AF_UNIX, path, deadline)
        return None if connection is None else (_checked(connection, path), "")
    return _dialled_loopback(path, deadline)


def _found(path: str) -> "os.stat_result | None":
    """The status of what is there; None also where the system lets nobody have such a file."""
    try:
        return check_file(path)
    except Exception as error:
        from monitor.ipc.errors import NoPlaceError

        if isinstance(error, NoPlaceError):
            return None
        raise


def piece(connection: "_socket.socket", deadline: float, size: int = _PIECE) -> bytes:
    """What has come meanwhile; nothing once the sender has ended. Raises TimeoutError."""
    limit(connection, deadline)
    try:
        return connection.recv(size)
    except ConnectionError:
        return b""


def limit(connection: "_socket.socket", deadline: float) -> None:
    """Let its next call end by then. Raises TimeoutError where that is past."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection.settimeout(left)


def failure(text: str) -> "TrackerError":
    from monitor.core.errors import TrackerError

    return TrackerError(text)


def _dialled(family: int, address: object, deadline: float) -> "_socket.socket | None":
    """A connection; a full queue of the listener is waited for."""
    while True:
        connection = _socket.socket(family, _socket.SOCK_STREAM)
        try:
            limit(connection, deadline)
            connection.connect(address)  # type: ignore[arg-type]
            return connection
        except BlockingIOError:
            connection.close()
            time.sleep(_RETRY_SECS)
        except (ConnectionRefusedError, FileNotFoundError):
            connection.close()
            return None
        except OSError as error:
            connection.close()
            if isinstance(error, TimeoutError):
                raise
            raise failure(f"{address}: cannot be asked: {error.strerror or error}") from None


def _checked(connection: "_socket.socket", path: str) -> "_socket.socket":
    """The same connection. Raises TrackerError where neither the user nor the system listens there."""
    import os

    from monitor.ipc.peer import peer_uid

    try:
        uid = peer_uid(connection)
    except OSError:
        uid = -1
    if uid not in (os.getuid(), 0):
        connection.close()
        raise failure(f"{path}: another user listens there (uid {uid}), who is not to be trusted")
    return connection


def _dialled_loopback(path: str, deadline: float) -> "tuple[_socket.socket, str] | None":
    from monitor.ipc import loopback

    note = loopback.read_note(path)
    if note is None:
        return None
    port, token = note
    connection = _dialled(_socket.AF_INET, (loopback.HOST, port), deadline)
    if connection is None:
        return None
    greeting = loopback.hello()
    expected = loopback.proof(token, greeting)
    try:
        connection.sendall(greeting)
        answer = _received(connection, deadline, len(expected or b""))
    except BaseException:
        connection.close()
        raise
    if expected is None or not loopback.is_same(answer, expected):
        connection.close()  # the owner is gone, and its port is somebody else's
        return None
    return connection, token


def _received(connection: "_socket.socket", deadline: float, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := piece(connection, deadline, size - len(data))):
        data += more
    return data

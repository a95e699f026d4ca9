"""Asks the running monitor: blocking, and without imports that would outlast the asking."""

import os
import socket
import time
from collections.abc import Iterator, Mapping

from monitor.ipc.lock import check_file
from monitor.ipc.protocol import (
    SILENT_SECS,
    parse_code,
    peer_uid,
    refusal,
    render_request,
    tracker_error,
)

_PIECE = 65536
_RETRY_SECS = 0.02


def ask(
    path: str, request: Mapping[str, object], limit_secs: float = 2.0
) -> tuple[int, bytes] | None:
    """Return the exit code and the text of the reply; None where nobody listens.

    The request is plain JSON values, as `encode_request` makes them. Raises SilentLeaderError where somebody listens
    and does not answer in time, another TrackerError where it is not to be trusted.
    """
    deadline = time.monotonic() + limit_secs
    try:
        reply = _send(path, request, deadline)
        if reply is None:
            return None
        connection, code, begun = reply
        with connection:
            return code, begun + _receive_rest(connection, deadline)
    except TimeoutError:
        raise _silent(f"does not answer within {round(limit_secs, 1):g} s") from None


def order(path: str, request: Mapping[str, object], limit_secs: float = 2.0) -> str | None:
    """Have a command carried out, and return the answer for the user; None and TrackerError as of `ask`.

    A refusal is a TrackerError, too, with its exit code.
    """
    reply = ask(path, request, limit_secs)
    if reply is None:
        return None
    code, text = reply
    if code:
        raise refusal(code, text)
    return text.decode(errors="replace").strip()


def stream(
    path: str,
    request: Mapping[str, object],
    silent_secs: float = SILENT_SECS,
    first_secs: float | None = None,
) -> Iterator[bytes] | None:
    """Return the lines of a stream without their ends, until its sender ends; None where nobody listens.

    Raises TrackerError, now or later, where the request is refused; SilentLeaderError where nothing is heard within
    the first seconds, or nothing more for a while.
    """
    limit_secs = silent_secs if first_secs is None else first_secs
    try:
        reply = _send(path, request, time.monotonic() + limit_secs)
    except TimeoutError:
        raise _silent(f"does not answer within {round(limit_secs, 1):g} s") from None
    return None if reply is None else _lines(*reply, silent_secs)


def _connect(path: str, deadline: float) -> socket.socket | None:
    """Return a connection to the leader; None where nobody listens, or no folder can be had to listen in.

    Raises TrackerError where what listens is not the user's own, TimeoutError past the deadline (of the monotonic
    clock).
    """
    try:
        if not check_file(path):
            return None
    except Exception as error:
        from monitor.core.errors import NoFolderError

        if isinstance(error, NoFolderError):
            return None
        raise
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            _limit(connection, deadline)
            connection.connect(path)
            break
        except BlockingIOError:  # the listener's queue is full
            connection.close()
            time.sleep(_RETRY_SECS)
        except (ConnectionRefusedError, FileNotFoundError):
            connection.close()
            return None
        except OSError as error:
            connection.close()
            if isinstance(error, TimeoutError):
                raise
            raise tracker_error(f"{path}: cannot be asked: {error.strerror or error}") from None
    uid = peer_uid(connection)
    if uid not in (os.getuid(), 0):
        connection.close()
        raise tracker_error(
            f"{path}: another user listens there (uid {uid}), who is not to be trusted"
        )
    return connection


def _send(
    path: str, request: Mapping[str, object], deadline: float
) -> tuple[socket.socket, int, bytes] | None:
    """Send a request; return the connection, the exit code of the reply, and the bytes that came with it."""
    line = render_request(request)
    connection = _connect(path, deadline)
    if connection is None:
        return None
    try:
        try:
            _limit(connection, deadline)
            connection.sendall(line)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it may have answered all the same, that it takes no more
        begun = b""
        while b"\n" not in begun and (more := _receive(connection, deadline)):
            begun += more
        if not begun:
            raise tracker_error("the running monitor ended before it answered")
        head, _, rest = begun.partition(b"\n")
        return connection, parse_code(head), rest
    except BaseException:
        connection.close()
        raise


def _lines(
    connection: socket.socket, code: int, rest: bytes, silent_secs: float
) -> Iterator[bytes]:
    try:
        if code:
            raise refusal(code, rest + _receive_rest(connection, time.monotonic() + silent_secs))
        while True:
            *lines, rest = rest.split(b"\n")
            yield from (line for line in lines if line)
            more = _receive(connection, time.monotonic() + silent_secs)
            if not more:
                return
            rest += more
    except TimeoutError:
        raise _silent(f"has said nothing for {silent_secs:g} s: is it stopped?") from None
    finally:
        connection.close()


def _receive_rest(connection: socket.socket, deadline: float) -> bytes:
    pieces = []
    while more := _receive(connection, deadline):
        pieces.append(more)
    return b"".join(pieces)


def _receive(connection: socket.socket, deadline: float) -> bytes:
    """Receive some bytes; none once the sender has ended. Raises TimeoutError."""
    _limit(connection, deadline)
    try:
        return connection.recv(_PIECE)
    except ConnectionError:
        return b""


def _limit(connection: socket.socket, deadline: float) -> None:
    """Limit the next call on the connection. Raises TimeoutError past the deadline."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection.settimeout(left)


def _silent(words: str) -> Exception:
    from monitor.core.errors import SilentLeaderError

    return SilentLeaderError(f"the running monitor {words}")

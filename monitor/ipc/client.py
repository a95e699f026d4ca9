"""The light way to ask the running monitor: blocking, and without modules whose imports outlast the asking."""

import time

from monitor.ipc.connect import dial, failure, limit, piece
from monitor.ipc.protocol import SILENT_SECS, parse_code, refusal, render_request

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Iterator, Mapping
    from typing import Any

    from monitor.core.errors import TrackerError


def ask(
    path: str, request: "Mapping[str, Any]", limit_secs: float = 2.0
) -> tuple[int, bytes] | None:
    """The exit code and the text of the reply; None where nobody listens.

    Raises SilentLeaderError where somebody does and does not answer in time, another TrackerError where it is not to be
    trusted.
    """
    deadline = time.monotonic() + limit_secs
    try:
        connection = _asked(path, request, deadline)
        if connection is None:
            return None
        try:
            reply = _all(connection, deadline)
        finally:
            connection.close()
    except TimeoutError:
        raise _silent(f"does not answer within {round(limit_secs, 1):g} s") from None
    if not reply:
        raise failure("the running monitor ended before it answered")
    head, _, text = reply.partition(b"\n")
    return parse_code(head), text


def stream(
    path: str,
    request: "Mapping[str, Any]",
    silent_secs: float = SILENT_SECS,
    first_secs: float | None = None,
) -> "Iterator[bytes] | None":
    """The lines of a stream without their ends, until its sender ends; None where nobody listens.

    Raises TrackerError, now or later, where the request is refused; SilentLeaderError where nothing is heard within
    the first seconds, or nothing more for a while.
    """
    limit_secs = silent_secs if first_secs is None else first_secs
    deadline = time.monotonic() + limit_secs
    try:
        connection = _asked(path, request, deadline)
        if connection is None:
            return None
        try:
            begun = _until_line(connection, deadline)
        except BaseException:
            connection.close()
            raise
    except TimeoutError:
        raise _silent(f"does not answer within {round(limit_secs, 1):g} s") from None
    return _lines(connection, begun, silent_secs)


def _asked(path: str, request: "Mapping[str, Any]", deadline: float) -> "_socket.socket | None":
    """A connection on which the request has been sent."""
    dialled = dial(path, deadline)
    if dialled is None:
        return None
    connection, token = dialled
    try:
        line = render_request({**request, "token": token} if token else request)
        limit(connection, deadline)
        connection.sendall(line)
    except (BrokenPipeError, ConnectionResetError):
        pass  # it may have answered all the same, that it takes no more
    except BaseException:
        connection.close()
        raise
    return connection


def _lines(connection: "_socket.socket", begun: bytes, silent_secs: float) -> "Iterator[bytes]":
    try:
        head, _, rest = begun.partition(b"\n")
        if not head and not rest:
            raise failure("the running monitor ended before it answered")
        if code := parse_code(head):
            raise refusal(code, rest + _all(connection, time.monotonic() + silent_secs))
        while True:
            *lines, rest = rest.split(b"\n")
            yield from (line for line in lines if line)
            more = piece(connection, time.monotonic() + silent_secs)
            if not more:
                return
            rest += more
    except TimeoutError:
        raise _silent(f"has said nothing for {silent_secs:g} s: is it stopped?") from None
    finally:
        connection.close()


def _until_line(connection: "_socket.socket", deadline: float) -> bytes:
    """What has come once a line is complete, or the sender has ended. Raises TimeoutError."""
    data = b""
    while b"\n" not in data and (more := piece(connection, deadline)):
        data += more
    return data


def _all(connection: "_socket.socket", deadline: float) -> bytes:
    pieces = []
    while more := piece(connection, deadline):
        pieces.append(more)
    return b"".join(pieces)


def _silent(words: str) -> "TrackerError":
    from monitor.ipc.errors import SilentLeaderError

    return SilentLeaderError(f"the running monitor {words}")

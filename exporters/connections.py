"""The sockets of the site, and the limits of its connections.

Every user of this machine can connect to a loopback port. Connections that never end their request, or never read their
answer, must not cost the program its descriptors, its memory or a scrape: each limit here ends or refuses some of them.
"""

import asyncio
import contextlib
import errno
import logging
import resource
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

HEAD_SECS: Final = 5.0
"""Limit of a request's head; that of a new connection includes the TLS handshake."""
READ_SECS: Final = 10.0
"""The longest that a client may read nothing of its answer."""
STALLED_SECS: Final = 0.1
"""A client that has read nothing for so long loses its place to a new request, where all are taken."""
MAX_CONNECTIONS: Final = 1000
MAX_REQUESTS: Final = 40
"""Requests at one moment; the same number as node_exporter's `--web.max-requests`."""
LOOK_SECS: Final = 1.0
"""Between two checks of all connections, and two attempts to accept while there are no descriptors."""

_SEND_BUFFER: Final = 256 * 1024
"""The kernel's buffer of each connection, which else grows to megabytes for a client that does not read."""
_HIGHEST_PORT: Final = 65535
_BACKLOG: Final = 128

_log = logging.getLogger(__name__)


def open_sockets(host: str, port: int) -> list[socket.socket]:
    """Listen on every address of the host, blocking; "" and "::" are all IPv4 and IPv6 addresses. Raises OSError."""
    if not 0 <= port <= _HIGHEST_PORT:
        raise OverflowError(port)
    if host in ("", "::") and socket.has_dualstack_ipv6():
        return [_listen(socket.AF_INET6, "::", port, both=True)]
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    failure: OSError | None = None
    for family, _, _, _, at in dict.fromkeys(found):
        try:
            sockets.append(_listen(family, str(at[0]), port))
        except OSError as error:
            failure = error
            if error.errno != errno.EADDRNOTAVAIL:  # such as an IPv6 address where IPv6 is disabled
                break
        else:
            port = port or int(sockets[0].getsockname()[1])
    if failure and not (sockets and failure.errno == errno.EADDRNOTAVAIL):
        for opened in sockets:
            opened.close()
        raise failure
    return sockets


def _listen(family: int, host: str, port: int, *, both: bool = False) -> socket.socket:
    return socket.create_server((host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=both)


class Connection(asyncio.Protocol):
    """One client: passes everything on to the protocol that answers, and knows since when it waits for what."""

    def __init__(
        self,
        protocol: asyncio.Protocol,
        ended: "Callable[[Connection], object]",
    ) -> None:
        self._protocol = protocol
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._has_more = False
        self._unread = 0
        self.handshake: asyncio.Task[None] | None = None
        """The task that connects it, which ends with the TLS handshake."""
        self.requests = 0
        """The number of its requests that are being answered: 1 or none."""
        self.head_since: float | None = self._loop.time()
        """Since when the rest of a request's head is awaited; None while it is idle or answered."""
        self.unread_since: float | None = None
        """Since when the client has read nothing of its answer; None where it has read all."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - that of a stream is
        self._transport = transport
        self._protocol.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)
        self._ended(self)

    def data_received(self, data: bytes) -> None:
        if self.requests:
            self._has_more = True
        elif self.head_since is None:
            self.head_since = self._loop.time()
        self._protocol.data_received(data)

    def eof_received(self) -> None:
        self._protocol.eof_received()

    def pause_writing(self) -> None:
        self.unread_since = self._loop.time()
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self.unread_since = None
        self._protocol.resume_writing()

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Count a request from its head to the end of its answer."""
        self.requests, self.head_since = self.requests + 1, None
        try:
            yield
        finally:
            self.requests -= 1
            self.head_since = self._loop.time() if self._has_more else None
            self._has_more = False

    def is_overdue(self, now: float) -> bool:
        """Check what the client has read since the last call, and return whether a limit is exceeded."""
        unread = self._transport.get_write_buffer_size() if self._transport else 0
        if not unread:
            self.unread_since = None
        elif unread != self._unread or self.unread_since is None:
            self.unread_since = now
        self._unread = unread
        return (self.head_since is not None and now - self.head_since > HEAD_SECS) or (
            self.unread_since is not None and now - self.unread_since > READ_SECS
        )

    def abort(self) -> None:
        """End the connection at once, and discard what the client has not read, also in the kernel."""
        if self._transport is not None:
            sock = self._transport.get_extra_info("socket")
            if self._transport.get_write_buffer_size() and sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        elif self.handshake is not None:
            self.handshake.cancel()


class Listener:
    """Accepts connections on the sockets, within the limits, while `run` runs.

    `answer` makes the protocol of each; `tls` returns the TLS context of the moment, None for plain HTTP.
    """

    def __init__(
        self,
        sockets: list[socket.socket],
        answer: Callable[[], asyncio.Protocol],
        tls: Callable[[], ssl.SSLContext | None],
    ) -> None:
        self._sockets = sockets
        self._answer = answer
        self._tls = tls
        self._connections: dict[Connection, None] = {}
        self._most = MAX_CONNECTIONS

    async def run(self) -> None:
        """Accept until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._end_overdue())
            for each in self._sockets:
                each.setblocking(False)
                each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
                group.create_task(self._accept(each, group))

    def close(self) -> None:
        """Close the sockets and every connection."""
        for each in self._sockets:
            each.close()
        for connection in self._connections:
            connection.abort()

    @contextmanager
    def answering(self, transport: asyncio.BaseTransport | None) -> Iterator[bool]:
        """Count a request. Yields False where there are too many, and none that has stalled can be ended for it."""
        connection = transport.get_protocol() if transport else None
        if not isinstance(connection, Connection):  # it is gone
            yield False
            return
        has_room = self._has_room()
        with connection.answering():
            yield has_room

    def _has_room(self) -> bool:
        answering = [one for one in self._connections if one.requests]
        if len(answering) < MAX_REQUESTS:
            return True
        now = asyncio.get_running_loop().time()
        for one in answering:
            if one.unread_since is not None and now - one.unread_since > STALLED_SECS:
                one.abort()
                return True
        return False

    async def _accept(self, listening: socket.socket, group: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listening)
            except ConnectionAbortedError:
                continue  # the client is gone already
            except OSError as error:  # mostly EMFILE
                _log.warning("new connections to the metrics wait: %s", error.strerror)
                await asyncio.sleep(LOOK_SECS)
                continue
            if not self._connections:
                self._most = _room_for_connections(1)
            if len(self._connections) >= self._most and not self._make_room():
                accepted.close()
            else:
                connection = Connection(self._answer(), self._forget)
                self._connections[connection] = None
                connection.handshake = group.create_task(self._connect(connection, accepted))
            await asyncio.sleep(0)  # lets other tasks run, however many clients come

    async def _connect(self, connection: Connection, accepted: socket.socket) -> None:
        tls = self._tls()
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                accepted,
                ssl=tls,
                ssl_handshake_timeout=HEAD_SECS if tls else None,
                ssl_shutdown_timeout=LOOK_SECS if tls else None,
            )
        except (OSError, TimeoutError) as error:  # mostly of the TLS handshake
            _log.debug("connection not accepted: %s", error)
            self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        self._connections.pop(connection, None)

    def _make_room(self) -> bool:
        """End the oldest connection whose request is unfinished, else the oldest idle one; False if there is none."""
        waiting = [one for one in self._connections if not one.requests]
        late = next((one for one in waiting if one.head_since is not None), None)
        oldest = late or next(iter(waiting), None)
        if oldest is not None:
            self._forget(oldest)
            oldest.abort()
        return oldest is not None

    async def _end_overdue(self) -> None:
        """End the connections that exceed a limit, once a second."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_SECS)
            self._most = _room_for_connections(len(self._connections))
            now = loop.time()
            for one in [one for one in self._connections if one.is_overdue(now)]:
                one.abort()
            for _ in range(len(self._connections) - self._most):
                self._make_room()


def _room_for_connections(connections: int) -> int:
    """Return the most connections that leave a quarter of all descriptors (at most 64) free for polls and state."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    with contextlib.suppress(OSError):
        others = len(list(Path("/dev/fd").iterdir())) - connections
        return max(1, min(MAX_CONNECTIONS, soft - others - min(64, soft // 4)))
    return max(1, connections)


def cannot_listen(where: str, error: Exception) -> str:
    """Return the error message of a port that cannot be listened on."""
    what = _WORDS.get(error.errno) if isinstance(error, OSError) else None
    what = what or "this is no address that can be listened on"
    return (
        f"cannot serve metrics on {where}: {what};"
        " set exporter.listen in the settings, or pass --listen HOST:PORT|off"
    )


_WORDS: Final[dict[int | None, str]] = {
    errno.EADDRINUSE: "the port is in use by another program",
    errno.EACCES: "permission denied (ports below 1024 are privileged)",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    None: "this machine has no such address",
    socket.EAI_NONAME: "the name is not known",
}

"""The leader's side of the socket: reads one request of each who comes, answers it or streams, and stalls for nobody.

Knows no request: what one means is the handler's business. Nothing that a peer sends or leaves undone holds up
another peer, the poller or the end of the program.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from monitor import __version__
from monitor.core.errors import TrackerError
from monitor.ipc.broadcast import Broadcast, Stream, Subscriber
from monitor.ipc.listener import BACKLOG, InheritedListener, Listener, UnixListener
from monitor.ipc.permissions import peer_uid
from monitor.ipc.protocol import BEAT_SECS, REQUEST_BYTES, VERSION, parse_request, render_reply

BUG: Final = 3

_log = logging.getLogger(__name__)


Answer = tuple[int, str]
"""An exit code, and text for standard output; or, where the code is not 0, a line for standard error."""


class Handler(Protocol):
    """Knows what requests mean."""

    async def answer(self, plain: Mapping[str, Any]) -> Answer | Stream:
        """Answer one request, or return the stream that is asked for.

        May raise TrackerError, whose line and exit code are then the answer.
        """


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what one peer, and all of them, may take."""

    request_secs: float = 5.0
    drain_secs: float = 10.0
    beat_secs: float = BEAT_SECS
    keep_secs: float = 60.0
    last_answer_secs: float = 0.5
    connections: int = 512


class Server:
    """Lets followers and commands in. The caller holds the instance's lock from before `start` until after `stop`."""

    def __init__(
        self,
        handler: Handler,
        path: str,
        *,
        sock: socket.socket | None = None,
        limits: Limits = Limits(),
    ) -> None:
        self._handler = handler
        self._listener: Listener = InheritedListener(sock) if sock else UnixListener(path)
        self._limits = limits
        self._broadcasts: dict[Hashable, tuple[Broadcast, asyncio.Task[None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._answering: set[asyncio.Task[None]] = set()
        self._strangers: set[int] = set()
        self._server: asyncio.Server | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. Raises TrackerError where that cannot be."""
        await self._listen()
        self._keeper = asyncio.create_task(self._keep(), name="socket keeper")

    async def stop(self) -> None:
        """Let nobody in any more and end all streams at once; an answer under way gets half a second."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        if self._server is not None:
            self._server.close()
            self._server = None
        self._listener.close()
        for task in self._tasks - self._answering:
            task.cancel()
        if self._answering:
            await asyncio.wait(self._answering, timeout=self._limits.last_answer_secs)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _listen(self) -> None:
        listener = self._listener.open()
        if self._server is not None:
            self._server.close()
        # Also for a Unix socket: `start_unix_server` would remove a socket file by its own rules.
        self._server = await asyncio.start_server(
            self._let_in, sock=listener, limit=REQUEST_BYTES, backlog=BACKLOG
        )

    async def _keep(self) -> None:
        """Be found again after somebody has cleared the folder."""
        while True:
            await asyncio.sleep(self._limits.keep_secs)
            try:
                if not self._listener.touch():
                    await self._listen()
            except (TrackerError, OSError) as error:
                _log.warning("no viewer can come in: %s", error)

    # Who is let in

    def _let_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None or self._is_stranger(writer):
            writer.transport.abort()
            return
        writer.transport.set_write_buffer_limits(high=0)  # so that `drain` waits for every byte
        task = asyncio.create_task(self._serve(reader, writer), name="follower")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _is_stranger(self, writer: asyncio.StreamWriter) -> bool:
        """Return whether it is another user's process."""
        try:
            uid = peer_uid(writer.get_extra_info("socket"))
        except OSError:
            uid = -1
        if uid == os.getuid():
            return False
        if uid not in self._strangers:
            self._strangers.add(uid)
            _log.warning("refused a connection of another user (uid %d)", uid)
        return True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if len(self._tasks) > self._limits.connections:
                await self._send(writer, render_reply(1, f"{_who()} has too many followers"))
                return
            request = await self._request(reader)
            if request is not None:
                await self._reply(request, writer)
        except OSError as error:  # a TimeoutError, too
            _log.debug("a viewer was dropped: %r", error)
        except Exception:  # noqa: BLE001 - it is logged, and nobody else's business
            _log.exception("a bug, met while serving a viewer")
        finally:
            writer.transport.abort()  # all that was to be sent has been

    async def _request(self, reader: asyncio.StreamReader) -> dict[str, Any] | None:
        """Return what is asked; None of somebody who is to get no word."""
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(self._limits.request_secs):
                return parse_request(await reader.readuntil(b"\n"))
        return None

    # What they get

    async def _reply(self, request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        """Answer, which `stop` gives a moment to end well; or send a stream for as long as both sides like."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - it runs in one
        self._answering.add(task)
        try:
            reply = await self._answer(request)
            if not isinstance(reply, Stream):
                await self._send(writer, render_reply(*reply))
                return
        finally:
            self._answering.discard(task)
        await self._send_stream(reply, writer)

    async def _answer(self, request: dict[str, Any]) -> Answer | Stream:
        if request.pop("v", None) != VERSION:
            return 1, f"{_who()} uses another protocol version: restart it"
        try:
            return await self._handler.answer(request)
        except Exception as error:  # noqa: BLE001 - a bug is logged, and nobody else's business
            return _refusal(error, request["type"])

    async def _send_stream(self, stream: Stream, writer: asyncio.StreamWriter) -> None:
        """Send the newest line whenever there is one, and an empty one after two seconds without."""
        try:
            broadcast, subscriber = self._subscribe(stream)
        except Exception as error:  # noqa: BLE001 - as above
            await self._send(writer, render_reply(*_refusal(error, stream.name)))
            return
        try:
            await self._send(writer, render_reply(0, ""))
            while True:
                line: bytes | None = b"\n"
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._limits.beat_secs):
                        line = await subscriber.take()
                if line is None:
                    return
                await self._send(writer, line)
        finally:
            broadcast.unsubscribe(subscriber)
            if not broadcast.is_followed:
                await self._end(stream.name, broadcast)

    def _subscribe(self, stream: Stream) -> tuple[Broadcast, Subscriber]:
        """Share the broadcast that there is; begin it where there is none, or a bug has ended it."""
        broadcast, task = self._broadcasts.get(stream.name, (None, None))
        if broadcast is not None and task is not None and not task.done():
            return broadcast, broadcast.subscribe()
        broadcast = Broadcast(stream)
        subscriber = broadcast.subscribe()
        task = asyncio.create_task(broadcast.run(), name=f"broadcast {stream.name}")
        self._broadcasts[stream.name] = broadcast, task
        return broadcast, subscriber

    async def _end(self, name: Hashable, broadcast: Broadcast) -> None:
        running, task = self._broadcasts.get(name, (None, None))
        if running is broadcast and task is not None:
            del self._broadcasts[name]
            task.cancel()
            await asyncio.wait([task])

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        """Wait until the kernel has all of it. Raises TimeoutError of a peer who does not read."""
        writer.write(data)
        async with asyncio.timeout(self._limits.drain_secs):
            await writer.drain()


def _who() -> str:
    return f"the running monitor (pid {os.getpid()}, version {__version__})"


def _refusal(error: Exception, what: object) -> Answer:
    if isinstance(error, TrackerError):
        return error.exit_code, " ".join(str(error).splitlines())
    _log.error("a bug, met while answering %r", what, exc_info=error)
    return BUG, f"a bug in {_who()}, which has logged it: {type(error).__name__}"

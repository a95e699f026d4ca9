"""The leader's side of the socket: reads one request of each who comes, answers it or streams, and stalls for nobody.

Knows no request: what one means is the handler's business. Nothing that a peer sends or leaves undone holds up
another peer, the poller or the end of the program.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from monitor import __version__
from monitor.core.errors import TrackerError
from monitor.ipc.broadcast import Broadcasts, Stream, Subscriber
from monitor.ipc.listener import BACKLOG, InheritedListener, Listener, UnixListener
from monitor.ipc.permissions import peer_uid
from monitor.ipc.protocol import BEAT_SECS, REQUEST_BYTES, VERSION, parse_request, render_reply

BUG: Final = 3

_log = logging.getLogger(__name__)


Answer = tuple[int, str]
"""An exit code, and text for standard output; or, where the code is not 0, a line for standard error."""


class Handler(Protocol):
    """What requests mean."""

    async def answer(self, plain: Mapping[str, Any]) -> Answer | Stream:
        """Answer one request, or return the stream that is asked for.

        May raise TrackerError, whose line and exit code are then the answer.
        """


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how many."""

    request_secs: float = 5.0
    drain_secs: float = 10.0
    beat_secs: float = BEAT_SECS
    keep_secs: float = 60.0
    last_answer_secs: float = 0.5
    connections: int = 512


class Server:
    """Lets viewers and commands in. The caller holds the instance's lock from before `start` until after `stop`."""

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
        self._broadcasts = Broadcasts()
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
                await self._send(writer, render_reply(1, f"{_who()} has too many viewers"))
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
        with self._last_to_go():
            reply = await self._answer(request)
            if not isinstance(reply, Subscriber):
                await self._send(writer, render_reply(*reply))
                return
        try:
            await self._send_stream(reply, writer)
        finally:
            reply.leave()

    @contextlib.contextmanager
    def _last_to_go(self) -> Iterator[None]:
        """`stop` gives what happens meanwhile a moment to end well."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - it runs in one
        self._answering.add(task)
        try:
            yield
        finally:
            self._answering.discard(task)

    async def _answer(self, request: dict[str, Any]) -> Answer | Subscriber:
        if request.pop("v", None) != VERSION:
            return 1, f"{_who()} speaks another protocol: restart it"
        try:
            answer = await self._handler.answer(request)
            return self._broadcasts.join(answer) if isinstance(answer, Stream) else answer
        except TrackerError as error:
            return error.exit_code, " ".join(str(error).splitlines())
        except Exception as error:  # noqa: BLE001 - it is logged, and nobody else's business
            _log.exception("a bug, met while answering %r", request["type"])
            return BUG, f"a bug in {_who()}, which has logged it: {type(error).__name__}"

    async def _send_stream(self, viewer: Subscriber, writer: asyncio.StreamWriter) -> None:
        """The newest line whenever there is one, and an empty one after two seconds without."""
        await self._send(writer, render_reply(0, ""))
        while True:
            line: bytes | None = b"\n"
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._limits.beat_secs):
                    line = await viewer.take()
            if line is None:
                return
            await self._send(writer, line)

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        """Until the kernel has all of it. Raises TimeoutError of a peer who does not read."""
        writer.write(data)
        async with asyncio.timeout(self._limits.drain_secs):
            await writer.drain()


def _who() -> str:
    return f"the running monitor (pid {os.getpid()}, version {__version__})"

"""The leader's side of the socket: reads one request of each peer, and answers it or sends a stream.

Requests are the handler's business. Nothing that a peer sends or fails to do holds up another peer, the poller or the
end of the program: a slow follower misses states in between, and gets the newest.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from monitor import __version__
from monitor.core.commands import Reply
from monitor.core.errors import TrackerError
from monitor.ipc.lock import inode, own_folder, touch
from monitor.ipc.protocol import (
    BEAT_SECS,
    REQUEST_BYTES,
    VERSION,
    parse_request,
    peer_uid,
    render_reply,
)

BUG: Final = 3
SPACING_SECS: Final = 0.1
BACKLOG: Final = 1024
"""Followers may come all at once, as after a change of leader; the system may allow fewer."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stream:
    """A view that changes, for one who follows it.

    `news` makes the lines that were not sent yet, nothing where all were; `changed` waits for the next change after
    its call.
    """

    news: Callable[[], bytes]
    changed: Callable[[], Awaitable[object]]


Handle = Callable[[Mapping[str, Any]], Awaitable[Reply | Stream]]
"""Answers one request, or returns the stream that is asked for.

May raise TrackerError, whose line and exit code are then the answer.
"""


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Limits of one peer, and of all of them."""

    request_secs: float = 5.0
    drain_secs: float = 10.0
    beat_secs: float = BEAT_SECS
    keep_secs: float = 60.0
    last_answer_secs: float = 0.5
    connections: int = 512


class SocketFile:
    """The file of the leader's socket, mode 0600; a dead leader may have left one, a later one may replace it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._inode: tuple[int, int] | None = None

    def open(self) -> socket.socket:
        """Return a socket that listens; its file is made beside its place, and put there in one step."""
        own_folder(os.path.dirname(self._path))
        listener, new = socket.socket(socket.AF_UNIX), f"{self._path}~"
        try:
            if inode(new) is not None:  # of a leader that died right here
                os.unlink(new)
            listener.bind(new)
            os.chmod(new, 0o600)  # before it listens, so nobody gets in earlier
            listener.listen(BACKLOG)
            os.replace(new, self._path)
        except OSError as error:
            listener.close()
            words = f"cannot open the control socket: {error.strerror or error}"
            raise TrackerError(f"{self._path}: {words}") from None
        self._inode = inode(self._path)
        return listener

    def touch(self) -> bool:
        """Return whether it is still ours; called now and then, or what clears away old files may take it."""
        return touch(self._path, self._inode)

    def remove(self) -> None:
        """Take it away, if it still is ours."""
        if self._inode is not None and inode(self._path) == self._inode:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
        self._inode = None


class Server:
    """Lets followers and commands in. The caller holds the instance's lock from before `start` until after `stop`.

    A `sock` is one that a service manager has bound, and will take away itself; it can be listened on again.
    """

    def __init__(
        self,
        handle: Handle,
        path: str,
        *,
        sock: socket.socket | None = None,
        limits: ServerLimits = ServerLimits(),
    ) -> None:
        self._handle = handle
        self._file = SocketFile(path)
        self._passed = sock
        self._limits = limits
        self._tasks: set[asyncio.Task[None]] = set()
        self._answering: set[asyncio.Task[None]] = set()
        self._strangers: set[int] = set()
        self._server: asyncio.Server | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. Raises TrackerError where that cannot be."""
        await self._listen()
        if self._passed is None:
            self._keeper = asyncio.create_task(self._keep(), name="socket keeper")

    async def stop(self) -> None:
        """Let nobody in any more and end all streams at once; an answer under way gets half a second."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        if self._server is not None:
            self._server.close()
            self._server = None
        self._file.remove()
        for task in self._tasks - self._answering:
            task.cancel()
        if self._answering:
            await asyncio.wait(self._answering, timeout=self._limits.last_answer_secs)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _listen(self) -> None:
        listener = self._file.open() if self._passed is None else self._passed.dup()
        if self._server is not None:
            self._server.close()
        # Also for a Unix socket: `start_unix_server` would remove a socket file by its own rules.
        self._server = await asyncio.start_server(
            self._let_in, sock=listener, limit=REQUEST_BYTES, backlog=BACKLOG
        )

    async def _keep(self) -> None:
        """Listen on a new socket file after somebody has cleared the folder."""
        while True:
            await asyncio.sleep(self._limits.keep_secs)
            try:
                if not self._file.touch():
                    await self._listen()
            except (TrackerError, OSError) as error:
                _log.warning("no follower can come in: %s", error)

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
        uid = peer_uid(writer.get_extra_info("socket"))
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
            async with asyncio.timeout(self._limits.request_secs):
                request = parse_request(await reader.readuntil(b"\n"))
            if request is not None:
                await self._reply(request, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            _log.debug("a follower was dropped: %r", error)  # for a TimeoutError, too
        except Exception:  # noqa: BLE001 - it is logged, and nobody else's business
            _log.exception("a bug, met while serving a follower")
        finally:
            writer.transport.abort()  # all that was to be sent has been

    # What they get

    async def _reply(self, request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        """Answer, which `stop` gives a moment to end; or send a stream for as long as both sides like."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - it runs in one
        self._answering.add(task)
        try:
            try:
                if request.pop("v", None) == VERSION:
                    reply = await self._handle(request)
                else:
                    reply = Reply(1, f"{_who()} uses another protocol version: restart it")
            except Exception as error:  # noqa: BLE001 - a bug is logged, and nobody else's business
                reply = _refusal(error, request["type"])
            if not isinstance(reply, Stream):
                await self._send(writer, render_reply(*reply))
                return
        finally:
            self._answering.discard(task)
        await self._send_stream(request["type"], reply, writer)

    async def _send_stream(self, name: str, stream: Stream, writer: asyncio.StreamWriter) -> None:
        """Send what is new, ten times a second at most, and an empty line after two seconds without."""
        try:
            lines = render_reply(0, "") + stream.news()
        except Exception as error:  # noqa: BLE001 - as above
            await self._send(writer, render_reply(*_refusal(error, name)))
            return
        clock = asyncio.get_running_loop().time
        while True:
            await self._send(writer, lines)
            lines, beat_at = b"", clock() + self._limits.beat_secs
            try:
                async with asyncio.timeout_at(beat_at):
                    while not lines:
                        # At the same instants for all, so that the same lines are new to most of them.
                        await asyncio.sleep(SPACING_SECS - clock() % SPACING_SECS)
                        lines = stream.news()
                        if not lines:  # and a change may bring none
                            await stream.changed()
                            lines = stream.news()
            except TimeoutError:
                lines = stream.news() or b"\n"

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        """Wait until the kernel has all of it. Raises TimeoutError of a peer who does not read."""
        writer.write(data)
        async with asyncio.timeout(self._limits.drain_secs):
            await writer.drain()


def _who() -> str:
    return f"the running monitor (pid {os.getpid()}, version {__version__})"


def _refusal(error: Exception, request: str) -> Reply:
    if isinstance(error, TrackerError):
        return Reply(error.exit_code, " ".join(str(error).splitlines()))
    _log.error("a bug, met while answering %r", request, exc_info=error)
    return Reply(BUG, f"a bug in {_who()}, which has logged it: {type(error).__name__}")

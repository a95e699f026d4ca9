"""What a process does that does not poll: it mirrors the owner's state, and hands orders to it."""

import _socket
import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, Self, TypeVar

from monitor.core.errors import TrackerError
from monitor.core.model import Secret
from monitor.ipc.client import ask
from monitor.ipc.connect import dial
from monitor.ipc.protocol import SILENT_SECS, parse_code, refusal, render_request
from monitor.system.threads import Daemon

LINE_BYTES: Final = 32 * 1024 * 1024
"""More than any state takes; what is longer is none."""

CONTROL_SECS: Final = 60.0
"""For an order that has the owner ask the keyring or the API; its own limits end first."""

S = TypeVar("S")
Dialled = tuple[_socket.socket, str] | None


class LeaderGone(Exception):  # noqa: N818 - it is no error, but the turn of another process
    """The owner has ended; or it is `silent`: it lives and is stopped, or does not get round to us."""

    def __init__(self, *, silent: bool = False) -> None:
        super().__init__("the owner is silent" if silent else "the owner is gone")
        self.silent = silent


class StateMirror(Generic[S]):
    """The owner's newest state, as `parse` makes it of its document; made by `of`.

    With a `change` it is sent what has changed alone, of which that makes the next state.
    """

    def __init__(self, lines: "_Lines", change: Callable[[Any, S], S], state: S) -> None:
        self._lines = lines
        self._change = change
        self._state = state
        self._changed = asyncio.Event()

    @classmethod
    async def of(
        cls,
        path: str,
        parse: Callable[[Any], S],
        silent_secs: float = SILENT_SECS,
        *,
        change: Callable[[Any, S], S] | None = None,
    ) -> Self | None:
        """A mirror that has a state already; None where nobody listens.

        Raises LeaderGone where nothing comes, TrackerError where the owner refuses, or is not to be trusted.
        """
        lines = await _watched(path, silent_secs, changes=change is not None)
        if lines is None:
            return None
        try:
            state = _parsed(parse, await lines.next())
            return cls(lines, change or (lambda document, _: parse(document)), state)
        except BaseException:
            lines.close()
            raise

    @property
    def state(self) -> S:
        return self._state

    async def changed(self) -> S:
        """The state after the next change."""
        await self._changed.wait()
        return self._state

    async def follow(self) -> None:
        """Mirror every change until the owner has gone, which is raised as LeaderGone."""
        try:
            while True:
                line = await self._lines.next()
                self._state = _parsed(lambda document: self._change(document, self._state), line)
                self._changed.set()
                self._changed = asyncio.Event()
        finally:
            self.close()

    def close(self) -> None:
        """Watch no more; the state stays."""
        self._lines.close()


class RemoteCommands:
    """What keys can have done, carried out by the owner; each answers with its line, or raises TrackerError."""

    def __init__(self, path: str, limit_secs: float = CONTROL_SECS) -> None:
        self._path = path
        self._limit_secs = limit_secs

    async def refresh(self, account: str | None) -> str:
        return await self._done({"ask": "refresh", "account": account})

    async def mute(self) -> str:
        return await self._done({"ask": "mute"})

    async def import_logins(self) -> str:
        return await self._done({"ask": "import", "sources": "all", "brief": True})

    async def import_from(self, where: str) -> str:
        """Import `all` logins that are found, that of the `default` place or of a folder; a line for each place."""
        return await self._done({"ask": "import", "sources": where})

    async def reload(self) -> str:
        return await self._done({"ask": "reload"})

    async def add(self, name: str, session_key: Secret, org_id: str) -> str:
        key = session_key.reveal()
        return await self._done({"ask": "add", "name": name, "session_key": key, "org_id": org_id})

    async def edit(
        self,
        name: str,
        new_name: str,
        session_key: Secret | None,
        org_id: str,
        label: str | None = None,
    ) -> str:
        return await self._done(
            {
                "ask": "edit",
                "name": name,
                "new_name": new_name,
                "session_key": session_key.reveal() if session_key else None,
                "org_id": org_id,
                "label": label,
            }
        )

    async def remove(self, name: str) -> str:
        return await self._done({"ask": "remove", "name": name})

    async def use(self, name: str) -> str:
        return await self._done({"ask": "use", "name": name})

    async def _done(self, request: Mapping[str, Any]) -> str:
        reply = await Daemon(lambda: ask(self._path, request, self._limit_secs)).future
        if reply is None:
            raise TrackerError("no monitor polls at this moment: try again in a second")
        code, text = reply
        if code:
            raise refusal(code, text)
        return text.decode(errors="replace").strip()


class _Lines:
    """The lines of a stream, less its heart-beat."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, silent_secs: float
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._beat_secs = silent_secs / 3

    async def ask(self, request: Mapping[str, Any]) -> None:
        """Ask for the stream. Raises TrackerError where it is refused, LeaderGone where nothing comes."""
        self._writer.write(render_request(request))
        if code := parse_code((await self._line()).rstrip(b"\n")):
            raise refusal(code, await self._rest())

    async def next(self) -> bytes:
        """The next line. Raises LeaderGone."""
        while not (line := await self._line()).strip():
            pass
        return line

    def close(self) -> None:
        self._writer.transport.abort()

    async def _rest(self) -> bytes:
        with contextlib.suppress(OSError):
            async with asyncio.timeout(self._beat_secs):
                return await self._reader.read()
        return b""

    async def _line(self) -> bytes:
        """The next line. The owner is silent when three waits bring nothing: one may be our own being stopped."""
        for _ in range(3):
            try:
                async with asyncio.timeout(self._beat_secs):
                    return await self._reader.readuntil(b"\n")
            except TimeoutError:
                continue
            except (asyncio.IncompleteReadError, OSError):
                raise LeaderGone from None
            except asyncio.LimitOverrunError:
                raise TrackerError("what answers is no running monitor") from None
        raise LeaderGone(silent=True)


async def _watched(path: str, silent_secs: float, *, changes: bool) -> _Lines | None:
    """A stream of states that has been granted."""
    try:
        dialled = await _dialled(path, time.monotonic() + silent_secs)
    except TimeoutError:
        raise LeaderGone(silent=True) from None
    if dialled is None:
        return None
    connection, token = dialled
    lines = _Lines(*await _streams(connection.detach()), silent_secs)
    try:
        request = {"ask": "watch", "changes": changes}
        await lines.ask({**request, "token": token} if token else request)
    except BaseException:
        lines.close()
        raise
    return lines


async def _dialled(path: str, deadline: float) -> Dialled:
    """As `dial`. A call that is given up may still be answered: the connection is then closed."""
    call = Daemon(lambda: dial(path, deadline))
    try:
        return await asyncio.shield(call.future)
    except asyncio.CancelledError:
        call.future.add_done_callback(_hang_up)
        raise


def _hang_up(answered: "asyncio.Future[Dialled]") -> None:
    if answered.exception() is None and (dialled := answered.result()):
        connection, _ = dialled
        connection.close()


async def _streams(descriptor: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    connection = socket.socket(fileno=descriptor)
    return await asyncio.open_connection(sock=connection, limit=LINE_BYTES)


def _parsed(parse: Callable[[Any], S], line: bytes) -> S:
    try:
        return parse(json.loads(line))
    except (ValueError, LookupError, TypeError):
        raise TrackerError(
            "the running monitor is of another version, whose state cannot be read: restart it"
        ) from None

"""A handler of a few requests, a server in front of it, and rough peers that speak raw bytes."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from monitor.core.commands import Reply
from monitor.core.errors import SettingsError, TrackerError
from monitor.core.state import State
from monitor.ipc.mirror import encode_delta
from monitor.ipc.protocol import render_lines
from monitor.ipc.server import Server, ServerLimits, Stream


class FakeHandler:
    """Shows one number, as wide as one likes; counts how often it was asked to render it."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, Any]] = []
        self.renderings = 0
        self.padding = ""
        self.broken = False
        self._number = 0
        self._changed = asyncio.Event()

    def show(self, number: int) -> None:
        self._number = number
        self._changed.set()
        self._changed = asyncio.Event()

    async def answer(self, request: Mapping[str, Any]) -> Reply | Stream:
        self.asked.append(request)
        match request["type"]:
            case "watch":
                return self._stream(self._document)
            case "WatchState":
                return self._stream(self._state)
            case "refused stream":
                raise SettingsError("no such field: {nmae}")
            case "echo":
                return Reply(0, f"{request.get('text')}\n")
            case "guard":
                return Reply(4, "")
            case "slow":
                await asyncio.sleep(request["secs"])
                return Reply(0, "late\n")
            case "large":
                return Reply(0, "x" * 3_000_000)
            case "fail":
                raise TrackerError("the keyring is locked:\nunlock it")
            case "bug":
                raise RuntimeError("sk-ant-oat01-secret")
        raise SettingsError(f"unknown: {request['type']}")

    def _stream(self, render: Callable[[], str]) -> Stream:
        sent = ""

        def news() -> bytes:
            nonlocal sent
            before, sent = sent, render()
            return b"" if sent == before else render_lines(sent)

        return Stream(news, lambda: self._changed.wait())

    def _state(self) -> str:
        self.renderings += 1
        return encode_delta(None, State(active=self._number, storage_failure=self.padding or None))

    def _document(self) -> str:
        self.renderings += 1
        if self.broken:
            raise RuntimeError("no more")
        return json.dumps({"number": self._number, "padding": self.padding})


@asynccontextmanager
async def serving(
    path: Path,
    handler: FakeHandler | None = None,
    *,
    limits: ServerLimits | None = None,
    sock: socket.socket | None = None,
) -> AsyncIterator[FakeHandler]:
    handler = handler or FakeHandler()
    server = Server(handler.answer, str(path), limits=limits or ServerLimits(), sock=sock)
    await server.start()
    try:
        yield handler
    finally:
        await server.stop()


async def said(path: Path, data: bytes, limit: float = 5) -> bytes:
    """All that comes back to these bytes, until the other side ends."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        writer.write(data)
        async with asyncio.timeout(limit):
            return await everything(reader)
    finally:
        writer.transport.abort()


async def everything(reader: asyncio.StreamReader) -> bytes:
    """Until the end; a peer that ends with something unread of ours counts as ended."""
    data = b""
    try:
        while piece := await reader.read(65536):
            data += piece
    except ConnectionError:
        pass
    return data


def line(type_: str, **arguments: object) -> bytes:
    return json.dumps({"v": 3, "type": type_, **arguments}).encode() + b"\n"

"""A desk with a few verbs, a server in front of it, and rough peers that speak raw bytes."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from monitor.core.errors import SettingsError, TrackerError
from monitor.ipc.broadcast import Stream
from monitor.ipc.listener import Listener
from monitor.ipc.server import Limits, Server


class FakeDesk:
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

    def stream(self, request: Mapping[str, Any]) -> Stream | None:
        if request["ask"] == "watch":
            return Stream("watch", self._document, lambda: self._changed.wait())
        if request["ask"] == "refused stream":
            raise SettingsError("no such field: {nmae}")
        return None

    async def answer(self, request: Mapping[str, Any]) -> tuple[int, str]:
        self.asked.append(request)
        match request["ask"]:
            case "echo":
                return 0, f"{request.get('text')}\n"
            case "guard":
                return 4, ""
            case "slow":
                await asyncio.sleep(request["secs"])
                return 0, "late\n"
            case "large":
                return 0, "x" * 3_000_000
            case "fail":
                raise TrackerError("the keyring is locked:\nunlock it")
            case "bug":
                raise RuntimeError("sk-ant-oat01-secret")
        raise SettingsError(f"unknown: {request['ask']}")

    def _document(self) -> str:
        self.renderings += 1
        if self.broken:
            raise RuntimeError("no more")
        return json.dumps({"number": self._number, "padding": self.padding})


@asynccontextmanager
async def serving(
    path: Path,
    desk: FakeDesk | None = None,
    *,
    limits: Limits | None = None,
    sock: socket.socket | None = None,
    way_in: Listener | None = None,
) -> AsyncIterator[FakeDesk]:
    desk = desk or FakeDesk()
    server = Server(desk, str(path), limits=limits or Limits(), sock=sock, way_in=way_in)
    await server.start()
    try:
        yield desk
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


def line(ask: str, **arguments: object) -> bytes:
    return json.dumps({"v": 1, "ask": ask, **arguments}).encode() + b"\n"

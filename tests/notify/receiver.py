"""A real HTTP server on loopback that keeps what it receives and answers as it is told to, failures included."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any, Final

from aiohttp import web

from monitor.core.alerts.rules import Alert, Urgency
from monitor.core.alerts.text import Message, format_alerts

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def delivery(
    *alerts: Alert, urgency: Urgency = Urgency.NORMAL
) -> tuple[Message, tuple[Alert, ...]]:
    """The arguments with which a channel is to send these alerts."""
    return format_alerts(alerts, urgency, UTC), alerts


def status(code: int, **headers: str) -> Answer:
    """An answer with this status; `Retry_After` stands for `Retry-After`."""

    async def answer(_: web.Request) -> web.Response:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=code, headers=names)

    return answer


async def hang(_: web.Request) -> web.Response:
    """The request is taken, and nothing is said to it."""
    await asyncio.Event().wait()
    raise AssertionError


async def reset(request: web.Request) -> web.Response:
    """The request is taken, and the connection dies."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def garbage(request: web.Request) -> web.Response:
    """What comes back is not HTTP."""
    assert request.transport is not None
    request.transport.write(b"220 mail.example.com ESMTP\r\n\r\n")
    request.transport.close()
    return web.Response()


OK: Final = status(200)


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Receiver:
    """`url` is that of the server's root, without a trailing slash."""

    url: str = ""
    requests: list[Received] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self) -> None:
        """Until the first request is there."""
        async with asyncio.timeout(15):
            await self.arrived.wait()


@asynccontextmanager
async def receiver(*answers: Answer, port: int = 0) -> AsyncIterator[Receiver]:
    """A server that gives these answers one after the other, and 200 from then on."""
    left = list(answers)
    it = Receiver()

    async def answered(request: web.Request) -> web.StreamResponse:
        it.requests.append(Received(request.path_qs, request.headers, await request.read()))
        it.arrived.set()
        answer = left.pop(0) if left else OK
        return await answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answered)
    runner: Any = web.AppRunner(
        app, access_log=None, shutdown_timeout=0.01, handler_cancellation=True
    )
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    it.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield it
    finally:
        await runner.cleanup()

"""Whether the API can be reached, on real sockets: every obstacle is told from the others."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import pytest

from monitor.api.reach import Reached, reach
from monitor.system.web import Obstacle

AGENT = "claude-code/2.1.0 (claude-tracker/0)"
DATE = datetime(2026, 11, 22, 12, 0, 7, tzinfo=UTC)
HEAD = b"HTTP/1.1 404 Not Found\r\nDate: Sun, 22 Nov 2026 12:00:07 GMT\r\n"


@asynccontextmanager
async def serving(answer: bytes | None, seen: list[bytes] | None = None) -> AsyncIterator[str]:
    """A host that answers with these bytes and ends; None says nothing at all."""

    served: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.current_task())
        request = await reader.read(4096)
        if seen is not None:
            seen.append(request)
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
            await writer.drain()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.gather(*filter(None, served))


async def outcome(answer: bytes | None, limit: float = 3) -> Reached | Obstacle:
    async with serving(answer) as url:
        return await reach(url, limit, AGENT)


async def test_any_answer_will_do_and_brings_the_server_s_time() -> None:
    assert await outcome(HEAD + b"Content-Length: 0\r\n\r\n") == Reached(404, DATE, False)


async def test_nothing_is_sent_that_could_be_a_token() -> None:
    seen: list[bytes] = []
    async with serving(HEAD + b"Content-Length: 0\r\n\r\n", seen) as url:
        await reach(url, 3, AGENT)
    (request,) = seen
    assert request.startswith(b"GET /api/hello HTTP/1.1\r\n") and AGENT.encode() in request
    assert b"authorization" not in request.lower() and b"cookie" not in request.lower()


@pytest.mark.parametrize(
    "answer, expected",
    [
        (b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n", Reached(503, None, False)),
        (b"HTTP/1.1 200 x\r\nDate: soon\r\nContent-Length: 0\r\n\r\n", Reached(200, None, False)),
        (
            b"HTTP/1.1 403 x\r\ncf-mitigated: challenge\r\nContent-Length: 0\r\n\r\n",
            Reached(403, None, True),
        ),
        (
            b"HTTP/1.1 403 x\r\nContent-Length: 21\r\n\r\n<h1>Just a moment</h1>"[:-1],
            Reached(403, None, True),
        ),
        (
            b"HTTP/1.1 200 x\r\nContent-Type: Text/HTML; charset=x\r\nContent-Length: 2\r\n\r\nhi",
            Reached(200, None, False, is_page=True),
        ),
        (
            b"HTTP/1.1 200 x\r\nContent-Length: 17\r\n\r\n\n<!DOCTYPE html>\n",
            Reached(200, None, False, is_page=True),
        ),
        (
            b'HTTP/1.1 200 x\r\nContent-Length: 19\r\n\r\n{"message":"hello"}',
            Reached(200, None, False),
        ),
        (b"SSH-2.0-OpenSSH\r\n", Obstacle.NOT_HTTP),
        (b"", Obstacle.CUT),
    ],
)
async def test_what_an_answer_means(answer: bytes, expected: Reached | Obstacle) -> None:
    assert await outcome(answer) == expected


async def test_a_redirection_is_not_followed() -> None:
    async with serving(HEAD) as other:
        moved = f"HTTP/1.1 302 x\r\nLocation: {other}/x\r\nContent-Length: 0\r\n\r\n".encode()
        assert await outcome(moved) == Reached(302, None, False)


async def test_a_silent_host_is_a_timeout() -> None:
    assert await outcome(None, limit=0.2) is Obstacle.TIMEOUT


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_port_on_which_nobody_listens_is_refused(host: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    assert await reach(f"http://{host}:{port}", 3, AGENT) is Obstacle.REFUSED


async def test_a_name_that_is_not_found_is_told() -> None:
    assert await reach("https://no-such-host.invalid", 3, AGENT) is Obstacle.DNS


async def test_plain_http_where_tls_is_expected_is_told() -> None:
    async with serving(HEAD + b"\r\n") as url:
        assert await reach(url.replace("http:", "https:"), 3, AGENT) is Obstacle.TLS


async def test_a_proxy_that_does_not_let_us_through_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n") as proxy:
        monkeypatch.setenv("https_proxy", proxy)
        monkeypatch.delenv("no_proxy", raising=False)
        assert await reach("https://api.example.com", 3, AGENT) is Obstacle.PROXY
    assert await reach("https://api.example.com", 3, AGENT) is Obstacle.PROXY

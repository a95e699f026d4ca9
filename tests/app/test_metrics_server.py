"""`/metrics` on real ports: taken and had later, moved, left alone, and given up."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientError, ClientSession

from exporters.web_config import SiteConfig
from monitor.app.leader import METRICS_RETRY_SECS, MetricsServer
from monitor.core.errors import TrackerError
from tests.app.factories import until
from tests.builders import live, state
from tests.end_to_end.world import free_port
from tests.fakes import FakeClock

OFF = None


def at(port: int) -> SiteConfig:
    return SiteConfig("127.0.0.1", port)


@asynccontextmanager
async def exporting() -> AsyncIterator[MetricsServer]:
    shown = state(live("a@example.com"))
    found = MetricsServer(lambda: shown, FakeClock(), retry_secs=0.05)
    task = asyncio.create_task(found.run())
    try:
        yield found
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def status(url: str) -> int:
    async with ClientSession() as client, client.get(url) as answer:
        return answer.status


async def test_a_port_that_is_taken_is_said_and_had_as_soon_as_it_is_free() -> None:
    assert METRICS_RETRY_SECS <= 5
    async with exporting() as found:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            found.move_to(at(port))
            await until(lambda: found.failure)
            assert f"127.0.0.1:{port}" in found.failure
            assert "in use" in found.failure
            assert not found.url
        await until(lambda: found.url)
        assert not found.failure
        assert await status(found.url) == 200


async def test_an_address_is_checked_before_the_old_one_is_given_up() -> None:
    async with exporting() as found:
        found.move_to(at(port := free_port()))
        await until(lambda: found.url)
        taken = pytest.raises(TrackerError, match="in use")
        with socket.create_server(("127.0.0.1", 0)) as other, taken:
            await found.check(at(other.getsockname()[1]))
        for good in (at(port), at(free_port()), OFF, SiteConfig("0.0.0.0", port)):  # noqa: S104
            await found.check(good)
        assert await status(found.url) == 200


@pytest.mark.parametrize(("host", "warns"), [("127.0.0.1", False), ("0.0.0.0", True)])  # noqa: S104
async def test_it_is_said_where_other_machines_may_read(
    host: str, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with exporting() as found:
        found.move_to(SiteConfig(host, allow_plain=True))
        await until(lambda: found.url)
        port = found.url.split(":")[2].removesuffix("/metrics")
    told = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    words = f"other machines may read the metrics too: they are on 0.0.0.0:{port}"
    assert told == ([words] if warns else [])


async def test_it_is_complained_of_once(caplog: pytest.LogCaptureFixture) -> None:
    async with exporting() as found:
        with socket.create_server(("127.0.0.1", 0)) as other:
            found.move_to(at(other.getsockname()[1]))
            await asyncio.sleep(0.2)
    assert len([r for r in caplog.records if r.levelname == "WARNING"]) == 1


async def test_a_taken_port_is_given_up_for_another_one() -> None:
    async with exporting() as found:
        with socket.create_server(("127.0.0.1", 0)) as other:
            found.move_to(at(other.getsockname()[1]))
            await until(lambda: found.failure)
            port = free_port()
            found.move_to(at(port))
            await until(lambda: found.url)
            assert found.url == f"http://127.0.0.1:{port}/metrics"


async def test_the_same_address_is_not_bound_anew_and_drops_no_connection() -> None:
    port = free_port()
    async with exporting() as found:
        found.move_to(at(port))
        await until(lambda: found.url)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(f"GET /-/healthy HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            assert b"200 OK" in await reader.readuntil(b"Healthy.\n")
            found.move_to(at(port))
            await asyncio.sleep(0.02)
        writer.transport.abort()


async def test_it_is_served_nowhere_once_that_is_wanted() -> None:
    async with exporting() as found:
        found.move_to(at(free_port()))
        await until(lambda: found.url)
        old = found.url
        found.move_to(OFF)
        await until(lambda: not found.url)
        with pytest.raises(ClientError):
            await status(old)
        assert not found.failure


async def test_the_end_frees_the_port() -> None:
    port = free_port()
    async with exporting() as found:
        found.move_to(at(port))
        await until(lambda: found.url)
    with socket.create_server(("127.0.0.1", port)):
        pass


async def test_two_moves_at_once_end_at_the_second() -> None:
    async with exporting() as found:
        first, second = free_port(), free_port()
        found.move_to(at(first))
        found.move_to(at(second))
        await until(lambda: found.url)
        assert str(second) in found.url

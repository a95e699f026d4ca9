"""The limits of the port, over real connections: half-sent, unread, too many, and with few descriptors."""

import asyncio
import gc
import resource
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession

from exporters.connections import HEAD_SECS, MAX_REQUESTS, READ_SECS, open_sockets
from exporters.server import Site
from exporters.web_config import SiteConfig
from monitor.core.state import State
from tests.builders import NOW, live, state
from tests.exporters.factories import rich_state
from tests.real.tls import self_signed

SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"


def large_state(accounts: int = 1000) -> State:
    return state(*(live(f"user{number}@example.com") for number in range(accounts)))


@asynccontextmanager
async def served(shown: State, config: SiteConfig = SiteConfig()) -> AsyncIterator[Site]:  # noqa: B008 - frozen
    async with Site(lambda: shown, lambda: NOW, config) as site:
        yield site


@asynccontextmanager
async def clients(port: int, count: int, sent: bytes) -> AsyncIterator[list[socket.socket]]:
    """Connections on which this was sent and nothing is read; of each only a little fits into the kernel."""
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            one = stack.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.setblocking(False)
            await loop.sock_connect(one, ("127.0.0.1", port))
            one.sendall(sent)
            found.append(one)
        yield found


async def scrape_seconds(port: int) -> float:
    begun = time.monotonic()
    async with (
        ClientSession() as client,
        client.get(f"http://127.0.0.1:{port}/metrics") as answer,
    ):
        body = await answer.read()
    assert answer.status == 200
    assert b"claude_usage_up{" in body
    return time.monotonic() - begun


async def status(port: int) -> int:
    async with (
        ClientSession() as client,
        client.get(f"http://127.0.0.1:{port}/-/healthy") as answer,
    ):
        return answer.status


def resident_mb() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


async def until_closed(one: socket.socket, seconds: float) -> None:
    """Read until the other side has ended the connection."""
    async with asyncio.timeout(seconds):
        try:
            while await asyncio.get_running_loop().sock_recv(one, 65536):
                pass
        except ConnectionResetError:
            return


async def test_half_sent_and_unread_connections_do_not_hold_up_a_scrape() -> None:
    async with served(rich_state(NOW)) as site:
        await scrape_seconds(site.port)
        before = resident_mb()
        async with (
            clients(site.port, 200, SCRAPE[:9]),
            clients(site.port, 200, SCRAPE),
        ):
            assert min([await scrape_seconds(site.port) for _ in range(3)]) < 0.5
            assert resident_mb() < before + 30


async def test_readers_that_do_not_read_give_their_place_to_others() -> None:
    async with served(large_state(300)) as site, clients(site.port, MAX_REQUESTS + 5, SCRAPE):
        begun = time.monotonic()
        while await status(site.port) == 503:  # until the others have not read for long enough
            assert time.monotonic() - begun < READ_SECS / 2
        assert await status(site.port) == 200


async def test_who_does_not_end_a_request_or_read_the_answer_is_let_go() -> None:
    async with (
        served(large_state()) as site,
        clients(site.port, 1, b"G") as half,
        clients(site.port, 1, SCRAPE) as unread,
    ):
        kept, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await kept.readuntil(b"Healthy.\n")
        begun = time.monotonic()
        await until_closed(half[0], HEAD_SECS + 5)
        assert time.monotonic() - begun > HEAD_SECS - 2
        async with asyncio.timeout(READ_SECS + 5):
            while not unread[0].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert time.monotonic() - begun > READ_SECS - 2
        writer.write(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert await kept.readuntil(b"Healthy.\n")
        writer.write(b"GET /-/hea")
        await kept.read()
        writer.close()


FEW_DESCRIPTORS = """
import asyncio, logging, resource, select, sys
from pathlib import Path
sys.path[:0] = {path!r}
logging.basicConfig(stream=sys.stderr, format="%(message)s")
from exporters.connections import open_sockets
from exporters.server import Site
from exporters.web_config import SiteConfig
from tests.builders import NOW, live, state

async def main():
    shown = state(live("a@example.com"))
    web_config = Path({web_config!r}) if {web_config!r} else None
    [sock] = open_sockets("127.0.0.1", 0)
    async with Site(lambda: shown, lambda: NOW, SiteConfig(web_config=web_config), sock) as site:
        flood = await asyncio.create_subprocess_exec(
            sys.executable, "-c", FLOOD, str(site.port), stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.PIPE
        )
        resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, {limit}))
        flood.stdin.write(b"go\\n")
        assert await flood.stdout.readline() == b"connected\\n"
        while select.select([sock], [], [], 0)[0]:  # all have been accepted, and most ended
            await asyncio.sleep(0.05)
        with open("/dev/null"), open("/dev/null"):
            pass
        again = await asyncio.create_subprocess_exec(sys.executable, "-c", SCRAPE, site.metrics_url)
        assert await again.wait() == 0
        flood.stdin.write_eof()
        await flood.wait()

FLOOD = '''
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
sys.stdin.readline()
kept = []
for _ in range({flood}):
    one = socket.socket()
    kept.append(one)
    one.connect(("127.0.0.1", int(sys.argv[1])))  # waits where the backlog is full
for one in kept:
    try:
        one.send(b"G")
    except OSError:
        pass
print("connected", flush=True)
sys.stdin.read()
'''
SCRAPE = '''
import ssl, sys, urllib.request
tls = ssl._create_unverified_context()
with urllib.request.urlopen(sys.argv[1], timeout=20, context=tls) as answer:
    assert b"claude_usage_up" in answer.read()
'''
asyncio.run(main())
"""


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(("limit", "flood"), [(24, 300), (64, 300), (1024, 3000)])
def test_descriptors_are_kept_back_for_the_rest_of_the_program(
    limit: int, flood: int, tls: bool, tmp_path: Path
) -> None:
    path = ""
    if tls:
        made = self_signed(tmp_path)
        path = str(tmp_path / "web.yml")
        Path(path).write_text(
            f"tls_server_config: {{cert_file: {made.cert}, key_file: {made.key}}}\n"
        )
    script = FEW_DESCRIPTORS.format(path=sys.path, limit=limit, flood=flood, web_config=path)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) <= 2, done.stderr


@pytest.mark.parametrize("host", ["", "::"])
async def test_listening_everywhere_is_on_both_families(host: str) -> None:
    async with served(state(live("a")), SiteConfig(host)) as site:
        for address in ("127.0.0.1", "::1"):
            reader, writer = await asyncio.open_connection(address, site.port)
            writer.write(b"GET /-/healthy HTTP/1.0\r\nHost: localhost\r\n\r\n")
            assert (await reader.readline()).endswith(b"200 OK\r\n")
            writer.close()


def test_a_name_is_listened_on_at_all_its_addresses_with_one_port() -> None:
    sockets = open_sockets("localhost", 0)
    try:
        assert len({one.getsockname()[1] for one in sockets}) == 1
    finally:
        for one in sockets:
            one.close()

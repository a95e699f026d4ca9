import asyncio
import gzip
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest
from aiohttp import ClientResponse, ClientSession, DummyCookieJar
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from exporters.connections import cannot_listen
from exporters.headers import OPENMETRICS, TEXT
from exporters.server import LONG_PAGE, Site, SlowCollector
from exporters.web_config import SiteConfig
from monitor.core.errors import Reason, TrackerError
from monitor.core.state import State
from tests.builders import NOW, failing, live, state, waiting, window
from tests.exporters.factories import render, rich_state

PATHS = ("/", "/metrics", "/-/healthy", "/-/ready")


def site_of(shown: State, host: str = "127.0.0.1", port: int = 0) -> Site:
    return Site(lambda: shown, lambda: NOW, SiteConfig(host, port))


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with site_of(rich_state(NOW)) as running:
        yield running


@pytest.fixture
async def client(site: Site) -> AsyncIterator[ClientSession]:
    async with ClientSession(
        site.url, auto_decompress=False, cookie_jar=DummyCookieJar()
    ) as opened:
        yield opened


async def answer(
    client: ClientSession, path: str, method: str = "GET", **headers: str
) -> tuple[ClientResponse, bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.request(method, path, headers=named) as response:
        return response, await response.read()


async def test_metrics_are_plain_text_for_whoever_asks_for_nothing(client: ClientSession) -> None:
    response, body = await answer(client, "/metrics", Accept_Encoding="identity")
    assert response.status == 200
    assert response.headers["Content-Type"] == TEXT
    assert response.headers["Vary"] == "Accept, Accept-Encoding"
    assert "Content-Encoding" not in response.headers
    assert b"claude_usage_up{" in body
    assert not body.endswith(b"# EOF\n")


async def test_metrics_are_openmetrics_in_gzip_for_prometheus(client: ClientSession) -> None:
    accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3"
    response, body = await answer(client, "/metrics", Accept=accept, Accept_Encoding="gzip")
    assert response.headers["Content-Type"] == OPENMETRICS
    assert response.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body).endswith(b"# EOF\n")


async def test_a_long_page_is_the_same_in_pieces_and_compressed() -> None:
    many = state(*[live(f"user{n}", window("5h", 42), window("7d", 18)) for n in range(300)])
    async with (
        Site(lambda: many, lambda: NOW, SiteConfig()) as site,
        ClientSession(site.url, auto_decompress=False) as client,
    ):
        asked = {"Accept": "text/plain", "Accept_Encoding": "identity"}
        plain, body = await answer(client, "/metrics", **asked)
        _, zipped = await answer(client, "/metrics", Accept="text/plain", Accept_Encoding="gzip")
        assert len(body) > LONG_PAGE
        assert plain.headers["Content-Length"] == str(len(body))
        ours = [
            [
                line
                for line in page.splitlines()
                if line.startswith(b"claude_usage_") and b"_lag_" not in line
            ]
            for page in (body, gzip.decompress(zipped), render(many, NOW, "text/plain")[0])
        ]
        assert ours[0] == ours[1] == ours[2]
        headers = {"Accept": "text/plain", "Accept-Encoding": "identity"}
        async with client.head("/metrics", headers=headers) as response:
            assert int(response.headers["Content-Length"]) > LONG_PAGE
        again, _ = await answer(client, "/metrics", **asked)
        assert again.status == 200


async def test_deflate_is_never_chosen(client: ClientSession) -> None:
    response, _ = await answer(client, "/metrics", Accept_Encoding="deflate, gzip")
    assert response.headers["Content-Encoding"] == "gzip"
    response, _ = await answer(client, "/metrics", Accept_Encoding="deflate")
    assert "Content-Encoding" not in response.headers


async def test_an_unreadable_version_is_answered_in_plain_text(client: ClientSession) -> None:
    response, _ = await answer(
        client, "/metrics", Accept="application/openmetrics-text;version=abc"
    )
    assert (response.status, response.headers["Content-Type"]) == (200, TEXT)


def test_the_figures_of_the_process_are_looked_at_once_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    looks: list[float] = []

    class Looked(Collector):
        def collect(self) -> Iterator[Metric]:
            looks.append(clock[0])
            yield GaugeMetricFamily("looks", "", value=len(looks))

    figures = SlowCollector(Looked())
    for clock[0] in (100.0, 100.9, 101.0, 101.5):
        assert [s.value for f in figures.collect() for s in f.samples] == [len(looks)]
    assert looks == [100.0, 101.0]


async def test_a_scrape_sees_the_state_of_its_own_moment() -> None:
    shown = [state()]
    async with (
        Site(lambda: shown[0], lambda: NOW, SiteConfig()) as site,
        ClientSession(site.url) as client,
    ):
        _, before = await answer(client, "/metrics")
        shown[0] = state(live("new@example.com"))
        _, after = await answer(client, "/metrics")
    assert b"new@example.com" not in before
    assert b"new@example.com" in after


@pytest.mark.parametrize("starts", [True, False])
async def test_a_socket_that_was_passed_is_closed_in_the_end(starts: bool) -> None:
    sock = socket.create_server(("127.0.0.1", 0))
    site = Site(state, lambda: NOW, SiteConfig(), sock)
    if starts:
        await site.start()
    await site.stop()
    assert sock.fileno() == -1


@pytest.mark.parametrize("path", PATHS)
async def test_head_says_what_get_would(client: ClientSession, path: str) -> None:
    got, body = await answer(client, path, Accept_Encoding="identity")
    head, nothing = await answer(client, path, "HEAD", Accept_Encoding="identity")
    assert head.status == got.status
    assert nothing == b""
    assert head.headers["Content-Type"] == got.headers["Content-Type"]
    if path != "/metrics":  # the process's own figures move between the two
        assert int(head.headers["Content-Length"]) == len(body)


@pytest.mark.parametrize("path", [*PATHS, "/nowhere"])
async def test_every_answer_is_hardened(client: ClientSession, path: str) -> None:
    response, _ = await answer(client, path)
    assert response.headers["Server"] == "claude-tracker"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none';")
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", [*PATHS, "/nowhere"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example:15707"}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
    ],
)
async def test_strangers_learn_nothing(
    client: ClientSession, path: str, headers: dict[str, str], status: int
) -> None:
    response, body = await answer(client, path, **headers)
    assert response.status == status
    assert b"claude_usage" not in body
    assert b"user@" not in body
    assert response.headers["Server"] == "claude-tracker"


async def test_a_request_without_a_host_is_refused(site: Site) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
    assert (await reader.readline()).split()[1] == b"421"
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_nothing_can_be_changed(client: ClientSession, method: str) -> None:
    response, _ = await answer(client, "/metrics", method)
    assert response.status == 405


async def test_a_path_that_is_not_there_is_not_found(client: ClientSession) -> None:
    response, _ = await answer(client, "/page/style.css")
    assert response.status == 404


async def test_requests_are_not_logged(
    client: ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await answer(client, "/metrics")
    await answer(client, "/nowhere")
    assert caplog.records == []


@pytest.mark.parametrize(
    "wrong", [b"", b"Host: a\r\nHost: b\r\n", b"Host: a\r\nContent-Length: x\r\n"]
)
async def test_requests_that_are_none_are_answered_and_not_logged(
    site: Site, caplog: pytest.LogCaptureFixture, wrong: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"GET /metrics HTTP/1.1\r\n" + wrong + b"\r\n")
    assert b" 400 " in await reader.readline()
    writer.close()
    assert caplog.records == []


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /metrics HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /%zz%00?\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 500 + b"\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: h\xf6st\xff\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: \x1b[31m\r\n\r\n",
        b"\0" * 4096,
    ],
)
async def test_garbage_leaves_no_line_in_the_log_and_the_site_as_it_was(
    site: Site, client: ClientSession, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(sent)
    writer.write_eof()
    with suppress(ConnectionError):
        async with asyncio.timeout(10):
            await reader.read()
    writer.transport.abort()
    assert (await answer(client, "/-/healthy"))[0].status == 200
    assert [record for record in caplog.records if record.levelname != "DEBUG"] == []


async def test_a_client_that_leaves_in_the_middle_leaves_no_line_in_the_log(
    site: Site, client: ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    for path in ("/metrics", "/", "/events") * 5:
        writer = await connection(site.port, b"")
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 3)
        await writer.drain()
        writer.transport.abort()
    for _ in range(20):
        assert (await answer(client, "/-/healthy"))[0].status == 200
    await asyncio.sleep(1.2)  # until what follows the page has looked once more
    assert caplog.records == []


async def test_a_bug_of_ours_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def state_now() -> State:
        raise ZeroDivisionError

    broken = Site(state_now, lambda: NOW, SiteConfig())
    async with broken, ClientSession(broken.url) as asking:
        response, _ = await answer(asking, "/metrics")
    assert response.status == 500
    assert [type(record.exc_info[1]) for record in caplog.records if record.exc_info] == [
        ZeroDivisionError
    ]


@pytest.mark.parametrize(
    ("shown", "status"),
    [
        (state(), 200),
        (state(live("a"), waiting("b")), 503),
        (state(live("a"), failing(waiting("b"), Reason.AUTH)), 200),
        (state(live("a"), waiting("b"), looked_around=True), 200),
    ],
)
async def test_it_is_ready_once_a_poll_of_every_account_has_ended(
    shown: State, status: int
) -> None:
    async with site_of(shown) as site, ClientSession(site.url) as client:
        ready, _ = await answer(client, "/-/ready")
        healthy, _ = await answer(client, "/-/healthy")
    assert (ready.status, healthy.status) == (status, 200)


async def test_a_port_in_use_is_named_with_the_setting(site: Site) -> None:
    second = site_of(state(), port=site.port)
    with pytest.raises(TrackerError) as failure:
        await second.start()
    assert str(failure.value) == (
        f"cannot serve metrics on 127.0.0.1:{site.port}: the port is in use by another program;"
        " set exporter.listen in the settings, or pass --listen HOST:PORT|off"
    )


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [
        ("192.0.2.1", 15707, "192.0.2.1:15707: this machine has no such address;"),
        ("2001:db8::1", 15707, "[2001:db8::1]:15707: this machine has no such address;"),
        ("two..dots", 15707, "two..dots:15707: this is no address that can be listened on;"),
        ("127.0.0.1", 99999, "127.0.0.1:99999: this is no address that can be listened on;"),
    ],
)
async def test_an_address_that_cannot_be_had_is_one_line(host: str, port: int, words: str) -> None:
    with pytest.raises(TrackerError, match=re.escape(words)) as failure:
        await site_of(state(), host, port).start()
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(13, "Permission denied"), "permission denied"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "the name is not known"),
        (OSError("could not bind on any address out of [...]"), "no such address"),
        (OSError(999, "?"), "no address that can be listened on"),
    ],
)
def test_every_refusal_of_the_system_is_put_into_words(error: OSError, words: str) -> None:
    assert words in cannot_listen("127.0.0.1:80", error)


async def test_after_a_failed_start_it_can_be_stopped(site: Site) -> None:
    second = site_of(state(), port=site.port)
    with pytest.raises(TrackerError):
        await second.start()
    await second.stop()
    assert second.port == site.port


async def test_it_stops_at_once_whoever_is_connected() -> None:
    site = site_of(rich_state(NOW))
    await site.start()
    requests = (
        b"",  # says nothing
        b"GET /metr",  # never ends its first line
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",  # keeps the connection
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nhalf",
    )
    writers = [await connection(site.port, request) for request in requests]
    begun = time.monotonic()
    await site.stop()
    assert time.monotonic() - begun < 1
    for writer in writers:
        writer.close()
        await writer.wait_closed()


async def test_the_port_is_free_after_the_stop(site: Site) -> None:
    port = site.port
    await site.stop()
    async with site_of(state(), port=port) as second:
        assert second.port == port


async def test_listening_everywhere_answers_to_any_address() -> None:
    everywhere = "0.0.0.0"  # noqa: S104 - for the time of the test
    async with site_of(state(), host=everywhere) as site, ClientSession() as client:
        url = f"http://127.0.0.1:{site.port}/-/healthy"
        by_address, _ = await answer(client, url, Host="192.0.2.7:15707")
        by_name, _ = await answer(client, url, Host="evil.example")
        assert site.url == f"http://localhost:{site.port}/"
    assert (by_address.status, by_name.status) == (200, 421)


async def connection(port: int, request: bytes) -> asyncio.StreamWriter:
    """An open connection on which this was sent, and the beginning of the answer (if any) read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await writer.drain()
    if request.count(b"\r\n\r\n"):
        await reader.readline()
    return writer

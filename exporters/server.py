"""The site on `exporter.listen`: metrics, two probes, and the status page. It reads the state, and changes nothing."""

import asyncio
import logging
import socket
import time
from asyncio import to_thread
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Final, Self

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler
from prometheus_client import ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from exporters.connections import MAX_REQUESTS, Listener, cannot_listen, open_sockets
from exporters.headers import (
    accepts_gzip,
    address,
    host_check_for,
    is_name,
    listens_everywhere,
    parse_host,
    setting,
)
from exporters.page import SECURITY_POLICY, render_page, render_status
from exporters.prometheus import Exposition
from exporters.web_config import InThread, SiteConfig, WebConfigFile
from monitor.core.errors import TrackerError
from monitor.core.state import State

HEADERS: Final = {
    "Server": "claude-tracker",
    "Cache-Control": "no-store",
    "Content-Security-Policy": SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

SHUTDOWN_SECONDS: Final = 0.1
"""The longest that an unfinished request delays the stop; 0 would mean no limit."""

KEEP_ALIVE_SECONDS: Final = 310.0
"""Longer than the 5 minutes after which Prometheus closes an idle connection itself."""

EVENT_SECONDS: Final = 1.0
MOST_FOLLOWERS: Final = 10
"""The most status pages that are kept up to date; each takes the place of one request."""

STEP_SECONDS: Final = 0.001
LONG_PAGE: Final = 64 * 1024
"""In bytes: a longer page is sent in pieces."""

MOST_REFUSED: Final = 20
"""The most refused names that are kept, since a client can make up any number of them."""


def _is_worth_logging(record: logging.LogRecord) -> bool:
    """Return False for malformed requests and broken connections, with which any client could fill the log."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | ConnectionError)


_log = logging.getLogger(__name__)
_log.addFilter(_is_worth_logging)


class LoopLag(Collector):
    """Measures the longest delay of the event loop within the last minute."""

    EVERY: Final = 0.25
    COUNT: Final = 240

    def __init__(self) -> None:
        self.seen = deque([0.0], maxlen=self.COUNT)

    async def measure(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + self.EVERY
            await asyncio.sleep(self.EVERY)
            self.seen.append(loop.time() - due)

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "claude_usage_event_loop_lag_seconds",
            "The longest time within the last minute that something due had to wait for the program, in seconds.",
            value=max(self.seen),
            unit="seconds",
        )


class SlowCollector(Collector):
    """The metrics of another collector, which is asked at most once a second: reading /proc takes long."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._found: list[Metric] = []
        self._at = 0.0

    def collect(self) -> Iterator[Metric]:
        now = time.monotonic()
        if not self._found or now - self._at >= 1:
            self._found, self._at = list(self._collector.collect()), now
        yield from self._found


class Site:
    """Serves views of `state()` at `now()`. Use it as an async context, or start and stop it.

    With a `sock` that listens already, that is its address; `stop` closes it. Disk and name lookups run `in_thread`.
    """

    def __init__(
        self,
        state: Callable[[], State],
        now: Callable[[], datetime],
        config: SiteConfig,
        sock: socket.socket | None = None,
        in_thread: InThread = to_thread,
    ) -> None:
        if sock is not None:
            host, port = sock.getsockname()[:2]
            config = replace(config, host=host, port=port)
        self._state = state
        self._now = now
        self._in_thread = in_thread
        self.config = config
        self._sock = sock
        self.port = config.port
        """The port; after `start`, the one that the system chose where it was 0."""
        self._host_check = host_check_for(config.host, socket.gethostname(), config.hosts)
        self._exposition = Exposition()
        self._writing = asyncio.Lock()
        self._lag = LoopLag()
        self._process = SlowCollector(ProcessCollector(registry=None))
        self._followers = 0
        self._runner: web.AppRunner | None = None
        self._listener: Listener | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._web = WebConfigFile(config.web_config, in_thread)
        self.refused_hosts: tuple[str, ...] = ()
        """The first names in `Host` that were refused."""

    async def start(self) -> None:
        """Start to serve. Raises a TrackerError that names the address or file where that is not possible."""
        host, port = self.config.host, self.config.port
        await self._web.load()
        try:
            opening = partial(open_sockets, host, port)
            sockets = [self._sock] if self._sock else await self._in_thread(opening)
        except (OSError, OverflowError, UnicodeError) as error:
            raise TrackerError(cannot_listen(address(host, port), error)) from error
        self.port = int(sockets[0].getsockname()[1])
        self._runner = web.AppRunner(
            self._application(),
            access_log=None,
            logger=_log,
            shutdown_timeout=SHUTDOWN_SECONDS,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            lingering_time=1.0,
        )
        await self._runner.setup()
        assert self._runner.server is not None  # noqa: S101 - it is set up
        self._listener = Listener(sockets, self._runner.server, lambda: self._web.current.tls)
        self._tasks = [
            asyncio.create_task(self._listener.run()),
            asyncio.create_task(self._web.follow()),
            asyncio.create_task(self._lag.measure()),
        ]

    async def wait_closed(self) -> None:
        """Wait until it is stopped. Raises the exception of a bug that has ended it."""
        await asyncio.gather(*self._tasks)

    async def stop(self) -> None:
        """Close the port and every connection at once, and the passed socket, even where it was not started."""
        runner, self._runner = self._runner, None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._listener is not None:
            self._listener.close()
        if runner is not None:
            await runner.cleanup()
        if self._sock is not None:
            self._sock.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """Return the URL of the status page for a browser on this machine."""
        host = "localhost" if listens_everywhere(self.config.host) else self.config.host
        scheme = "https" if self._web.current.tls else "http"
        return f"{scheme}://{address(host, self.port)}/"

    @property
    def metrics_url(self) -> str:
        """Return the URL of the metrics for a client on this machine."""
        return f"{self.url.rstrip('/')}{self.config.metrics_path}"

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._answer])
        application.on_response_prepare.append(self._harden)
        application.router.add_get("/", self._page)
        application.router.add_get("/events", self._events, allow_head=False)
        application.router.add_get(self.config.metrics_path, self._metrics)
        application.router.add_get("/-/healthy", self._healthy)
        application.router.add_get("/-/ready", self._ready)
        return application

    async def _harden(self, _request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(HEADERS | self._web.current.headers)

    @web.middleware
    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse what may not be answered, and requests beyond the limit; a request counts until its answer is read."""
        assert self._listener is not None  # noqa: S101 - it brought the request
        with self._listener.answering(request.transport) as has_room:
            refusal = self._host_check.refusal(request.headers)
            if refusal is not None:
                response: web.StreamResponse = self._refuse(refusal, request.host)
            elif not has_room:
                response = web.Response(status=503, text=f"More than {MAX_REQUESTS} requests.\n")
            else:
                response = await self._deny(request) or await handler(request)
            await response.prepare(request)
            await response.write_eof()
            return response

    async def _deny(self, request: web.Request) -> web.Response | None:
        """Return the refusal of a client without the certificate or password that web.yml demands, else None."""
        certificate = request.get_extra_info("peercert")
        if not self._web.current.knows_client(certificate):
            return web.Response(
                status=403, text="Forbidden: this certificate has no allowed name.\n"
            )
        if not self._web.current.users:
            return None
        allowed = await self._web.allows(request.headers.get("Authorization", ""))
        if allowed:
            return None
        if allowed is None:
            return web.Response(status=429, text="Too many logins at once.\n")
        challenge = {"WWW-Authenticate": "Basic"}
        return web.Response(status=401, text="Unauthorized\n", headers=challenge)

    def _refuse(self, refusal: HTTPStatus, host: str) -> web.Response:
        text = f"{refusal.phrase}: open {self.url} itself.\n"
        name = parse_host(host)
        if refusal is HTTPStatus.MISDIRECTED_REQUEST and is_name(name):
            allowed = setting(*self.config.hosts, name)
            advice = f'"{name}" is not a name of this site; to allow it, set {allowed}'
            text += f"{advice}\n"
            if name not in self.refused_hosts and len(self.refused_hosts) < MOST_REFUSED:
                self.refused_hosts += (name,)
                _log.warning("refused a request: %s", advice)
        return web.Response(status=refusal, text=text)

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        async with self._writing:  # a scrape at the same time uses what this one has rendered
            state, now = self._state(), self._now()
            for _ in self._exposition.steps(state, now):
                # Other tasks run once a millisecond, however many accounts there are.
                if loop.time() - begun > STEP_SECONDS:
                    await asyncio.sleep(0)
                    begun = loop.time()
            accept = request.headers.get("Accept", "")
            page = self._exposition.page(now, accept, [self._lag, self._process])
        headers = {"Content-Type": page.content_type, "Vary": "Accept, Accept-Encoding"}
        if accepts_gzip(request.headers.get("Accept-Encoding", "")):
            headers["Content-Encoding"] = "gzip"
            body = page.gzip() if page.compresses_quickly else await to_thread(page.gzip)
            return web.Response(body=body, headers=headers)
        if page.size <= LONG_PAGE or request.method == "HEAD":
            return web.Response(body=page.body(), headers=headers)
        response = web.StreamResponse(headers=headers)
        response.content_length = page.size
        await response.prepare(request)
        for piece in page.pieces():
            await response.write(piece)
        return response

    async def _page(self, request: web.Request) -> web.Response:
        secure = self._web.current.tls is not None
        path, host = self.config.metrics_path, request.host
        page = await to_thread(render_page, self._state(), self._now(), host, path, secure=secure)
        return web.Response(text=page, content_type="text/html")

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Send the part of the page that changes, now and after each change, as server-sent events."""
        if self._followers >= MOST_FOLLOWERS:
            return web.Response(status=503, text="Too many pages are open.\n")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        self._followers += 1
        sent = ""
        try:
            while request.transport is not None and not request.transport.is_closing():
                begun = time.monotonic()
                status = await to_thread(render_status, self._state(), self._now())
                took = time.monotonic() - begun
                if status != sent:
                    lines = "".join([f"data: {line}\n" for line in status.split("\n")])
                    await response.write(f"{lines}\n".encode())
                    sent = status
                await asyncio.sleep(max(EVENT_SECONDS, 20 * took))  # many accounts: less often
        finally:
            self._followers -= 1
        return response

    async def _healthy(self, _request: web.Request) -> web.Response:
        return web.Response(text="Healthy.\n")

    async def _ready(self, _request: web.Request) -> web.Response:
        """Answer 200 once a poll of every account has ended, failed ones included, and 503 before.

        Where the API may not be asked, it is ready once Claude Code's own files have been read.
        """
        state = self._state()
        accounts = state.accounts.values()
        waiting = any(one.down is None and one.last_success_at is None for one in accounts)
        if waiting and not state.looked_around:
            text = "Not ready: a first poll has not ended yet.\n"
            return web.Response(status=503, text=text)
        return web.Response(text="Ready.\n")

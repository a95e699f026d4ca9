"""The site on `exporter.listen`: metrics, two probes and the landing page. It reads the state; it causes nothing."""

import errno
import gzip
import logging
import socket
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Self

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler
from prometheus_client import ProcessCollector

from exporters.host_check import guard_for, listens_everywhere
from exporters.negotiation import accepts_gzip
from exporters.page import STYLE_HASH, render_page
from exporters.prometheus import render
from monitor.core.errors import TrackerError
from monitor.core.model import Unpolled
from monitor.core.state import State

HEADERS: Final = {
    "Server": "claude-tracker",
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

SHUTDOWN_SECONDS: Final = 0.1
"""How long a request that still arrives may hold up the stop. Answers take no time; and 0 would mean no limit."""


def _is_ours(record: logging.LogRecord) -> bool:
    """Not what is wrong with a request: anybody on the machine could fill the log with that. It is answered by 400."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)


_log = logging.getLogger(__name__)
_log.addFilter(_is_ours)


class Site:
    """Serves views of `state()` at `now()` on one address. Use it as an async context, or start and stop it.

    A `sock` that listens already is served on instead, and closed in the end; its address is then the site's.
    """

    def __init__(
        self,
        state: Callable[[], State],
        now: Callable[[], datetime],
        host: str,
        port: int,
        sock: socket.socket | None = None,
    ) -> None:
        if sock is not None:
            host, port = sock.getsockname()[:2]
        self._state = state
        self._now = now
        self._host = host
        self._port = port
        self._sock = sock
        self._guard = guard_for(host, socket.gethostname())
        self._process = ProcessCollector(registry=None)
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen. Raises a `TrackerError` that names the address where that is not possible."""
        runner = web.AppRunner(
            self._application(),
            access_log=None,
            logger=_log,
            shutdown_timeout=SHUTDOWN_SECONDS,
        )
        await runner.setup()
        try:
            await self._listener(runner).start()
        except (OSError, OverflowError, UnicodeError) as error:
            await runner.cleanup()
            raise TrackerError(cannot_listen(address(self._host, self._port), error)) from error
        self._runner = runner

    async def stop(self) -> None:
        """Close the port and every connection, at once; and the socket that was passed, also one never served on."""
        runner, self._runner = self._runner, None
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
    def port(self) -> int:
        """The port that is listened on: the system's choice where 0 was asked for."""
        bound: list[Any] = self._runner.addresses if self._runner else []
        return int(bound[0][1]) if bound else self._port

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the landing page."""
        host = "localhost" if listens_everywhere(self._host) else self._host
        return f"http://{address(host, self.port)}/"

    def _listener(self, runner: web.AppRunner) -> web.BaseSite:
        if self._sock is not None:
            return web.SockSite(runner, self._sock)
        return web.TCPSite(runner, self._host, self._port)

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._refuse_strangers])
        application.on_response_prepare.append(_harden)
        application.router.add_get("/", self._page)
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/-/healthy", self._healthy)
        application.router.add_get("/-/ready", self._ready)
        return application

    @web.middleware
    async def _refuse_strangers(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = self._guard.refusal(request.headers)
        if refusal is not None:
            return web.Response(status=refusal, text=f"{refusal.phrase}: open {self.url} itself.\n")
        return await handler(request)

    async def _metrics(self, request: web.Request) -> web.Response:
        accept = request.headers.get("Accept", "")
        body, content_type = render(self._state(), self._now(), accept, [self._process])
        headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
        if accepts_gzip(request.headers.get("Accept-Encoding", "")):
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body, compresslevel=1, mtime=0)
        return web.Response(body=body, headers=headers)

    async def _page(self, request: web.Request) -> web.Response:
        page = render_page(self._state(), self._now(), request.host)
        return web.Response(text=page, content_type="text/html")

    async def _healthy(self, _request: web.Request) -> web.Response:
        return web.Response(text="Healthy.\n")

    async def _ready(self, _request: web.Request) -> web.Response:
        if is_ready(self._state()):
            return web.Response(text="Ready.\n")
        return web.Response(status=503, text="Not ready: a first poll has not ended yet.\n")


async def _harden(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def is_ready(state: State) -> bool:
    """Whether a poll of every account has ended, be it well or badly; so it is where there are no accounts.

    Where nobody is polled, it is ready once it has looked for figures, which may be for nobody to find.
    """
    return state.looked_around or not any(
        isinstance(account.health, Unpolled) for account in state.accounts.values()
    )


def address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def cannot_listen(where: str, error: Exception) -> str:
    """One line for the user: what is wrong, where, and what to do."""
    what = _WORDS.get(error.errno) if isinstance(error, OSError) else None
    what = what or "this is no address that can be listened on"
    return (
        f"cannot serve metrics on {where}: {what};"
        " set exporter.listen in the settings, or pass --listen HOST:PORT|off"
    )


_WORDS: Final[dict[int | None, str]] = {
    errno.EADDRINUSE: "the port is in use by another program",
    errno.EACCES: "permission denied (ports below 1024 are privileged)",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    None: "this machine has no such address",  # newer Pythons raise it without a number
    socket.EAI_NONAME: "the name is not known",
}

"""The process that polls: it answers followers, serves `/metrics`, and reads its settings again when told to."""

import asyncio
import json
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit, setrlimit
from typing import Any, Final

from exporters.headers import address, is_loopback
from exporters.server import Site
from exporters.web_config import SiteConfig, refuse_plain
from monitor import __version__
from monitor.app.app import App
from monitor.app.execute import execute
from monitor.app.queries import answer_query, render_watched
from monitor.app.wiring import CliOptions, RunConfig, build
from monitor.core.commands import (
    Command,
    EditAccount,
    Guard,
    Next,
    Reload,
    Reply,
    Run,
    Status,
    WatchState,
    Who,
    decode_request,
)
from monitor.core.errors import SettingsError, TrackerError
from monitor.core.events import ReloadFailed
from monitor.core.state import State
from monitor.ipc.mirror import Deltas
from monitor.ipc.protocol import render_lines
from monitor.ipc.server import Server, Stream
from monitor.settings import Settings
from monitor.system.aio import Daemon, DaemonThreads, Observable, wait_for_either
from monitor.system.clock import Clock
from monitor.system.sd_notify import Notices, PassedSockets

SETTINGS_SECS: Final = 5.0
"""Limit of reading the settings: their disk may hang."""

METRICS_RETRY_SECS: Final = 5.0
"""Between two tries to serve metrics on an address that cannot be had."""

FILES: Final = 4096
"""The number of open files to allow, of which each follower is one."""

_settings_disk: Final = DaemonThreads(SETTINGS_SECS)

_log = logging.getLogger(__name__)


async def read_config(options: CliOptions, *, must_exist: bool = False) -> RunConfig:
    """Read the settings off the loop. Raises SettingsError, also where that takes too long."""
    try:
        return await _settings_disk.run(lambda: RunConfig.read(options, must_exist=must_exist))
    except TimeoutError:
        words = f"{options.config} cannot be read: its disk does not answer"
        raise SettingsError(words) from None


class Leader:
    """Polls for as long as `run` does; the caller holds the lock. The `config` is the newest that is valid."""

    def __init__(
        self,
        options: CliOptions,
        config: RunConfig,
        view: Observable[State],
        socket_path: str,
        *,
        passed: PassedSockets | None = None,
        notices: Notices | None = None,
    ) -> None:
        self._options = options
        self.config = config
        self._view = view
        self._passed = passed or PassedSockets()
        self._notices = notices or Notices(None)
        self._app: App | None = None
        self._opened = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._executed = 0
        self.metrics = MetricsServer(lambda: view.state, options.clock)
        self._deltas = Deltas()
        self._rendered_for: tuple[State | None, datetime | None] = None, None
        self._rendered: dict[Status, bytes] = {}
        self._server = Server(self.answer, socket_path, sock=self._passed.control)

    async def app(self) -> App:
        """Return the app, as soon as it runs."""
        await self._opened.wait()
        assert self._app is not None  # noqa: S101 - `_opened` says so
        return self._app

    async def execute(self, command: Command) -> str:
        """Execute a command; its answer is for the user. Raises TrackerError."""
        if isinstance(command, Reload):
            return await self.reload()
        try:
            answer = await execute(await self.app(), command)
        finally:
            self._executed += 1
        if isinstance(command, EditAccount):  # the rules know it by its name, and may be others
            await self.reload()
        return answer

    async def answer(self, plain: Mapping[str, Any]) -> Reply | Stream:
        """Answer one request; everybody who may open the socket is the user.

        Raises TrackerError: a SettingsError where it cannot be understood.
        """
        try:
            request = decode_request(plain)
        except ValueError as error:
            raise SettingsError(
                f"the running monitor does not know this request: {error}"
            ) from None
        match request:
            case Status(watch=True):
                return self._lines(request)
            case Status() | Next() | Guard() | Run():
                return answer_query(self._view.state, self._options.clock.now(), request)
            case WatchState():
                return self._states()
            case Who():
                who = {
                    "pid": os.getpid(),
                    "version": __version__,
                    "metrics": self.metrics.url or None,
                    "refused_hosts": list(self.metrics.refused_hosts),
                }
                return Reply(0, json.dumps(who))
            case command:
                return Reply(0, f"{await self.execute(command)}\n")

    def _states(self) -> Stream:
        """Send the whole state first, then what has changed: a poll of one account is sent without all the others."""
        sent: State | None = None

        def news() -> bytes:
            nonlocal sent
            before, sent = sent, self._view.state
            return self._deltas.lines(before, sent)

        return Stream(news, self._view.wait_for_change)

    def _lines(self, request: Status) -> Stream:
        """Send lines anew every second, for their countdowns; documents at each change of the state."""
        self._render(request)  # a wrong name is refused
        is_document = request.form == "json"
        shown: State | datetime | None = None
        sent = b""

        def news() -> bytes:
            nonlocal shown, sent
            state, now = self._view.state, self._options.clock.now()
            before, shown = shown, state if is_document else now.replace(microsecond=0)
            if shown == before:
                return b""
            try:
                lines = self._render(request)
            except SettingsError:  # the account has been removed, or has another name now
                lines = b""
            said, sent = sent, lines
            return b"" if lines == said else lines

        return Stream(news, self._view.wait_for_change if is_document else self._next_second)

    def _render(self, request: Status) -> bytes:
        """Render the lines of this second, once for all who follow the same. Raises SettingsError."""
        state, now = self._view.state, self._options.clock.now()
        second, (shown, of) = now.replace(microsecond=0), self._rendered_for
        if state is not shown or second != of:
            self._rendered_for, self._rendered = (state, second), {}
        if request not in self._rendered:
            self._rendered[request] = render_lines(render_watched(state, now, request))
        return self._rendered[request]

    async def _next_second(self) -> None:
        await self._options.clock.sleep(1 - self._options.clock.now().microsecond / 1_000_000)

    async def run(self, main: Callable[[], Awaitable[None]]) -> None:
        """Poll until `main` returns. Raises what that raises, and what a bug of our own does."""
        config, options = self.config, self._options
        alerts, clock = options.notify, options.clock
        async with (
            self._serve(),
            build(config.settings, alerts=alerts, stays=True, clock=clock) as self._app,
        ):
            with self._app.store.show_in(self._view):
                self._announce(config)
                self._opened.set()
                self._notices.ready()
                await self._app.run(main, config.channels)

    async def reload(self) -> str:
        """Read the settings again. Raises TrackerError where they are wrong, and then all goes on as before."""
        app = await self.app()
        self._notices.reloading()
        try:
            async with self._reloading:
                try:
                    before, config = self.config, await self._read_and_check()
                except TrackerError:
                    app.store.dispatch(ReloadFailed(app.clock.now()))
                    raise
                self.config = config
                await app.reload(config.settings, config.hosts)
                if not config.sends_like(before):
                    app.send_by(config.channels)
                self._announce(config)
        finally:
            self._notices.ready()
        words = _words(config.settings)
        _log.info("settings reloaded: %s", words)
        return f"settings reloaded: {words}"

    async def _read_and_check(self) -> RunConfig:
        """Read and check the settings, again where a command may have written them meanwhile."""
        while True:
            executed, config = self._executed, await read_config(self._options, must_exist=True)
            await self.metrics.check(config.site)
            if executed == self._executed:
                return config

    def _announce(self, config: RunConfig) -> None:
        """Serve metrics where these settings want them, and log their warnings."""
        sock = self._passed.metrics[0] if self._passed.metrics else None
        self.metrics.move_to(config.site, sock)
        for warning in config.settings.warnings:
            _log.warning("%s", warning)
        self._notices.status(f"polls {_words(config.settings)}")

    @asynccontextmanager
    async def _serve(self) -> AsyncIterator[None]:
        """Serve followers and `/metrics` for the time of the block, as far as that can be."""
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(self.metrics.run(), name="metrics")
            with suppress(OSError, ValueError):  # some systems begin with 256
                soft, hard = getrlimit(RLIMIT_NOFILE)
                wanted = FILES if hard == RLIM_INFINITY else min(FILES, hard)
                if soft != RLIM_INFINITY and soft < wanted:
                    setrlimit(RLIMIT_NOFILE, (wanted, hard))
            try:
                try:
                    await self._server.start()
                except TrackerError as error:  # which is no reason not to poll
                    _log.warning("other processes cannot attach: %s", error)
                yield
            finally:
                serving.cancel()
                await self._server.stop()


def _words(settings: Settings) -> str:
    return f"{len(settings.accounts)} accounts, every {settings.poll_interval_secs} s"


class MetricsServer:
    """Keeps `/metrics` served: where its address cannot be had now, that is logged, and tried again until it can.

    One site at a time. `url` is where it is now, `failure` why it is not; both empty where none is wanted.
    """

    def __init__(
        self, state: Callable[[], State], clock: Clock, retry_secs: float = METRICS_RETRY_SECS
    ) -> None:
        self._retry_secs = retry_secs
        self._state = state
        self._clock = clock
        self._config: SiteConfig | None = None
        self._passed: socket.socket | None = None
        self._moved = asyncio.Event()
        self._site: Site | None = None
        self.url = ""
        self.failure = ""

    @property
    def refused_hosts(self) -> tuple[str, ...]:
        """Return the names that were asked for and are not allowed by the settings."""
        return self._site.refused_hosts if self._site else ()

    def move_to(self, config: SiteConfig | None, passed: socket.socket | None = None) -> None:
        """Serve by this configuration from now on; on the socket that the service manager has `passed`, if any."""
        if config != self._config:
            self._config, self._passed = config, passed
            self._moved.set()

    async def check(self, config: SiteConfig | None) -> None:
        """Raise TrackerError where that is another address than now, and cannot be listened on.

        Another host with our own present port cannot be tried before that is given up.
        """
        mine = self._config and self._config.port
        if config is None or self._passed or config.port == mine:
            return
        site = self._site_of(config)
        await site.start()
        await site.stop()

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            await self._moved.wait()
            self._moved.clear()
            self.url = self.failure = ""
            if self._config is None:
                continue
            # The site closes its socket with itself; the one that was passed is for later sites, too.
            sock = self._passed.dup() if self._passed else None
            site = self._site = self._site_of(self._config, sock)
            try:
                if await self._start(site):
                    await self._until_moved(site)
            finally:
                self._site = None
                await site.stop()

    def _site_of(self, config: SiteConfig, sock: socket.socket | None = None) -> Site:
        return Site(self._state, self._clock.now, config, sock, lambda work: Daemon(work).future)

    async def _until_moved(self, site: Site) -> None:
        """Wait until another site is wanted. Raises where a bug has ended this one."""
        moved = asyncio.ensure_future(self._moved.wait())
        try:
            await wait_for_either(moved, site.wait_closed())
        finally:
            moved.cancel()
            await asyncio.wait((moved,))

    async def _start(self, site: Site) -> bool:
        """Try until the site is up, or another one is wanted; return whether it is up."""
        while not self._moved.is_set():
            try:
                refuse_plain(site.config)  # a socket that was passed may be anywhere
                await site.start()
            except TrackerError as error:
                if str(error) != self.failure:
                    _log.warning("%s; tried again until it works", error)
                self.failure = str(error)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._moved.wait(), self._retry_secs)
            else:
                self.url, self.failure = site.metrics_url, ""
                _log.info("metrics on %s", self.url)
                config = site.config
                if config.web_config is None and not is_loopback(config.host):
                    where = address(config.host, site.port)  # which the URL for here does not show
                    _log.warning("other machines may read the metrics too: they are on %s", where)
                return True
        return False

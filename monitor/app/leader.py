"""The process that polls: it answers viewers, serves `/metrics`, and reads the settings anew when told to."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from monitor import __version__
from monitor.app.app import App
from monitor.app.execute import execute
from monitor.app.handlers import RequestHandler
from monitor.app.metrics_server import MetricsServer
from monitor.app.run_config import CliOptions, RunConfig
from monitor.app.wiring import build
from monitor.core.commands import Command, Reload
from monitor.core.errors import SettingsError, TrackerError
from monitor.core.state import State
from monitor.ipc.mirror import StateView
from monitor.ipc.server import Server
from monitor.settings import Settings
from monitor.system.aio import any_of, first
from monitor.system.rlimits import allow_many_files
from monitor.system.sd_notify import Notices, Passed

_log = logging.getLogger(__name__)


class Leader:
    """One term of office, over one program after another. The caller holds the lock.

    The `plan` is the newest that is valid; without one, it is made of the terms, which raises SettingsError.
    """

    def __init__(
        self,
        terms: CliOptions,
        outlook: StateView,
        socket_path: str,
        *,
        plan: RunConfig | None = None,
        passed: Passed | None = None,
        notices: Notices | None = None,
    ) -> None:
        self._terms = terms
        self.plan = plan or RunConfig.of(terms)
        self._outlook = outlook
        self._passed = passed or Passed()
        self._notices = notices or Notices(None)
        self._anew = asyncio.Event()
        self._opened = asyncio.Event()
        self._app: App | None = None
        self._orders = 0
        self._unhurried = asyncio.Event()
        self._unhurried.set()
        clock = terms.clock
        self.exporting = MetricsServer(lambda: outlook.state, clock)
        handler = RequestHandler(self.execute, self.who, outlook, clock)
        self._server = Server(handler, socket_path, sock=self._passed.control)

    @asynccontextmanager
    async def current_app(self) -> AsyncIterator[App]:
        """The program over the newest settings, as soon as it is there; it stays for the time of the block."""
        while not self._opened.is_set():
            await self._opened.wait()
        assert self._app is not None  # noqa: S101 - `_opened` says so
        self._orders += 1
        self._unhurried.clear()
        try:
            yield self._app
        finally:
            self._orders -= 1
            if not self._orders:
                self._unhurried.set()

    def who(self) -> Mapping[str, Any]:
        """What this process is, for others."""
        return {"pid": os.getpid(), "version": __version__, "metrics": self.exporting.url or None}

    async def execute(self, command: Command) -> str:
        """Execute a command on the newest program; its answer is for the user. Raises TrackerError."""
        if isinstance(command, Reload):
            return await self.reload()
        async with self.current_app() as app:
            return await execute(app, command)

    async def reload(self) -> str:
        """Read the settings anew, whole or not at all. Raises TrackerError, and then all goes on as before."""
        self._notices.reloading()
        try:
            plan = RunConfig.of(self._terms)
            await self.exporting.check(plan.address)
        except TrackerError:
            self._notices.ready()  # as before
            raise
        self.plan = plan
        self._anew.set()
        words = _words(self.plan.settings)
        _log.info("settings read anew: %s", words)
        return f"settings read anew: {words}"

    async def run(self, front: Awaitable[None]) -> None:
        """Hold office until `front` ends. Raises what that raises, and what a bug of our own does."""
        ended = asyncio.ensure_future(front)
        async with self._public():
            carried: State | None = None
            while not ended.done():
                carried = await self._generation(ended, carried)
        ended.result()

    @asynccontextmanager
    async def _public(self) -> AsyncIterator[None]:
        """For the time of the block, viewers come in and `/metrics` is served, as far as that can be."""
        async with asyncio.TaskGroup() as group:
            exporting = group.create_task(self.exporting.run(), name="exporting")
            try:
                await self._let_in()
                yield
            finally:
                exporting.cancel()
                await self._server.stop()

    async def _let_in(self) -> None:
        """Without a socket there are no viewers, which is no reason not to poll."""
        allow_many_files()
        try:
            await self._server.start()
        except TrackerError as error:
            _log.warning("nobody can watch: %s", error)

    async def _generation(self, ended: asyncio.Future[None], carried: State | None) -> State:
        """From one reading of the settings to the next."""
        self._anew.clear()
        plan = self.plan
        sock = self._passed.metrics[0] if self._passed.metrics else None
        self.exporting.move_to(plan.address, sock)
        for warning in plan.settings.warnings:
            _log.warning("%s", warning)
        self._notices.status(f"polls {_words(plan.settings)}")
        async with build(
            plan.settings,
            alerts=self._terms.notify,
            stays=True,
            carried=carried,
            clock=self._terms.clock,
        ) as app:
            async with self._outlook.follow(app.store):
                self._app = app
                self._opened.set()
                self._notices.ready()
                limit = plan.settings.api.timeout_secs
                await app.run(lambda: first(ended, self._until_reload(app, limit)), plan.telling)
            self._opened.clear()
            return app.state()

    async def _until_reload(self, app: App, limit_secs: float) -> None:
        """Until the settings have been read anew, or a ledger can be used that could not; and until what was begun
        has ended: polls and orders.

        The answer to a request that was counted is worth waiting for: the next one comes an interval later.
        """
        await any_of(self._anew.wait(), app.ledger_is_back())
        await app.poller.rest(limit_secs)
        while self._orders:
            await self._unhurried.wait()
        self._opened.clear()
        if self._anew.is_set():
            with contextlib.suppress(SettingsError):  # a person may be at the file again
                self.plan = RunConfig.of(
                    self._terms
                )  # with what orders have written to it meanwhile


def _words(settings: Settings) -> str:
    return f"{len(settings.accounts)} accounts, every {settings.poll_interval_secs} s"

"""The process that polls: it answers followers, serves `/metrics`, and reads its settings again when told to."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit, setrlimit
from typing import Any, Final

from monitor import __version__
from monitor.app.app import App
from monitor.app.handlers import RequestHandler, execute
from monitor.app.metrics_server import MetricsServer
from monitor.app.wiring import CliOptions, RunConfig, build
from monitor.core.commands import Command, EditAccount, Reload
from monitor.core.errors import SettingsError, TrackerError
from monitor.core.events import ReloadFailed
from monitor.ipc.mirror import StateView
from monitor.ipc.server import Server
from monitor.settings import Settings
from monitor.system.aio import DaemonThreads
from monitor.system.sd_notify import Notices, Passed

SETTINGS_SECS: Final = 5.0
"""Limit of reading the settings: their disk may hang."""

FILES: Final = 4096
"""So many files, of which each follower is one, may be open at once where the system allows it."""

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
        view: StateView,
        socket_path: str,
        *,
        passed: Passed | None = None,
        notices: Notices | None = None,
    ) -> None:
        self._options = options
        self.config = config
        self._view = view
        self._passed = passed or Passed()
        self._notices = notices or Notices(None)
        self._app: App | None = None
        self._opened = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._executed = 0
        self.exporting = MetricsServer(lambda: view.state, options.clock)
        handler = RequestHandler(self.execute, self.who, view, options.clock)
        self._server = Server(handler.answer, socket_path, sock=self._passed.control)

    async def app(self) -> App:
        """Return the program, as soon as it is there."""
        await self._opened.wait()
        assert self._app is not None  # noqa: S101 - `_opened` says so
        return self._app

    def who(self) -> Mapping[str, Any]:
        """Say which process this is, for others."""
        return {
            "pid": os.getpid(),
            "version": __version__,
            "metrics": self.exporting.url or None,
            "refused_hosts": list(self.exporting.refused_hosts),
        }

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

    async def run(self, main: Callable[[], Awaitable[None]]) -> None:
        """Poll until `main` returns. Raises what that raises, and what a bug of our own does."""
        config, options = self.config, self._options
        async with (
            self._public(),
            build(
                config.settings, alerts=options.notify, stays=True, clock=options.clock
            ) as self._app,
            self._view.follow(self._app.store),
        ):
            self._announce(config)
            self._opened.set()
            self._notices.ready()
            await self._app.run(main, config.channels)

    async def reload(self) -> str:
        """Read the settings again, whole or not at all. Raises TrackerError, and then all goes on as before."""
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
                await app.reload(config.settings, config.policy, config.hosts)
                if not config.sends_like(before):
                    app.send_by(config.channels)
                self._announce(config)
        finally:
            self._notices.ready()
        words = _words(config.settings)
        _log.info("settings reloaded: %s", words)
        return f"settings reloaded: {words}"

    async def _read_and_check(self) -> RunConfig:
        """Read the settings as they are after all commands that have ended, and what these have written."""
        while True:
            executed, config = self._executed, await read_config(self._options, must_exist=True)
            await self.exporting.check(config.site)
            if executed == self._executed:
                return config

    def _announce(self, config: RunConfig) -> None:
        """Serve metrics where these settings want them, and say what is doubtful in them."""
        sock = self._passed.metrics[0] if self._passed.metrics else None
        self.exporting.move_to(config.site, sock)
        for warning in config.settings.warnings:
            _log.warning("%s", warning)
        self._notices.status(f"polls {_words(config.settings)}")

    @asynccontextmanager
    async def _public(self) -> AsyncIterator[None]:
        """Let followers come in for the time of the block, and serve `/metrics`, as far as that can be."""
        async with asyncio.TaskGroup() as group:
            exporting = group.create_task(self.exporting.run(), name="exporting")
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
                exporting.cancel()
                await self._server.stop()


def _words(settings: Settings) -> str:
    return f"{len(settings.accounts)} accounts, every {settings.poll_interval_secs} s"

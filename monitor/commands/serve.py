"""`monitor serve`: polls, exports and notifies without a terminal; logs to standard error. `monitor service`: the
same as a service of the user, which starts with the session and stays.
"""

import asyncio
import logging
import os
import signal
import sys
from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, tzinfo
from pathlib import Path

from exporters.server import Site
from exporters.web_config import SiteConfig
from monitor.app.app import App
from monitor.app.leader import Leader, read_config
from monitor.app.leadership import Election
from monitor.app.wiring import CliOptions, RunConfig, build_demo
from monitor.core.errors import TrackerError, describe
from monitor.core.format import clock
from monitor.core.model import AccountState
from monitor.core.state import State, changed_accounts
from monitor.notify.channel import ChannelSet
from monitor.notify.channels.terminal import Show
from monitor.paths import config_path, instance
from monitor.service import start_of, supervisor_for
from monitor.settings import Address, load, parse_listen
from monitor.system import logs
from monitor.system.aio import Observable
from monitor.system.clock import SystemClock
from monitor.system.sd_notify import feed_watchdog, open_notices, take_sockets, watchdog_secs

_log = logging.getLogger(__name__)


def serve(arguments: Namespace) -> int:
    """Run until a signal ends it."""
    logs.configure(arguments.log_level.upper(), form=arguments.log_format)
    return asyncio.run(_demo(arguments) if arguments.demo else Service(arguments).run())


class StopSignal:
    """The signal that ends a run without a terminal: Ctrl-C or one of those named. Made in the running loop."""

    def __init__(self, *names: str) -> None:
        loop = asyncio.get_running_loop()
        self._asked = asyncio.Event()
        self.code = 0
        """The exit code, which is 130 after Ctrl-C."""
        for name in names:
            loop.add_signal_handler(getattr(signal, name), self._asked.set)
        loop.add_signal_handler(signal.SIGINT, self._interrupt)

    async def wait(self) -> None:
        """Wait for the signal."""
        await self._asked.wait()

    def _interrupt(self) -> None:
        self.code = 128 + signal.SIGINT
        self._asked.set()


async def _demo(arguments: Namespace) -> int:
    """Run the demo until a signal ends it."""
    stop = StopSignal("SIGTERM", "SIGHUP")
    async with open_demo(arguments) as (app, metrics):
        if metrics:
            _log.info("metrics on %s", metrics)
        await app.run(stop.wait, ChannelSet())
    _log.info("stopped")
    return stop.code


@asynccontextmanager
async def open_demo(arguments: Namespace) -> AsyncIterator[tuple[App, str]]:
    """Yield the demo's program and the URL of its metrics, on any free port if the usual one is taken.

    It takes no part in the election. Raises TrackerError where the address of `--listen` cannot be served.
    """
    options = cli_options(arguments, None)
    address = options.listen or Address()
    async with build_demo() as app:
        if address.host is None or address.port is None:
            yield app, ""
            return
        config = SiteConfig(
            address.host,
            address.port,
            metrics_path=options.metrics_path,
            web_config=options.web_config,
        )
        site = Site(lambda: app.store.state, app.clock.now, config)
        try:
            await site.start()
        except TrackerError:
            if options.listen:
                raise
            site = Site(lambda: app.store.state, app.clock.now, replace(config, port=0))
            await site.start()
        try:
            yield app, site.metrics_url
        finally:
            await site.stop()


def cli_options(arguments: Namespace, show: Show | None) -> CliOptions:
    """Return the options of a run that polls. Raises SettingsError."""
    return CliOptions(
        config=Path(config_path(os.environ, arguments.config)),
        listen=None if arguments.listen is None else parse_listen(arguments.listen),
        web_config=None if arguments.web_config is None else Path(arguments.web_config),
        metrics_path=arguments.metrics_path,
        notify=not arguments.no_notify,
        show=show,
    )


class Service:
    """One run without a terminal, which keeps a service manager informed, if there is one. Raises SettingsError."""

    def __init__(self, arguments: Namespace) -> None:
        self._options = cli_options(arguments, None)
        self._notices = open_notices(os.environ)
        self._passed = take_sockets(os.environ, os.getpid())
        self._view = Observable(State())
        self._election = Election(*instance(os.environ, self._options.config), self._make_leader)
        self._leader: Leader | None = None
        self._stood_by = False
        self._hung_up = asyncio.Event()
        # Read now, so that wrong settings fail in a follower too.
        self._config = RunConfig.read(self._options)

    async def run(self) -> int:
        stop = StopSignal("SIGTERM")
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hung_up.set)
        works = [self._journal(), self._reload_on_hangup()]
        watchdog = watchdog_secs(os.environ, os.getpid())
        if watchdog is not None:
            works.append(feed_watchdog(self._notices, watchdog, SystemClock()))

        async def wait_for_stop() -> None:
            await stop.wait()
            self._notices.stopping()

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
            await self._election.lead_or_wait(
                asyncio.ensure_future(wait_for_stop()), self._stand_by
            )
            for task in tasks:
                task.cancel()
        _log.info("stopped")
        return stop.code

    async def _make_leader(self, socket_path: str) -> Leader:
        """Make it by the present settings or, where these are wrong or gone, by the last valid ones."""
        config = self._leader.config if self._leader else self._config
        try:
            had_accounts = bool(config.settings.accounts)
            config = await read_config(self._options, must_exist=had_accounts)
        except TrackerError as error:
            _log.error("invalid settings; still using the previous ones: %s", error)
        if self._stood_by:
            _log.info("took over polling")
        passed, notices = self._passed, self._notices
        self._leader = Leader(
            self._options, config, self._view, socket_path, passed=passed, notices=notices
        )
        return self._leader

    def _stand_by(self, words: str) -> None:
        self._stood_by = True
        _log.info("%s", words)
        self._notices.status(words)
        self._notices.ready()

    async def _reload_on_hangup(self) -> None:
        """Reload the settings at each SIGHUP. A process that stands by reads them when it takes over."""
        while True:
            await self._hung_up.wait()
            self._hung_up.clear()
            if self._leader is None or not self._election.leads:
                self._notices.reloading()
                self._notices.ready()
                _log.info(
                    "the monitor that polls is the one to reload the settings: `monitor reload`"
                )
                continue
            try:
                await self._leader.reload()
            except TrackerError as error:
                _log.error("reload failed, nothing changed: %s", error)

    async def _journal(self) -> None:
        """Log each account's health as it changes."""
        logged: dict[str, str] = {}
        started, before = SystemClock().now(), State()
        while True:
            state = self._view.state
            for name in changed_accounts(before, state):
                account = state.accounts[name]
                words = health_words(account, started + state.clock_offset)
                if words and logged.get(name) != words:
                    logged[name] = words
                    level = logging.WARNING if account.failures_in_a_row else logging.INFO
                    _log.log(level, "%s: %s", name, words, extra={"account": name})
            before = state
            await self._view.wait_for_change()


def health_words(account: AccountState, started: datetime, tz: tzinfo | None = None) -> str:
    """Describe an account for the log; figures from before `started` were polled by an earlier process.

    Clock times are in `tz` (None: the machine's).
    """
    if account.down is not None:
        failure = account.down.failure
        return f"{failure.reason}: {describe(failure)}"
    last = account.last_success_at
    if last is None:
        return ""
    return f"kept figures of {clock(last, started, tz)}" if last < started else "polled"


def service(arguments: Namespace) -> int:
    """Run one verb; without one, print the status of the service."""
    supervisor = supervisor_for(os.environ)
    match arguments.verb:
        case "install":
            config = Path(config_path(os.environ, arguments.config))
            load(config)  # a wrong setting fails here, and not in the service
            # A service would not know a file that is named only here, by a flag or the environment.
            named = config if arguments.config or os.environ.get("MONITOR_CONFIG") else None
            start = start_of(sys.argv[0], sys.executable, os.environ, named)
            lines = supervisor.install(start, force=arguments.force)
            lines += [
                f"left out: the user and password in {name}, which would stand in a file as plain text"
                for name in start.without_login
            ]
        case "uninstall":
            lines = supervisor.uninstall()
        case _:
            lines = [supervisor.status()]
    print("\n".join(lines))
    return 0

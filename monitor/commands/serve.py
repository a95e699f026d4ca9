"""`monitor serve`: polls, exports and notifies without a terminal; logs to standard error. `monitor service`: the
same as a service of the user, which starts with the session and stays.
"""

import asyncio
import logging
import os
import sys
from argparse import Namespace
from datetime import datetime, tzinfo

from monitor.app.leader import Leader, read_config
from monitor.app.leadership import Election
from monitor.app.wiring import RunConfig
from monitor.commands.startup import StopSignal, cli_options, on_signals
from monitor.core.errors import TrackerError, describe
from monitor.core.format import clock
from monitor.core.model import AccountState, Down, Unpolled
from monitor.ipc.mirror import StateView
from monitor.paths import instance
from monitor.service import start_of, supervisor_for
from monitor.settings import config_path, load
from monitor.system import logs
from monitor.system.clock import SystemClock
from monitor.system.sd_notify import notices, passed_sockets, sorted_out, watch, watchdog_secs

_log = logging.getLogger(__name__)


def serve(arguments: Namespace) -> int:
    """Run until a signal ends it."""
    logs.configure(arguments.log_level.upper(), form=arguments.log_format)
    if arguments.demo:
        from monitor.commands.demo import demo_service

        return demo_service(arguments)
    return asyncio.run(Service(arguments).run())


class Service:
    """One run without a terminal, in the care of a service manager or of nobody. Raises SettingsError."""

    def __init__(self, arguments: Namespace) -> None:
        self._arguments = arguments
        self._options = cli_options(arguments, None)
        self._notices = notices(os.environ)
        self._watchdog_secs = watchdog_secs(os.environ, os.getpid())
        self._passed = sorted_out(passed_sockets(os.environ, os.getpid()))
        self._view = StateView()
        self._leader: Leader | None = None
        self._stood_by = False
        self._stop = StopSignal()
        self._hung_up = asyncio.Event()
        self._config = RunConfig.of(self._options)  # what is wrong is said now, also in a follower

    async def run(self) -> int:
        self._stop.listen("SIGTERM")
        on_signals(("SIGHUP",), self._hung_up.set)
        election = Election(*instance(os.environ, self._options.config), self._make_leader)
        works = [self._journal(), self._reload_on_hangup(), self._live()]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
            main_task = asyncio.ensure_future(self._until_stopped())
            await election.lead_or_wait(main_task, self._stand_by)
            for task in tasks:
                task.cancel()
        _log.info("stopped")
        return self._stop.code

    async def _make_leader(self, socket_path: str) -> Leader:
        if self._stood_by:
            _log.info("took over polling")
        self._leader = Leader(
            self._options,
            await self._newest_config(),
            self._view,
            socket_path,
            passed=self._passed,
            notices=self._notices,
        )
        return self._leader

    async def _newest_config(self) -> RunConfig:
        """Read the settings as they are now; where those are wrong or gone by now, the last that were not hold."""
        self._step_down()
        try:
            read = RunConfig.again if self._config.settings.accounts else RunConfig.of
            self._config = await read_config(self._options, read)
        except TrackerError as error:
            _log.error("invalid settings; still using the previous ones: %s", error)
        return self._config

    def _step_down(self) -> None:
        """Keep what the former leader has read."""
        if self._leader is not None:
            self._config, self._leader = self._leader.config, None

    def _stand_by(self, words: str) -> None:
        self._step_down()
        self._stood_by = True
        _log.info("%s", words)
        self._notices.status(words)
        self._notices.ready()

    async def _until_stopped(self) -> None:
        await self._stop.wait()
        self._notices.stopping()

    async def _reload_on_hangup(self) -> None:
        while True:
            await self._hung_up.wait()
            self._hung_up.clear()
            try:
                await self._reload()
            except TrackerError as error:
                _log.error("settings not reloaded, all goes on as before: %s", error)

    async def _reload(self) -> None:
        """Reload the settings. Raises TrackerError. A process that stands by reads them when it takes over."""
        if self._leader is not None:
            await self._leader.reload()
            return
        self._notices.reloading()
        self._notices.ready()
        _log.info("the monitor that polls is the one to reload the settings: `monitor reload`")

    async def _live(self) -> None:
        """Tell the service manager that the loop is not stuck, as often as it wants to hear it."""
        if self._watchdog_secs is not None:
            await watch(self._notices, self._watchdog_secs, SystemClock())

    async def _journal(self) -> None:
        """Log each account's health as it changes."""
        logged: dict[str, str] = {}
        started = SystemClock().now()
        while True:
            for name, account in self._view.state.accounts.items():
                words = health_words(account, started)
                if words and logged.get(name) != words:
                    logged[name] = words
                    level = logging.WARNING if account.failures_in_a_row else logging.INFO
                    _log.log(level, "%s: %s", name, words, extra={"account": name})
            await self._view.changed()


def health_words(account: AccountState, started: datetime, tz: tzinfo | None = None) -> str:
    """Describe an account for the log; figures from before `started` are none of this process's polls.

    Clock times are in `tz` (None: the machine's).
    """
    match account.health:
        case Unpolled():
            return ""
        case Down(_, failure):
            return f"{failure.reason}: {describe(failure)}"
    last = account.last_success_at
    if last is not None and last < started:
        return f"kept figures of {clock(last, started, tz)}"
    return "polled"


def service(arguments: Namespace) -> int:
    """Run one verb; without one, print the status of the service."""
    supervisor = supervisor_for(os.environ)
    match arguments.verb:
        case "install":
            config = config_path(os.environ, arguments.config)
            load(config)  # a wrong setting fails here, and not in the service
            # Of a file that a flag or the environment names, a service would not know.
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
            status = supervisor.status()
            if not status.is_running:
                raise TrackerError(status.render())
            lines = [status.render()]
    print("\n".join(lines))
    return 0

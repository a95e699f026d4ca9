"""The settings, the options and the program that the arguments of a command mean."""

import asyncio
import os
import signal
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from monitor.app.app import App
from monitor.app.wiring import CliOptions, build, build_demo
from monitor.commands.queries import settings_of
from monitor.notify.channels.terminal import Show
from monitor.settings import config_path, parse_listen


def cli_options(arguments: Namespace, show: Show | None) -> CliOptions:
    """The options of a run that polls. Raises SettingsError."""
    return CliOptions(
        config=config_path(os.environ, arguments.config),
        listen=None if arguments.listen is None else parse_listen(arguments.listen),
        web_config=None if arguments.web_config is None else Path(arguments.web_config),
        metrics_path=arguments.metrics_path,
        notify=not arguments.no_notify,
        show=show,
    )


def open_app(arguments: Namespace) -> AbstractAsyncContextManager[App]:
    """The program over the demo's accounts, or over the user's own; it sends no alerts."""
    return build_demo() if arguments.demo else build(settings_of(arguments))


def on_signals(names: Sequence[str], got: Callable[[], object]) -> None:
    """Call this when the process gets one of these signals."""
    loop = asyncio.get_running_loop()
    for name in names:
        loop.add_signal_handler(getattr(signal, name), got)


class StopSignal:
    """The signal that ends a run without a terminal."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self.code = 0
        """The exit code: that of an interruption where Ctrl-C was the signal."""

    def listen(self, *names: str) -> None:
        """Let these signals end the run from now on, and Ctrl-C."""
        on_signals(names, self._asked.set)
        on_signals(("SIGINT",), self._interrupted)

    async def wait(self) -> None:
        """Wait until one has come."""
        await self._asked.wait()

    def _interrupted(self) -> None:
        self.code = 128 + signal.SIGINT
        self._asked.set()

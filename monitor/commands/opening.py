"""What commands have in common: which settings are meant, and the program over them."""

import asyncio
import os
import signal
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress

from monitor.app.app import App
from monitor.app.run_config import CliOptions
from monitor.app.wiring import build, build_demo
from monitor.notify.channels.terminal import Write
from monitor.settings import Settings, config_path, load, parse_listen


def settings_of(arguments: Namespace) -> Settings:
    """The settings that the arguments and the environment name. Raises SettingsError."""
    return load(config_path(os.environ, arguments.config))


def terms_of(arguments: Namespace, write: Write | None) -> CliOptions:
    """What the arguments say of a run that polls. Raises SettingsError."""
    return CliOptions(
        config=config_path(os.environ, arguments.config),
        listen=None if arguments.listen is None else parse_listen(arguments.listen),
        notify=not arguments.no_notify,
        write=write,
    )


def opened(arguments: Namespace) -> AbstractAsyncContextManager[App]:
    """The program over the demo's accounts, or over the user's own; it tells no alerts."""
    return build_demo() if arguments.demo else build(settings_of(arguments))


def on_signals(names: Sequence[str], got: Callable[[], object]) -> None:
    """Call this when the process gets one of these signals."""
    loop = asyncio.get_running_loop()
    for name in names:
        with suppress(AttributeError, NotImplementedError):  # Windows has none of these
            loop.add_signal_handler(getattr(signal, name), got)


class Ending:
    """The end of a run without a terminal, which a signal asks for."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self.code = 0
        """The exit code: that of an interruption where Ctrl-C was the signal."""

    def listen(self, *names: str) -> None:
        """From now on these signals ask for it, and Ctrl-C."""
        on_signals(names, self._asked.set)
        on_signals(("SIGINT",), self._interrupted)

    async def asked(self) -> None:
        """Wait for it."""
        await self._asked.wait()

    def _interrupted(self) -> None:
        self.code = 128 + signal.SIGINT
        self._asked.set()

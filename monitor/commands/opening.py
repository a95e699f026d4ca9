"""What commands have in common: which settings are meant, and the program over them."""

import asyncio
import os
import signal
from argparse import Namespace
from contextlib import AbstractAsyncContextManager, suppress

from monitor.app import App, Telling, demo, real, telling_for, telling_in_demo
from monitor.channels.terminal import Write
from monitor.settings import ExporterSettings, Settings, config_path, load, parse_listen


def settings_of(arguments: Namespace) -> Settings:
    """The settings that the arguments and the environment name. Raises SettingsError."""
    return load(config_path(os.environ, arguments.config))


def opened(arguments: Namespace, *, alerts: bool = False) -> AbstractAsyncContextManager[App]:
    """The program over the demo's accounts, or over the user's own; with `alerts` it remembers what it tells."""
    return demo() if arguments.demo else real(settings_of(arguments), alerts=alerts)


def address_of(arguments: Namespace) -> ExporterSettings:
    """Where to serve `/metrics`: as the flag says, else as the settings do; the demo has no settings."""
    if arguments.listen is not None:
        return parse_listen(arguments.listen)
    return ExporterSettings() if arguments.demo else settings_of(arguments).exporter


def telling_of(arguments: Namespace, write: Write | None) -> Telling:
    """How alerts are told in this run; `write` reaches the terminal that we run on."""
    if arguments.no_notify:
        return Telling()
    return telling_in_demo(write) if arguments.demo else telling_for(settings_of(arguments), write)


def stop_signals(stopped: asyncio.Event) -> None:
    """Set the event when somebody asks the process to end."""
    loop = asyncio.get_running_loop()
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        with suppress(AttributeError, NotImplementedError):  # Windows has none of these
            loop.add_signal_handler(getattr(signal, name), stopped.set)

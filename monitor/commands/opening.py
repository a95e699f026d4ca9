"""What commands have in common: which settings are meant, and the program over them."""

import asyncio
import os
import signal
import sys
from argparse import Namespace
from contextlib import AbstractAsyncContextManager, suppress

from monitor.app import App, demo, real
from monitor.channels.build import AnyChannel, channels_for
from monitor.channels.terminal import Write
from monitor.settings import (
    ExporterSettings,
    NotificationSettings,
    Settings,
    config_path,
    load,
    parse_listen,
)


def settings_of(arguments: Namespace) -> Settings:
    """The settings that the arguments and the environment name. Raises SettingsError."""
    return load(config_path(os.environ, arguments.config))


def opened(arguments: Namespace) -> AbstractAsyncContextManager[App]:
    """The program over the demo's accounts, or over the user's own."""
    return demo() if arguments.demo else real(settings_of(arguments))


def address_of(arguments: Namespace) -> ExporterSettings:
    """Where to serve `/metrics`: as the flag says, else as the settings do; the demo has no settings."""
    if arguments.listen is not None:
        return parse_listen(arguments.listen)
    return ExporterSettings() if arguments.demo else settings_of(arguments).exporter


def channels_of(arguments: Namespace, write: Write | None) -> tuple[AnyChannel, ...]:
    """The channels to tell alerts on. The demo's touch no D-Bus: they speak through the terminal alone."""
    if arguments.no_notify:
        return ()
    if arguments.demo:
        return chain_of(NotificationSettings(channels=("terminal", "bell")), write)
    return chain_of(settings_of(arguments).notifications, write)


def chain_of(notifications: NotificationSettings, write: Write | None) -> tuple[AnyChannel, ...]:
    """The channels that the settings name, spelled out for this platform."""
    names = notifications.channels if notifications.enabled else ()
    return channels_for(names, platform=sys.platform, write=write, environ=os.environ)


def stop_signals(stopped: asyncio.Event) -> None:
    """Set the event when somebody asks the process to end."""
    loop = asyncio.get_running_loop()
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        with suppress(AttributeError, NotImplementedError):  # Windows has none of these
            loop.add_signal_handler(getattr(signal, name), stopped.set)

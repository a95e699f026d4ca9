"""What commands have in common: which settings are meant, and the program over them."""

import asyncio
import os
import signal
from argparse import Namespace
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, suppress

from monitor.app.places import demo, real
from monitor.app.plan import Terms
from monitor.app.running import App
from monitor.channels.terminal import Write
from monitor.settings import Settings, config_path, load, parse_listen


def settings_of(arguments: Namespace) -> Settings:
    """The settings that the arguments and the environment name. Raises SettingsError."""
    return load(config_path(os.environ, arguments.config))


def terms_of(arguments: Namespace, write: Write | None) -> Terms:
    """What the arguments say of a run that polls. Raises SettingsError."""
    return Terms(
        config=config_path(os.environ, arguments.config),
        listen=None if arguments.listen is None else parse_listen(arguments.listen),
        notify=not arguments.no_notify,
        write=write,
    )


def opened(arguments: Namespace) -> AbstractAsyncContextManager[App]:
    """The program over the demo's accounts, or over the user's own; it tells no alerts."""
    return demo() if arguments.demo else real(settings_of(arguments))


def on_signals(names: Sequence[str], stopped: asyncio.Event) -> None:
    """Set the event when the process gets one of these signals."""
    loop = asyncio.get_running_loop()
    for name in names:
        with suppress(AttributeError, NotImplementedError):  # Windows has none of these
            loop.add_signal_handler(getattr(signal, name), stopped.set)

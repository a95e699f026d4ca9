"""`monitor reload`: have the running monitor read its settings anew, whole or not at all."""

import os
from argparse import Namespace

from monitor.core.errors import TrackerError
from monitor.instance.ask import ask
from monitor.instance.wire import failure
from monitor.paths import config_path, instance_key, runtime_folder, socket_path

LIMIT_SECS = 10.0


def reload(arguments: Namespace) -> int:
    """Ask the running monitor. Raises TrackerError where there is none, or it refuses the settings."""
    key = instance_key(os.environ, config_path(os.environ, arguments.config))
    reply = ask(socket_path(runtime_folder(os.environ), key), {"ask": "reload"}, LIMIT_SECS)
    if reply is None:
        raise TrackerError("no monitor runs: start `monitor serve`, or `monitor tui`")
    code, text = reply
    if code:
        raise failure(code, text)
    print(text.decode().strip())
    return 0

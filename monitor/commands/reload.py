"""`monitor reload`: reload the running monitor's settings, all of them or none."""

from argparse import Namespace

from monitor.core.commands import Reload, encode_request
from monitor.core.errors import TrackerError
from monitor.fast_path import socket_of
from monitor.ipc.client import ask
from monitor.ipc.protocol import refusal

LIMIT_SECS = 10.0


def reload(arguments: Namespace) -> int:
    """Ask the running monitor. Raises TrackerError where there is none, or it refuses the settings."""
    reply = ask(socket_of(arguments), encode_request(Reload()), LIMIT_SECS)
    if reply is None:
        raise TrackerError("no monitor runs: start `monitor serve`, or `monitor tui`")
    code, text = reply
    if code:
        raise refusal(code, text)
    print(text.decode().strip())
    return 0

"""`monitor doctor`: the problems on this machine, why they matter, and their fixes."""

import asyncio
import json
import os
import shutil
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monitor import __version__
from monitor.core.commands import Who, encode_request
from monitor.core.errors import Failure, TrackerError
from monitor.doctor.accounts import failures_of
from monitor.doctor.channels import screen_facts
from monitor.doctor.examine import World, examine
from monitor.doctor.report import exit_code, render_json, render_text
from monitor.ipc.client import order
from monitor.ipc.mirror import read_state
from monitor.paths import config_path, instance, instance_key
from monitor.settings import state_db
from monitor.storage import cache
from monitor.system import logs
from monitor.system.clock import SystemClock
from monitor.system.stdio import has_colours, show


def doctor(arguments: Namespace) -> int:
    """Print all checks; the exit code is 1 where one fails, which a warning is not."""
    logs.configure("CRITICAL")
    return asyncio.run(_doctor(arguments))


async def _doctor(arguments: Namespace) -> int:
    """Print before the loop ends, which a look-up without an answer may still hold up."""
    config = Path(config_path(os.environ, arguments.config))
    world = World(
        config,
        os.environ,
        SystemClock(),
        lambda: running(config, os.environ),
        screen_facts(),
        failures=lambda: failures(config, os.environ),
    )
    checks = await examine(world)
    columns = shutil.get_terminal_size().columns
    page = render_text(checks, columns, colours=has_colours(), verbose=arguments.verbose)
    show(render_json(checks, __version__) if arguments.json else page)
    return exit_code(checks)


def running(config: Path, environ: Mapping[str, str]) -> Mapping[str, Any] | None:
    """Return the running monitor's answer to `Who`; None where none runs. Raises TrackerError."""
    text = order(instance(environ, config)[1], encode_request(Who()))
    if text is None:
        return None
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise TrackerError(text or "the running monitor answers in an unknown way")
    return document


def failures(config: Path, environ: Mapping[str, str]) -> Mapping[str, Failure]:
    """Return the last polls' failures by account, from the running monitor, else as the last one has saved them.

    Raises TrackerError where one runs and does not answer.
    """
    state = read_state(instance(environ, config)[1])
    if state is None:
        return failures_of(cache.read(state_db(environ), instance_key(environ, config)).accounts)
    return failures_of(state.accounts)

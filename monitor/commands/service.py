"""`monitor service`: the program as a service of the user, which starts with the session and stays."""

import os
import sys
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from monitor.core.errors import TrackerError
from monitor.service import start_of, supervisor_for
from monitor.settings import config_path, load


def service(arguments: Namespace) -> int:
    """Run one verb; without one, print the status of the service."""
    supervisor = supervisor_for(os.environ)
    match arguments.verb:
        case "install":
            # A wrong setting fails here, and not in the service.
            load(config_path(os.environ, arguments.config))
            start = start_of(
                sys.argv[0], sys.executable, os.environ, named_settings(arguments, os.environ)
            )
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


def named_settings(arguments: Namespace, environ: Mapping[str, str]) -> Path | None:
    """The settings file that a flag or `$MONITOR_CONFIG` names, neither of which a service would know of."""
    if arguments.config or environ.get("MONITOR_CONFIG"):
        return config_path(environ, arguments.config)
    return None

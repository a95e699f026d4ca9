"""The places of settings and state, as `Path`; `monitor.paths` has the rules."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from monitor import paths

STATE_DB: Final = "state.db"
"""The file of the state folder that all settings files share; what is in it is kept apart by `settings_id`."""


def config_path(environ: Mapping[str, str], override: str | Path | None = None) -> Path:
    """The settings file: `--config`, else `$MONITOR_CONFIG`, else the user's own. It need not exist."""
    return Path(paths.config_path(environ, str(override) if override else None))


def state_folder(environ: Mapping[str, str]) -> Path:
    """The folder of the state database and the log. It need not exist."""
    return Path(paths.state_folder(environ))


def state_db(environ: Mapping[str, str]) -> Path:
    """The state database. It need not exist."""
    return state_folder(environ) / STATE_DB


def settings_id(environ: Mapping[str, str], config: Path) -> str:
    """A key that tells this settings file's rows from another's; empty for the ordinary file."""
    return paths.instance_key(environ, str(config))

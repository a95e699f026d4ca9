"""Where settings and state are kept, as paths; `monitor.paths` has the rules."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from monitor import paths

HISTORY: Final = "history.db"
MUTE: Final = "mute.json"
SNAPSHOTS: Final = "state.db"
REQUESTS: Final = "requests.db"
"""Files of the state folder, which all settings files share. The ledger is each one's own."""


def config_path(environ: Mapping[str, str], override: str | Path | None = None) -> Path:
    """The settings file: `--config`, else `$MONITOR_CONFIG`, else the user's own. It need not exist."""
    return Path(paths.config_path(environ, str(override) if override else None))


def state_folder(environ: Mapping[str, str]) -> Path:
    """Where history, the alert ledger and back-off deadlines are kept. It need not exist."""
    return Path(paths.state_folder(environ))


def ledger_path(environ: Mapping[str, str], config: Path) -> Path:
    """The alert ledger of this settings file: no other one's channels are told what it has decided."""
    key = paths.instance_key(environ, str(config))
    return state_folder(environ) / (f"alerts-{key}.db" if key else "alerts.db")

"""Where settings and state are kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from monitor.core.errors import SettingsError

FOLDER: Final = "claude-tracker"

LEDGER: Final = "alerts.db"
HISTORY: Final = "history.db"
MUTE: Final = "mute.json"
"""Files of the state folder."""


def config_path(environ: Mapping[str, str], override: str | Path | None = None) -> Path:
    """The settings file: `--config`, else `$MONITOR_CONFIG`, else the user's own. It need not exist."""
    named = override or environ.get("MONITOR_CONFIG")
    if named:
        return _expanded(Path(named), environ)
    return _xdg_folder(environ, "XDG_CONFIG_HOME", ".config") / FOLDER / "config.toml"


def state_folder(environ: Mapping[str, str]) -> Path:
    """Where history, the alert ledger and back-off deadlines are kept. It need not exist."""
    return _xdg_folder(environ, "XDG_STATE_HOME", ".local/state") / FOLDER


def _xdg_folder(environ: Mapping[str, str], variable: str, default: str) -> Path:
    """A relative value is to be ignored, says the XDG specification."""
    given = Path(environ.get(variable, ""))
    return given if given.is_absolute() else _home(environ) / default


def _expanded(path: Path, environ: Mapping[str, str]) -> Path:
    """`~` at the start is the home folder: a shell leaves it alone in `--config=~/x`."""
    return _home(environ).joinpath(*path.parts[1:]) if path.parts[:1] == ("~",) else path


def _home(environ: Mapping[str, str]) -> Path:
    try:
        return Path(environ.get("HOME") or Path.home())
    except RuntimeError:
        raise SettingsError(
            "no home folder is known: set HOME, or name a file by --config"
        ) from None

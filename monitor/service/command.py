"""What a service is to run: this very installation, with the settings and folders that hold in this shell. Pure."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

KEPT: Final = (
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
    "CLAUDE_CONFIG_DIR",
    "CLAUDE_SECURESTORAGE_CONFIG_DIR",
)
"""Variables that say where things are, and that a service would not inherit from the shell. None holds a secret."""


@dataclass(frozen=True, slots=True)
class Start:
    """How the service is started: absolute paths, and the variables to set."""

    argv: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)


def start_of(
    argv0: str, python: str, environ: Mapping[str, str], config: Path | None = None
) -> Start:
    """`monitor serve` of the installation that was called as `argv0` and runs on `python`."""
    flags = ("--config", os.path.abspath(config)) if config is not None else ()  # noqa: PTH100 - keeps symlinks
    variables = {name: environ[name] for name in KEPT if environ.get(name)}
    return Start((*_program(argv0, python), "serve", *flags), variables)


def _program(argv0: str, python: str) -> tuple[str, ...]:
    """The command by the name it was called by: a link in ~/.local/bin outlives what it points to today."""
    beside = Path(python).with_name("monitor")
    for candidate in (Path(argv0), beside):
        if candidate.name == "monitor" and candidate.is_file() and os.access(candidate, os.X_OK):
            return (os.path.abspath(candidate),)  # noqa: PTH100 - as above
    return (python, "-m", "monitor")

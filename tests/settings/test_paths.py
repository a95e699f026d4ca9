"""The places of settings and state, by flag and environment."""

import os
import pwd
from pathlib import Path

import pytest

from monitor.paths import config_path, instance_key, state_folder


@pytest.mark.parametrize(
    "override, environ, path",
    [
        (None, {"HOME": "/h"}, "/h/.config/claude-tracker/config.toml"),
        (None, {"HOME": "/h", "XDG_CONFIG_HOME": "/x"}, "/x/claude-tracker/config.toml"),
        (
            None,
            {"HOME": "/h", "XDG_CONFIG_HOME": "rel"},
            "/h/.config/claude-tracker/config.toml",
        ),
        (None, {"HOME": "/h", "XDG_CONFIG_HOME": ""}, "/h/.config/claude-tracker/config.toml"),
        (None, {"HOME": "/h", "MONITOR_CONFIG": "/m.toml"}, "/m.toml"),
        ("/o.toml", {"HOME": "/h", "MONITOR_CONFIG": "/m.toml"}, "/o.toml"),
        (None, {"HOME": "/h", "MONITOR_CONFIG": ""}, "/h/.config/claude-tracker/config.toml"),
        ("~/o.toml", {"HOME": "/h"}, "/h/o.toml"),
    ],
)
def test_where_the_settings_are(override: str | None, environ: dict[str, str], path: str) -> None:
    assert config_path(environ, override) == path


@pytest.mark.parametrize(
    "environ, folder",
    [
        ({"HOME": "/h"}, "/h/.local/state/claude-tracker"),
        ({"HOME": "/h", "XDG_STATE_HOME": "/x"}, "/x/claude-tracker"),
    ],
)
def test_where_state_is_kept(environ: dict[str, str], folder: str) -> None:
    assert state_folder(environ) == folder


def test_each_settings_file_has_rows_of_its_own(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    ordinary = home / ".config" / "claude-tracker" / "config.toml"
    files = [ordinary, tmp_path / "a.toml", tmp_path / "b.toml"]
    ids = [instance_key(environ, file) for file in files]
    assert ids[0] == ""
    assert len(set(ids)) == len(files)
    assert ids == [instance_key(environ, file) for file in files], "the same at each start"

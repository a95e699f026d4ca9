"""What keeps the rows of one settings file from those of another."""

import os
import pwd
from pathlib import Path

from monitor.settings import settings_id


def test_each_settings_file_has_rows_of_its_own(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    ordinary = home / ".config" / "claude-tracker" / "config.toml"
    files = [ordinary, tmp_path / "a.toml", tmp_path / "b.toml"]
    ids = [settings_id(environ, file) for file in files]
    assert ids[0] == ""
    assert len(set(ids)) == len(files)
    assert ids == [settings_id(environ, file) for file in files], "the same at each start"

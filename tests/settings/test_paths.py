"""Which files of the state folder are shared by all settings files, and which are each one's own."""

import os
import pwd
from pathlib import Path

from monitor.settings import ledger_path


def test_each_settings_file_has_an_alert_ledger_of_its_own(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    ordinary = home / ".config" / "claude-tracker" / "config.toml"
    files = [ordinary, tmp_path / "a.toml", tmp_path / "b.toml"]
    ledgers = [ledger_path(environ, file) for file in files]
    assert ledgers[0] == tmp_path / "state" / "claude-tracker" / "alerts.db"
    assert len(set(ledgers)) == len(files)
    assert ledgers == [ledger_path(environ, file) for file in files], "the same at each start"

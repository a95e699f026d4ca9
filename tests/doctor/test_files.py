"""The state folder and the database in it: what a look and a write say of them."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from monitor.doctor.files import database_checks, folder_check
from monitor.doctor.report import Outcome
from monitor.storage.db import StateFile
from tests.doctor.factories import advice

LOOK = (
    "import sys; from pathlib import Path;"
    "from monitor.doctor.files import folder_check;"
    "check = folder_check(Path(sys.argv[1])); print(check.outcome, check.found)"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "state"
    made.mkdir(mode=0o700)
    return made


def test_a_folder_that_can_be_written_is_left_as_it_was(folder: Path) -> None:
    assert folder_check(folder).outcome is Outcome.OK
    assert list(folder.iterdir()) == []


def test_a_disk_that_takes_nothing_is_told_with_the_reason(folder: Path) -> None:
    """As on a full disk, no file of that process may grow."""
    argv = ["bash", "-c", 'ulimit -f 0; exec "$0" -c "$1" "$2"', sys.executable, LOOK, str(folder)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"fail nothing can be written to {folder}: File too large\n"
    assert list(folder.iterdir()) == []


def test_only_what_is_wrong_with_the_database_itself_is_said_to_be_mended(folder: Path) -> None:
    path = folder / "state.db"
    with closing(StateFile(path)) as file:
        file.write(lambda _: None)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        other.execute("PRAGMA user_version = 2")
        (check,) = database_checks(path)
    assert check.outcome is Outcome.FAIL
    assert check.found == f"{path} cannot be read: database is locked"
    assert f"`fuser {path}`" in advice(check)
    path.write_text("no database")
    (check,) = database_checks(path)
    assert check.outcome is Outcome.WARN
    assert "it is set aside, and a new one begun" in check.found

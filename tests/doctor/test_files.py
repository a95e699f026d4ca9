"""The state folder: what a look and a write say of it."""

import subprocess
import sys
from pathlib import Path

import pytest

from monitor.doctor.files import folder_check
from monitor.doctor.report import Outcome

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

"""A standard stream that is closed, full or broken: one line and an exit code of ours, whichever command it is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.world import MONITOR

FULL = "monitor: standard output: No space left on device\n"
CLOSED = "monitor: standard output: Bad file descriptor\n"
PRINTING = (
    "status", "status --demo", "status --format x --demo", "--help", "status --help", "--version",
    "accounts", "accounts list", "completion bash", "mute", "alerts", "next --demo --json",
    "history --csv", "history --demo", "",
)  # fmt: skip
SOME = ("status", "--help", "accounts list", "completion bash")

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {
        "HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path),
        "PATH": os.environ["PATH"],
        "LC_ALL": "C.UTF-8",
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent",
    }


def ran(env: dict[str, str], words: str, shell: str) -> subprocess.CompletedProcess[str]:
    """The command with what a shell does to its streams."""
    command = f"{' '.join(MONITOR)} {words} {shell}"
    argv = ["bash", "-c", command]
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("words", PRINTING)
def test_a_full_standard_output_is_one_line(env: dict[str, str], words: str) -> None:
    done = ran(env, words, ">/dev/full")
    assert (done.returncode, done.stderr) == (1, FULL)


@pytest.mark.parametrize("words", SOME)
def test_a_closed_standard_output_is_one_line(env: dict[str, str], words: str) -> None:
    done = ran(env, words, ">&-")
    assert (done.returncode, done.stderr) == (1, CLOSED)


@pytest.mark.parametrize("words", SOME)
def test_a_reader_that_is_gone_is_no_line_at_all(env: dict[str, str], words: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    argv = [*MONITOR, *words.split()]
    try:
        done = subprocess.run(argv, env=env, stdout=writer, stderr=subprocess.PIPE, timeout=60)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("shell", [">/dev/full", ">&-"])
def test_the_page_of_the_doctor_too(env: dict[str, str], shell: str) -> None:
    done = ran(env, "doctor", shell)
    assert done.returncode == 1
    assert done.stderr in (FULL, CLOSED)


@pytest.mark.parametrize("words", ["ingest", "accounts add --name n --org-id o"])
def test_a_closed_standard_input_is_one_line(env: dict[str, str], words: str) -> None:
    done = ran(env, words, "<&-")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "monitor: standard input: Bad file descriptor\n"


@pytest.mark.parametrize("shell", ["<&- >&- 2>&-", "2>/dev/full", "2>&-"])
def test_nobody_to_complain_to_changes_no_exit_code(env: dict[str, str], shell: str) -> None:
    assert ran(env, "status --account ghost", shell).returncode == 2


def test_a_failure_is_told_although_the_output_is_full(env: dict[str, str]) -> None:
    done = ran(env, "status --account ghost", ">/dev/full")
    assert done.returncode == 2
    assert done.stderr.startswith("monitor: there is no account")


def test_no_file_that_is_opened_gets_the_place_of_a_closed_stream(env: dict[str, str]) -> None:
    code = (
        "import os; from monitor.system.stdio import replace_closed_streams; replace_closed_streams();"
        "os._exit(os.open('/dev/null', os.O_RDONLY))"
    )
    for shell in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        argv = ["bash", "-c", f'{sys.executable} -c "{code}" {shell}']
        assert subprocess.run(argv, env=env, timeout=60).returncode > 2

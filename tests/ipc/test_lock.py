"""The lock between real processes: who has it, and how it comes free."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from monitor.core.errors import TrackerError
from monitor.ipc.lock import Lock, holder
from tests.ipc.fakes import leader


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "claude-tracker"


def test_the_first_has_it_and_the_second_learns_who(folder: Path) -> None:
    first, second = Lock(str(folder / "lock")), Lock(str(folder / "lock"))
    assert first.acquire()
    assert not second.acquire()
    assert holder(first.path) == os.getpid()
    first.release()
    assert holder(first.path) is None
    assert second.acquire()
    second.release()


def test_who_has_it_may_take_it_again(folder: Path) -> None:
    lock = Lock(str(folder / "lock"))
    assert lock.acquire()
    assert lock.acquire()
    lock.release()
    lock.release()


def test_file_and_folder_are_the_users_alone_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        lock = Lock(str(folder / "lock"))
        lock.acquire()
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, Path(lock.path))]
    assert modes == [0o700, 0o600]
    lock.release()


def test_a_longer_pid_of_before_leaves_nothing_behind(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    (folder / "lock").write_text("123456789012\n")
    lock = Lock(str(folder / "lock"))
    assert lock.acquire()
    assert (folder / "lock").read_text() == f"{os.getpid()}\n"
    lock.release()


def test_another_process_is_refused_and_has_it_once_the_leader_is_killed(folder: Path) -> None:
    lock = Lock(str(folder / "lock"))
    with leader(folder) as process:
        assert not lock.acquire()
        assert holder(lock.path) == process.pid
        process.send_signal(signal.SIGKILL)
        process.wait()
        begun = time.monotonic()
        assert lock.acquire()
        assert time.monotonic() - begun < 0.1
    lock.release()


def test_a_second_leader_is_refused(folder: Path) -> None:
    with leader(folder), leader(folder, "refused") as second:
        assert second.wait() == 1


def test_a_dead_holder_is_none(folder: Path) -> None:
    with leader(folder) as process:
        process.kill()
        process.wait()
        assert (folder / "lock").read_text() == f"{process.pid}\n"
        assert holder(str(folder / "lock")) is None


def test_a_child_that_outlives_the_leader_does_not_hold_it(folder: Path) -> None:
    lock = Lock(str(folder / "lock"))
    assert lock.acquire()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        os.close(lock._descriptor or -1)  # as the kernel does when the leader dies
        assert Lock(lock.path).acquire()
    finally:
        child.kill()
        child.communicate()


def test_a_file_that_was_removed_is_no_longer_held(folder: Path) -> None:
    lock, other = Lock(str(folder / "lock")), Lock(str(folder / "lock"))
    assert not lock.keep()
    assert lock.acquire()
    os.utime(lock.path, (0, 0))
    assert lock.keep()
    assert Path(lock.path).stat().st_mtime > 1e9  # or what clears old files away would take it
    Path(lock.path).unlink()
    assert not lock.keep()
    assert other.acquire()
    assert other.keep()
    assert not lock.keep()
    lock.release()
    assert holder(other.path) == os.getpid()
    other.release()


def test_a_symlink_in_its_place_is_not_followed(folder: Path, tmp_path: Path) -> None:
    folder.mkdir(mode=0o700)
    (tmp_path / "precious").write_text("text")
    (folder / "lock").symlink_to(tmp_path / "precious")
    with pytest.raises(TrackerError, match="cannot be locked"):
        Lock(str(folder / "lock")).acquire()
    assert (tmp_path / "precious").read_text() == "text"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TrackerError, match="cannot be made: No such file or directory"):
        Lock(str(tmp_path / "none" / "claude-tracker" / "lock")).acquire()

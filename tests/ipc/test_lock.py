"""The lock between real processes, and which folder of it is believed: who has it, and how it comes free."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from monitor.core.errors import TrackerError
from monitor.ipc.lock import Lock, check_file, holder, own_folder
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


# The folder of lock and socket


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_missing_folder_is_made_and_an_old_one_closed_to_others(tmp_path: Path) -> None:
    own_folder(str(tmp_path / "new"))
    (tmp_path / "old").mkdir()
    (tmp_path / "old").chmod(0o755)
    own_folder(str(tmp_path / "old"))
    assert (mode(tmp_path / "new"), mode(tmp_path / "old")) == (0o700, 0o700)


@pytest.mark.parametrize("bits", [0o770, 0o702, 0o1777])
def test_a_folder_that_others_may_write_is_refused(tmp_path: Path, bits: int) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(bits)
    for use in (own_folder, lambda path: check_file(f"{path}/socket")):
        with pytest.raises(TrackerError, match=f"{folder}: others may write there"):
            use(str(folder))
    assert mode(folder) == bits


def test_a_link_to_a_good_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "good")
    with pytest.raises(TrackerError, match="is no folder"):
        own_folder(str(tmp_path / "link"))


def test_another_users_folder_is_refused_with_its_uid(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs to give a folder away, which only root can")
    folder = tmp_path / "theirs"
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, -1)
    for use in (own_folder, lambda path: check_file(f"{path}/socket")):
        with pytest.raises(TrackerError, match=r"belongs to another user \(uid 65534\)"):
            use(str(folder))


def test_another_users_file_in_our_folder_is_refused(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs to give a file away, which only root can")
    own_folder(str(tmp_path / "ours"))
    file = tmp_path / "ours" / "socket"
    file.touch()
    os.chown(file, 65534, -1)
    with pytest.raises(TrackerError, match="belongs to another user"):
        check_file(str(file))


def test_what_is_missing_is_no_trouble(tmp_path: Path) -> None:
    assert not check_file(str(tmp_path / "none" / "socket"))
    own_folder(str(tmp_path / "ours"))
    assert not check_file(str(tmp_path / "ours" / "socket"))
    assert not check_file(str(Path(__file__) / "below a file" / "socket"))

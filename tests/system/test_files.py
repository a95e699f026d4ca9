"""Private files: modes, atomic replacement, symlinks, locks between real processes, and state that may be lost."""

import json
import multiprocessing
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from monitor.system.files import lock_file, private_folder, read_regular, write_private

NOBODY = 65534


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def open_umask() -> object:
    """Under a umask that forbids nothing, a private mode is our own doing."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_private_folder_and_its_missing_parents_are_for_the_user_only(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    folder = private_folder(tmp_path / "a" / "b")
    assert (mode(folder), mode(folder.parent), mode(tmp_path)) == (0o700, 0o700, 0o755)


def test_a_folder_that_exists_is_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert private_folder(tmp_path) == tmp_path
    assert mode(tmp_path) == 0o755


def test_a_folder_cannot_be_made_inside_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        private_folder(tmp_path / "file" / "folder")


def test_a_file_is_written_privately_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_private(path, b"content")
    assert path.read_bytes() == b"content"
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_a_rewritten_file_becomes_private(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert (path.read_bytes(), mode(path)) == (b"new", 0o600)


def test_a_symlink_stays_and_its_target_is_written(tmp_path: Path) -> None:
    target = tmp_path / "dotfiles" / "config.toml"
    target.parent.mkdir()
    target.write_bytes(b"old")
    link = tmp_path / "config.toml"
    link.symlink_to(Path("dotfiles/config.toml"))
    write_private(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert [entry.name for entry in target.parent.iterdir()] == ["config.toml"]


def test_a_symlink_to_nothing_yet_gets_its_target(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "later" / "file")
    write_private(link, b"new")
    assert (tmp_path / "later" / "file").read_bytes() == b"new"


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(TypeError):
        write_private(path, "text")  # type: ignore[arg-type]  # a failure in the middle of the write
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("special", ["folder", "pipe"])
def test_what_is_no_regular_file_is_never_replaced(tmp_path: Path, special: str) -> None:
    path = tmp_path / special
    path.mkdir() if special == "folder" else os.mkfifo(path)
    with pytest.raises(OSError, match="Not a regular file"):
        write_private(path, b"new")
    assert not path.is_file()


def append_numbers(path: Path, times: int) -> None:
    for _ in range(times):
        with lock_file(path):
            numbers = json.loads(path.read_text())
            write_private(path, json.dumps([*numbers, len(numbers)]).encode())


def test_processes_that_edit_under_the_lock_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "numbers.json"
    path.write_text("[]")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=append_numbers, args=(path, 40)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert json.loads(path.read_text()) == list(range(120))


def test_a_lock_that_is_held_is_waited_for_only_so_long(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with (
        lock_file(path),
        pytest.raises(TimeoutError, match="locked"),
        lock_file(path, limit_secs=0.02),
    ):
        pass


def test_a_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(ZeroDivisionError), lock_file(path):
        _ = 1 / 0
    with lock_file(path, limit_secs=0.02):
        assert list(tmp_path.iterdir()) == []  # nothing lies about, not even meanwhile


@contextmanager
def unreadable_folder() -> Iterator[Path]:
    """One's own, and one is not root meanwhile, who may read every folder."""
    is_root = os.getuid() == 0
    with TemporaryDirectory(dir="/tmp") as name:
        if is_root:
            os.chown(name, NOBODY, NOBODY)
        Path(name).chmod(0o300)
        os.seteuid(NOBODY if is_root else os.getuid())
        try:
            yield Path(name)
        finally:
            os.seteuid(os.getuid())
            Path(name).chmod(0o700)


def test_where_a_folder_cannot_be_locked_a_file_in_it_is() -> None:
    with unreadable_folder() as folder:
        path = folder / "file"
        with lock_file(path), pytest.raises(TimeoutError), lock_file(path, limit_secs=0.02):
            pass
        assert mode(folder / "file.lock") == 0o600


def test_the_lock_of_a_symlink_is_that_of_its_target(tmp_path: Path) -> None:
    (tmp_path / "target").touch()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with (
        lock_file(tmp_path / "target"),
        pytest.raises(TimeoutError),
        lock_file(tmp_path / "link", limit_secs=0.02),
    ):
        pass


@pytest.mark.parametrize("kind", ["pipe", "device", "large"])
def test_a_whole_file_is_read_without_waiting_and_nothing_else_is(
    tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "file"
    match kind:
        case "pipe":
            os.mkfifo(file)
        case "device":
            file.symlink_to("/dev/zero")
        case "large":
            file.write_bytes(b"x" * 101)
    with pytest.raises(OSError, match=r"Not a regular file|larger than 0 KiB"):
        read_regular(file, 100)
    file.unlink()
    file.write_bytes(b"x" * 100)
    assert read_regular(file, 100) == b"x" * 100

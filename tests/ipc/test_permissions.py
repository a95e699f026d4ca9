"""What of a folder that others may have made first is believed."""

import os
import stat
from pathlib import Path

import pytest

from monitor.core.errors import TrackerError
from monitor.ipc.lock import check_file, own_folder


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

"""The stored samples: what goes in comes out, within its time; nothing that goes wrong is more than a log line."""

import logging
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.errors import TrackerError
from monitor.core.model import Usage, Window
from monitor.storage.samples import KEPT, SampleLog
from tests.builders import NOW, after, before, usage, window

FOREVER = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "history.db"


def kept(path: Path, *span: datetime) -> list[tuple[str, Usage]]:
    return list(SampleLog(path).usages(*(span or FOREVER)))


def test_what_was_polled_is_read_by_time_oldest_first(path: Path) -> None:
    history = SampleLog(path)
    five, seven = window("5h", 42.5, timedelta(hours=2)), window("7d", 7)
    history.append("b", usage(five, at=after(minutes=3)))
    history.append("a", usage(five, seven))
    history.append("a", usage(seven, at=after(minutes=6)))
    history.close()
    assert kept(path) == [
        ("a", usage(five, seven)),
        ("b", usage(five, at=after(minutes=3))),
        ("a", usage(seven, at=after(minutes=6))),
    ]
    assert [name for name, _ in kept(path, NOW, after(minutes=3))] == ["a", "b"]
    assert kept(path, after(minutes=7), after(minutes=8)) == []


instants = st.datetimes(
    datetime(2020, 1, 1),  # noqa: DTZ001 - the strategy wants its bounds naive
    datetime(2060, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


@settings(max_examples=30)
@given(instants, st.floats(0, 20), st.none() | instants)
def test_a_sample_comes_back_to_the_microsecond(
    tmp_path_factory: pytest.TempPathFactory, at: datetime, used: float, end: datetime | None
) -> None:
    path = tmp_path_factory.mktemp("history") / "history.db"
    history = SampleLog(path)
    history.append("a", Usage(at, (Window("5h", used, end),)))
    history.close()
    assert kept(path) == [("a", Usage(at, (Window("5h", used, end),)))]


def test_a_sample_that_comes_twice_is_kept_once(path: Path) -> None:
    first, second = SampleLog(path), SampleLog(path)
    for history in (first, second, first):
        history.append("a", usage(window("5h", 42)))
    first.close()
    second.close()
    assert kept(path) == [("a", usage(window("5h", 42)))]


def test_samples_are_kept_for_sixty_days(path: Path) -> None:
    history = SampleLog(path)
    for days in (61, 59, 1, 0):
        history.append("a", usage(window("5h", days), at=before(days=days)))
    history.close()
    assert [u.at for _, u in kept(path)] == [before(days=days) for days in (59, 1, 0)]
    assert timedelta(days=60) == KEPT


def test_without_a_file_there_are_no_samples_and_none_is_made(path: Path) -> None:
    assert kept(path) == []
    assert not path.exists()


def test_every_file_is_private(path: Path) -> None:
    history = SampleLog(path)
    history.append("a", usage(window("5h", 42)))
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes["history.db"] == 0o600
    assert set(modes.values()) == {0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700
    history.close()


def test_a_place_that_cannot_be_written_is_one_log_line_until_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "state"
    blocked.touch()
    history = SampleLog(blocked / "history.db")
    with caplog.at_level(logging.INFO):
        for minutes in range(5):
            history.append("a", usage(window("5h", 42), at=after(minutes=minutes)))
        assert len(caplog.records) == 1
        blocked.unlink()
        history.append("a", usage(window("5h", 43), at=after(minutes=5)))
    history.close()
    assert len(caplog.records) == 1
    assert "samples are not kept" in caplog.text
    assert [u.at for _, u in kept(blocked / "history.db")] == [after(minutes=5)]


def test_a_damaged_file_is_an_error_to_its_reader_and_is_kept_aside_by_who_writes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "history.db"
    path.write_bytes(b"no database, but long enough to be looked at " * 50)
    with pytest.raises(TrackerError, match=r"history\.db: cannot be read: file is not a database"):
        kept(path)
    history = SampleLog(path)
    for minutes in range(3):
        history.append("a", usage(window("5h", 42), at=after(minutes=minutes)))
    history.close()
    assert [u.at for _, u in kept(path)] == [after(minutes=minutes) for minutes in range(3)]
    assert len(caplog.records) == 1
    assert "was damaged" in caplog.text
    assert path.with_name("history.db.damaged").read_bytes().startswith(b"no database")


def test_a_page_that_is_damaged_while_the_file_is_in_use_costs_what_was_kept_and_no_more(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    history = SampleLog(path)
    for minutes in range(500):
        history.append("a", usage(window("5h", 42), at=after(minutes=minutes)))
    history.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    history.append("a", usage(window("5h", 43), at=after(minutes=500)))
    history.close()
    assert [u.at for _, u in kept(path)] == [after(minutes=500)]
    assert len(caplog.records) == 1


def test_a_full_disk_is_a_log_line(path: Path) -> None:
    code = (
        "import resource, sys, signal; from pathlib import Path; from monitor.storage.samples import SampleLog;"
        "from tests.builders import usage, window;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "history = SampleLog(Path(sys.argv[1])); history.append('a', usage(window('5h', 1)));"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY));"
        "history.append('b', usage(window('5h', 1)));"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2);"
        "history.append('c', usage(window('5h', 1))); history.close()"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr.count("samples are not kept") == 1
    assert [name for name, _ in kept(path)] == ["a", "c"]


def test_a_file_that_another_process_holds_is_a_log_line(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    history = SampleLog(path)
    history.append("a", usage(window("5h", 1)))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    history.append("b", usage(window("5h", 1)))
    other.execute("ROLLBACK")
    other.close()
    assert "locked" in caplog.text
    history.append("c", usage(window("5h", 1)))
    history.close()
    assert [name for name, _ in kept(path)] == ["a", "c"]

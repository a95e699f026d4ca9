"""The stored samples: what goes in comes out, within its time, and each settings file has its own."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.model import Usage, Window
from monitor.storage import samples
from monitor.storage.db import StorageError
from tests.builders import NOW, after, before, usage, window
from tests.storage.factories import write

FOREVER = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "state.db"


def append(path: Path, account: str, seen: Usage, rows: str = "") -> None:
    write(path, lambda database: samples.insert(database, rows, account, seen))


def kept(path: Path, *span: datetime, rows: str = "") -> list[tuple[str, Usage]]:
    return list(samples.usages(path, rows, *(span or FOREVER)))


def test_what_was_polled_is_read_by_time_oldest_first(path: Path) -> None:
    five, seven = window("5h", 42.5, timedelta(hours=2)), window("7d", 7)
    append(path, "b", usage(five, at=after(minutes=3)))
    append(path, "a", usage(five, seven))
    append(path, "a", usage(seven, at=after(minutes=6)))
    assert kept(path) == [
        ("a", usage(five, seven)),
        ("b", usage(five, at=after(minutes=3))),
        ("a", usage(seven, at=after(minutes=6))),
    ]
    assert [name for name, _ in kept(path, NOW, after(minutes=3))] == ["a", "b"]
    assert kept(path, after(minutes=7), after(minutes=8)) == []
    assert kept(path, rows="another settings file") == []


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
    path = tmp_path_factory.mktemp("state") / "state.db"
    append(path, "a", Usage(at, (Window("5h", used, end),)))
    assert kept(path) == [("a", Usage(at, (Window("5h", used, end),)))]


def test_a_sample_that_comes_twice_is_kept_once(path: Path) -> None:
    for _ in range(2):
        append(path, "a", usage(window("5h", 42)))
    assert kept(path) == [("a", usage(window("5h", 42)))]


def test_samples_are_kept_for_sixty_days(path: Path) -> None:
    for days in (61, 59, 1, 0):
        append(path, "a", usage(window("5h", days), at=before(days=days)))
    append(path, "a", usage(window("5h", 1), at=before(days=61)), rows="another settings file")
    write(path, lambda database: samples.prune(database, "", NOW))
    assert [u.at for _, u in kept(path)] == [before(days=days) for days in (59, 1, 0)]
    assert len(kept(path, rows="another settings file")) == 1
    assert timedelta(days=60) == samples.KEPT


def test_without_a_file_there_are_no_samples_and_none_is_made(path: Path) -> None:
    assert kept(path) == []
    assert not path.exists()


def test_a_damaged_file_is_an_error_to_its_reader_who_leaves_it_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"no database, but long enough to be looked at " * 50)
    with pytest.raises(StorageError, match=r"state\.db cannot be read: file is not a database"):
        kept(path)
    assert [file.name for file in tmp_path.iterdir()] == ["state.db"]

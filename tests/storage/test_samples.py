"""The stored samples: what goes in comes out, within its time, and each settings file has its own."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.model import Usage, Window
from monitor.storage import samples
from monitor.storage.db import StorageError, list_set_aside
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


def poll_every(path: Path, minutes: int, days: range) -> None:
    """Samples of these days, counted back, whose utilization climbs and falls within each hour."""
    rows = [
        samples.StoredSample(at, "a", "5h", (at.minute % 30) / 100, None)
        for day in days
        for step in range(24 * 60 // minutes)
        if (at := before(days=day) + timedelta(minutes=step * minutes)) <= NOW
    ]
    write(path, lambda database: samples.insert_many(database, "", rows))


def prune(path: Path, now: datetime = NOW) -> None:
    write(path, lambda database: samples.prune(database, "", now))


def test_samples_are_thinned_to_an_hour_after_eight_days_and_kept_for_thirteen_months(
    path: Path,
) -> None:
    poll_every(path, 3, range(1, 11))
    append(path, "a", usage(window("5h", 1), at=before(days=395)))
    append(path, "a", usage(window("5h", 1), at=before(days=397)))
    append(path, "a", usage(window("5h", 1), at=before(days=397)), rows="another settings file")
    prune(path)
    ages = [NOW - found.at for _, found in kept(path)]
    assert max(ages) == timedelta(days=395)
    assert sum(age <= timedelta(days=8) for age in ages) == 8 * 480
    assert sum(timedelta(days=8) < age < timedelta(days=11) for age in ages) == 2 * 24 * 2
    assert len(kept(path, rows="another settings file")) == 1


def test_a_thinned_hour_keeps_its_last_sample_and_its_highest(path: Path) -> None:
    poll_every(path, 3, range(10, 11))
    prune(path)
    first_hour = [found for _, found in kept(path)][:2]
    assert [round(found.windows[0].utilization, 2) for found in first_hour] == [0.27, 0.27]
    assert [found.at.minute for found in first_hour] == [27, 57]


def test_what_was_thinned_is_not_looked_at_again_unless_older_samples_came(path: Path) -> None:
    prune_twice = range(10, 11)
    poll_every(path, 3, prune_twice)
    prune(path)
    thinned = len(kept(path))
    poll_every(path, 3, prune_twice)  # as an import brings them
    assert len(kept(path)) == thinned, "what thinning would not keep is known before"
    later = [
        samples.StoredSample(found.at + timedelta(seconds=s), "a", "5h", 0.5)
        for _, found in kept(path)
        if found.at.minute == 57
        for s in (1, 2)
    ]
    added = write(path, lambda database: samples.insert_many(database, "", later))
    assert added == (len(later), 0)
    prune(path)
    assert len(kept(path)) == thinned + len(later)
    write(path, lambda database: samples.thin_again(database, ""))
    prune(path)
    assert len(kept(path)) == thinned


def test_the_samples_of_one_account_are_read_by_window(path: Path) -> None:
    append(path, "a", usage(window("5h", 42, timedelta(hours=2)), window("7d", 7)))
    append(path, "a", usage(window("5h", 43), at=after(minutes=3)))
    append(path, "b", usage(window("5h", 1)))
    found = write(path, lambda d: samples.read(d, "", "a", NOW, after(minutes=3)))
    assert {key: [s.utilization for s in series] for key, series in found.items()} == {
        "5h": [0.42, 0.43],
        "7d": [0.07],
    }
    assert found["5h"][0].resets_at == after(hours=2)
    between = after(minutes=1), after(minutes=2)
    assert write(path, lambda database: samples.read(database, "", "a", *between)) == {}


def test_a_history_that_is_not_wanted_is_deleted(path: Path) -> None:
    append(path, "a", usage(window("5h", 42)))
    append(path, "a", usage(window("5h", 42)), rows="another settings file")
    write(path, lambda database: samples.forget(database, ""))
    assert kept(path) == []
    assert len(kept(path, rows="another settings file")) == 1


def test_without_a_file_there_are_no_samples_and_none_is_made(path: Path) -> None:
    assert kept(path) == []
    assert not path.exists()


def test_a_damaged_file_is_an_error_to_its_reader_who_leaves_it_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"no database, but long enough to be looked at " * 50)
    with pytest.raises(StorageError, match=r"state\.db cannot be read: file is not a database"):
        kept(path)
    assert [file.name for file in tmp_path.iterdir()] == ["state.db"]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE samples SET utilization = 'much'",
        "UPDATE samples SET utilization = X'01'",
        "UPDATE samples SET utilization = 9e999",
        "UPDATE samples SET resets_at = 'soon'",
        "UPDATE samples SET resets_at = 1e300",
        "UPDATE series SET window = CAST(window AS BLOB)",
    ],
)
def test_a_sample_of_another_type_is_damage(path: Path, change: str) -> None:
    append(path, "a", usage(window("5h", 42, timedelta(hours=2))))
    write(path, lambda database: database.execute(change))
    with pytest.raises(StorageError, match=r"state\.db cannot be read: a (row|sample) "):
        kept(path)
    assert write(path, lambda database: samples.read(database, "", "a", *FOREVER)) == {}
    assert len(list_set_aside(path)) == 1

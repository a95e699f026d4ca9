"""The files that hold what outlives the process: damage is mended once, and nothing is written by halves."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from monitor.storage.sqlite import RETRY_EVENTS, Retry, SqliteFile, opened_to_read

NO_DATABASE = b"no database, but long enough to be looked at " * 50


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "words.db"


@pytest.fixture
def file(path: Path) -> Iterator[SqliteFile]:
    with closing(file_at(path)) as made:
        yield made


def file_at(path: Path) -> SqliteFile:
    return SqliteFile(path, make)


def make(database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE IF NOT EXISTS words (word TEXT)")


def add(file: SqliteFile, word: str) -> None:
    file.write(lambda database: database.execute("INSERT INTO words VALUES (?)", (word,)))


def words(path: Path) -> list[str]:
    database = opened_to_read(path)
    assert database is not None
    with closing(database):
        return [word for (word,) in database.execute("SELECT word FROM words")]


def test_work_that_fails_leaves_nothing_behind(file: SqliteFile, path: Path) -> None:
    def half(database: sqlite3.Connection) -> None:
        database.execute("INSERT INTO words VALUES ('half')")
        raise ValueError

    add(file, "first")
    with pytest.raises(ValueError):
        file.write(half)
    add(file, "second")
    assert words(path) == ["first", "second"]


def test_what_two_processes_find_damaged_is_mended_by_one(path: Path) -> None:
    path.write_bytes(NO_DATABASE)
    code = (
        "import sys; from pathlib import Path; from tests.storage.test_sqlite import add, file_at;"
        "file = file_at(Path(sys.argv[1])); sys.stdin.read(); add(file, 'kept')"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", code, path], stdin=subprocess.PIPE)
        for _ in range(3)
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.close()
    assert [child.wait() for child in children] == [0, 0, 0]
    assert words(path) == ["kept"] * 3
    assert path.with_name("words.db.damaged").read_bytes() == NO_DATABASE


def test_an_error_that_is_no_damage_leaves_the_file_alone(file: SqliteFile, path: Path) -> None:
    add(file, "first")
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        file.write(lambda database: database.execute("SELECT * FROM sentences"))
    assert words(path) == ["first"]
    assert not path.with_name("words.db.damaged").exists()


def test_what_may_be_lost_is_complained_of_once_until_it_works_again(
    file: SqliteFile, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: sqlite3.Connection) -> None:
        raise OSError("the disk is gone")

    outcomes = [file.keep(work, "words are lost") for work in (fail, fail, make, fail)]
    assert outcomes == [False, False, True, False]
    assert caplog.messages == [f"{path}: words are lost: the disk is gone"] * 2


def test_a_file_that_is_not_there_is_not_made_to_be_read(path: Path) -> None:
    assert opened_to_read(path) is None
    assert not path.exists()


def test_what_failed_is_due_again_after_some_events_and_at_once_after_a_success() -> None:
    retry = Retry()
    assert retry.is_due
    retry.failed()
    due = []
    for _ in range(RETRY_EVENTS):
        retry.count()
        due.append(retry.is_due)
    assert due == [False] * (RETRY_EVENTS - 1) + [True]
    retry.failed()
    retry.worked()
    assert retry.is_due

"""The file itself: whatever is wrong with it, it is set aside and named, and a new one begun; the rest is an error."""

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from monitor.storage import cache, deliveries, samples
from monitor.storage.db import StateFile, StorageError, check, list_set_aside, read_only
from tests.builders import NOW, after, usage, window
from tests.fakes import inline_recorder
from tests.storage.factories import locked, write
from tools.kill.bench import alert
from tools.kill.restarts import Process, sample

NO_DATABASE = b"no database, but long enough to be looked at " * 50


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def file(path: Path) -> Iterator[StateFile]:
    with closing(StateFile(path)) as made:
        yield made


def put(file: StateFile, name: str) -> None:
    file.write(lambda db: cache.put(db, "", "word", name, name))


def words(path: Path) -> set[str]:
    nothing: list[tuple[str]] = []
    query = "SELECT name FROM cache WHERE kind = 'word'"
    return {name for (name,) in read_only(path, lambda db: db.execute(query).fetchall(), nothing)}


def test_work_that_fails_leaves_nothing_behind(file: StateFile, path: Path) -> None:
    def half(database: sqlite3.Connection) -> None:
        cache.put(database, "", "word", "half", "half")
        raise ValueError

    put(file, "first")
    with pytest.raises(ValueError):
        file.write(half)
    put(file, "second")
    assert words(path) == {"first", "second"}


def test_what_is_wrong_around_the_file_is_one_line_and_leaves_it_alone(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StorageError, match=r"state\.db cannot be written: ") as caught:
        put(StateFile(tmp_path / "state" / "state.db"), "word")
    assert "\n" not in str(caught.value)
    assert (tmp_path / "state").read_text() == "a file"


def test_a_file_that_another_process_locks_is_an_error_until_it_does_not(
    file: StateFile, path: Path
) -> None:
    put(file, "first")
    with closing(StateFile(path, busy_secs=0)) as other:
        with locked(path), pytest.raises(StorageError, match="database is locked"):
            put(other, "second")
        put(other, "third")
    assert words(path) == {"first", "third"}
    assert list_set_aside(path) == []


def test_a_full_disk_is_an_error_and_no_damage(path: Path) -> None:
    code = (
        "import resource, signal, sys; from pathlib import Path;"
        "from monitor.storage.db import StateFile, StorageError; from tests.storage.test_db import put;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "file = StateFile(Path(sys.argv[1])); put(file, 'first');"
        "limit = lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY));"
        "limit(1)\n"
        "try: put(file, 'second')\n"
        "except StorageError as error: print(error)\n"
        "limit(resource.RLIM_INFINITY); put(file, 'third'); file.close()"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert (done.returncode, done.stdout.count("cannot be written")) == (0, 1), done
    assert words(path) == {"first", "third"}
    assert list_set_aside(path) == []


def test_what_two_processes_find_damaged_is_set_aside_by_one(path: Path) -> None:
    path.write_bytes(NO_DATABASE)
    code = (
        "import sys; from pathlib import Path; from monitor.storage.db import StateFile;"
        "from tests.storage.test_db import put;"
        "file = StateFile(Path(sys.argv[1]), busy_secs=30); sys.stdin.read(); put(file, sys.argv[2])"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", code, path, name], stdin=subprocess.PIPE)
        for name in "abc"
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.close()
    assert [child.wait() for child in children] == [0, 0, 0]
    assert words(path) == {"a", "b", "c"}
    (aside,) = list_set_aside(path)
    assert aside.read_bytes() == NO_DATABASE


@pytest.mark.parametrize("step", ["PRAGMA application_id", "SELECT count(*) FROM sqlite_master"])
def test_a_database_that_another_process_is_making_is_not_taken_for_a_strange_one(
    path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Overtaken(sqlite3.Connection):
        """Between two of its statements another process makes the tables, if it can at once."""

        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            if sql == step and not makers:
                makers.append(subprocess.run([sys.executable, "-c", make, path], check=False))
            return super().execute(sql, *values)

    makers: list[Any] = []
    make = (
        "import sys; from pathlib import Path; from monitor.storage.db import StateFile;"
        "from tests.storage.test_db import put;"
        "put(StateFile(Path(sys.argv[1]), busy_secs=0.1), 'theirs')"
    )
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Overtaken))
    with closing(StateFile(path)) as file:
        put(file, "ours")
    assert list_set_aside(path) == []
    is_made = makers[0].returncode == 0
    assert words(path) == ({"ours", "theirs"} if is_made else {"ours"})


def test_a_file_that_was_removed_while_it_is_in_use_is_begun_anew(
    file: StateFile, path: Path
) -> None:
    put(file, "first")
    for one in path.parent.glob("state.db*"):
        one.unlink()
    put(file, "second")
    assert words(path) == {"second"}


def of_another_version(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute(f"PRAGMA user_version = {version}")


def foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TABLE accounts (account TEXT, document TEXT)")


def without_a_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("DROP TABLE requests")
        other.execute("DROP TABLE deliveries")


def no_text(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE cache SET name = CAST(X'ff' AS TEXT) WHERE name = 'a'")


def no_text_in_the_schema(path: Path) -> None:
    """Which SQLite's own complaint quotes."""
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE samples", b"CREATE TABL\xaa samples"))


def of_another_meaning(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE cache SET document = replace(document, '0.85', '0.95')")


def changed_by(statement: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with closing(sqlite3.connect(path)) as other, other:
            other.execute(statement)

    return change


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (lambda path: of_another_version(path, 99), "version-99"),
        (lambda path: of_another_version(path, 0), "version-0"),
        (foreign, "foreign"),
        (without_a_table, "damaged"),
        (no_text, "damaged"),
        (no_text_in_the_schema, "damaged"),
        (of_another_meaning, "damaged"),
        (changed_by("UPDATE series SET thinned_until = 'x'"), "damaged"),
        (changed_by("UPDATE alerts SET decided_at = X'ff'"), "damaged"),
        (changed_by("INSERT INTO requests VALUES ('a', 'x')"), "damaged"),
        (lambda path: path.write_bytes(NO_DATABASE), "damaged"),
    ],
)
async def test_a_database_that_cannot_be_used_is_set_aside_under_a_name_that_says_why(
    tmp_path: Path,
    path: Path,
    damage: Callable[[Path], None],
    kind: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await lived(tmp_path)
    damage(path)
    content = path.read_bytes()
    with pytest.raises(StorageError, match=r"state\.db cannot be read: "):
        check(path)
    await goes_on(tmp_path)
    (aside,) = list_set_aside(path)
    assert aside.name.startswith(f"state.db.{kind}-20")
    assert aside.read_bytes() == content
    assert aside.name in caplog.text
    check(path)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_set_aside_as_well(path: Path, make: Callable[[Path], None]) -> None:
    make(path)
    with closing(StateFile(path)) as file:
        put(file, "word")
    assert words(path) == {"word"}
    (aside,) = list_set_aside(path)
    assert aside.name.startswith("state.db.foreign-20")


def test_a_link_whose_target_is_not_there_yet_leads_to_the_new_database(path: Path) -> None:
    target = path.with_name("elsewhere") / "state.db"
    path.symlink_to(target)
    with closing(StateFile(path)) as file:
        put(file, "word")
    assert path.is_symlink()
    assert words(target) == {"word"}
    assert target.parent.stat().st_mode & 0o777 == 0o700


async def lived(folder: Path) -> None:
    """A program has lived there for a while: every table has rows, in one file without a journal."""
    process = Process(folder, NOW)
    for n in range(40):
        process.lives_through(sample("a", 3 * n, 70 + n / 2), sample("b", 3 * n, 85))
    process.recorder.record_facts("a", {"plan": "pro", "folders": ["/home/a/.claude"]})
    await process.dies()
    with closing(sqlite3.connect(folder / "state.db")) as database:
        database.execute("PRAGMA journal_mode = DELETE")


async def goes_on(folder: Path) -> None:
    """The next program starts, and writes what it learns."""
    recorder = inline_recorder(folder)
    await recorder.load()
    process = Process(folder, after(minutes=200))
    process.lives_through(sample("a", 200, 70), sample("a", 203, 85))
    assert (process.recorder.failure, recorder.failure) == (None, None)
    assert cache.read(folder / "state.db", "").accounts["a"].usage is not None
    await process.dies()
    await recorder.database.close()


def flip(content: bytearray, places: list[int], rng: random.Random) -> None:
    content[rng.choice(places)] ^= 1 << rng.randrange(8)


def places_of_texts(content: bytes) -> list[int]:
    """Where the documents of rows stand."""
    found: list[int] = []
    start = 0
    while (start := content.find(b'{"', start)) >= 0:
        end = content.find(b"}", start)
        found += range(start, end)
        start = end
    return found


@pytest.mark.parametrize("seed", range(100))
async def test_a_database_that_is_damaged_in_any_way_is_no_reason_not_to_go_on(
    tmp_path: Path, path: Path, seed: int, whole: bytes
) -> None:
    rng = random.Random(seed)
    content = bytearray(whole)
    match seed % 4:
        case 0 | 1:
            flip(content, places_of_texts(whole), rng)
        case 2:
            del content[rng.randrange(1, len(content)) :]
        case _:
            start = rng.randrange(len(content) - 200)
            content[start : start + 200] = rng.randbytes(200)
    path.write_bytes(content)
    await goes_on(tmp_path)
    if seed % 4 in (0, 1):
        assert len(list_set_aside(path)) == 1, "one bit of a document"
    check(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("lived")
    asyncio.run(lived(folder))
    return (folder / "state.db").read_bytes()


def test_damage_to_the_samples_is_found_where_one_comes_upon_it(path: Path) -> None:
    def fill(database: sqlite3.Connection) -> None:
        for n in range(500):
            samples.insert(database, "", "a", usage(window("5h", 42), at=after(minutes=n)))

    write(path, fill)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = DELETE")
        (page,) = database.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'samples'"
        ).fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as raw:
        raw.seek((page - 1) * size)
        raw.write(b"\xff" * size)
    write(path, lambda db: samples.insert(db, "", "a", usage(window("5h", 43))))
    assert len(list_set_aside(path)) == 1
    assert len(list(samples.usages(path, "", NOW, after(days=1)))) == 1


@pytest.mark.parametrize("value", [float("inf"), b"\xff", "much"])
def test_the_check_of_the_doctor_reads_every_row(path: Path, value: object) -> None:
    def fill(database: sqlite3.Connection) -> None:
        for n in range(50):
            samples.insert(database, "", "a", usage(window("5h", 42), at=after(minutes=n)))

    write(path, fill)
    check(path)
    change = "UPDATE samples SET utilization = ? WHERE at = (SELECT max(at) FROM samples)"
    write(path, lambda database: database.execute(change, (value,)))
    with pytest.raises(StorageError, match="row 50 of samples is not as it was written"):
        check(path)


async def test_a_damaged_alert_is_found_by_who_asks_what_is_left_to_be_sent(
    tmp_path: Path, path: Path
) -> None:
    recorder = inline_recorder(tmp_path)
    write(path, lambda db: deliveries.insert(db, "", "key", alert("a")))
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE alerts SET document = '{}'")
    assert await recorder.database.read(lambda db: deliveries.unfinished(db, ""), within=1) == []
    assert len(list_set_aside(path)) == 1
    assert recorder.failure is None


def test_a_second_name_in_the_same_second_overwrites_nothing(path: Path) -> None:
    for n in range(3):
        path.write_bytes(NO_DATABASE + bytes([n]))
        with closing(StateFile(path)) as file:
            put(file, "word")
    assert len({one.read_bytes() for one in list_set_aside(path)}) == 3

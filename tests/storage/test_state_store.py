"""What the next process finds: written at each change, read while another writes, lost without harm."""

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from monitor.core.events import (
    AccountsLoaded,
    Event,
    PollStarted,
    PollSucceeded,
    RefreshRequested,
    RequestSent,
    Ticked,
)
from monitor.core.model import Account, AccountState
from monitor.core.state import State
from monitor.storage.sqlite import RETRY_EVENTS
from monitor.storage.state_store import StateStore
from monitor.store import Store
from tests.builders import NOW, after, before, live, usage, waiting, window


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "state.db"


def kept(path: Path) -> dict[str, AccountState]:
    return StateStore(path).load()


def kept_of(account: AccountState) -> AccountState:
    """What is written of it."""
    return replace(account, polling=False, alerts={}, conditions={})


def running(snapshots: StateStore, *names: str) -> Store:
    store = Store(State(), keep=snapshots.record)
    store.dispatch(loaded(*names))
    return store


def loaded(*names: str) -> AccountsLoaded:
    return AccountsLoaded(NOW, tuple(Account(name, f"org-{name}") for name in names))


def success(name: str, percent: float) -> PollSucceeded:
    seen = usage(window("5h", percent, timedelta(hours=3)))
    return PollSucceeded(NOW, name, seen, timedelta(seconds=1))


def test_the_newest_of_each_account_is_found(path: Path) -> None:
    snapshots = StateStore(path)
    snapshots.save("a", live("a", window("5h", 4)))
    snapshots.save("b", waiting("b"))
    snapshots.save("a", live("a", window("5h", 5)))
    assert kept(path) == {"a": live("a", window("5h", 5)), "b": waiting("b")}
    snapshots.forget("a")
    assert kept(path).keys() == {"b"}
    snapshots.close()
    assert kept(path).keys() == {"b"}


def test_without_a_file_nothing_is_known_and_none_is_made(path: Path) -> None:
    assert kept(path) == {}
    assert not path.parent.exists()


def test_every_file_is_private(path: Path) -> None:
    snapshots = StateStore(path)
    snapshots.save("a", live("a"))
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes["state.db"] == 0o600
    assert set(modes.values()) == {0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700
    snapshots.close()


async def test_each_event_is_on_the_disk_when_it_has_been_dispatched(path: Path) -> None:
    snapshots = StateStore(path)
    store = running(snapshots, "a", "b")
    events: tuple[Event, ...] = (
        PollStarted(NOW, "a"),
        RequestSent(NOW, "a"),
        success("a", 81),
        RefreshRequested(after(minutes=1)),
        Ticked(after(minutes=2)),
    )
    for event in events:
        store.dispatch(event)
        assert kept(path) == {name: kept_of(a) for name, a in store.state.accounts.items()}
    snapshots.close()


async def test_a_request_is_known_to_whoever_comes_next_before_it_leaves(path: Path) -> None:
    snapshots = StateStore(path)
    store = running(snapshots, "a")
    store.dispatch(RequestSent(NOW, "a"))
    assert kept(path)["a"].requests == (NOW,)
    assert kept(path)["a"].next_poll_at == after(seconds=180)
    snapshots.close()


async def test_only_what_has_changed_is_written(path: Path) -> None:
    snapshots = StateStore(path)
    store = running(snapshots, "a", "b")
    with sqlite3.connect(path) as database:
        database.execute("UPDATE accounts SET document = 'as it was'")
    database.close()
    store.dispatch(Ticked(NOW))
    store.dispatch(RequestSent(NOW, "b"))
    assert kept(path).keys() == {"b"}
    snapshots.close()


async def test_accounts_that_were_removed_are_forgotten(path: Path) -> None:
    snapshots = StateStore(path)
    store = Store(State(), keep=snapshots.record)
    store.dispatch(loaded("a", "b", "c"))
    store.dispatch(success("a", 42))
    renamed = Account("z", "org-a"), Account("b", "org-b")
    store.dispatch(AccountsLoaded(NOW, renamed, renamed={"a": "z"}))
    assert kept(path).keys() == {"b", "z"}
    assert kept(path)["z"].usage == success("a", 42).usage
    snapshots.close()


async def test_the_accounts_of_another_settings_file_are_kept(path: Path) -> None:
    snapshots = StateStore(path)
    snapshots.save("of another file", live("of another file"))
    store = Store(State(), keep=snapshots.record)
    store.dispatch(loaded("a"))
    assert kept(path).keys() == {"a", "of another file"}
    snapshots.close()


def test_what_cannot_be_read_is_left_out(path: Path) -> None:
    snapshots = StateStore(path)
    snapshots.save("a", live("a"))
    with sqlite3.connect(path) as database:
        database.executemany(
            "INSERT INTO accounts VALUES (?, ?)",
            [("b", "no JSON"), ("c", "{}"), ("d", "[3]"), ("e", '{"account": 1e999}')],
        )
    database.close()
    assert kept(path).keys() == {"a"}
    snapshots.close()


def test_a_damaged_file_is_set_aside_with_one_warning(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database, but long enough to be looked at " * 50)
    assert kept(path) == {}
    caplog.clear()
    snapshots = StateStore(path)
    for percent in range(3):
        snapshots.save("a", live("a", window("5h", percent)))
    assert kept(path) == {"a": live("a", window("5h", 2))}
    assert len(caplog.records) == 1
    assert "was damaged" in caplog.text
    assert path.with_name("state.db.damaged").read_bytes().startswith(b"no database")
    snapshots.close()


def test_a_file_that_is_damaged_while_it_is_in_use_is_begun_anew(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    snapshots = StateStore(path)
    for n in range(50):
        snapshots.save(f"a{n}", live(f"a{n}"))
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    with path.open("r+b") as file:
        file.write(b"\xff" * 4096)
    other = StateStore(path)
    other.save("b", live("b"))
    assert kept(path).keys() == {"b"}
    assert len(caplog.records) == 1
    other.close()


def test_a_place_that_cannot_be_written_is_one_warning_until_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "state"
    blocked.touch()
    snapshots = StateStore(blocked / "state.db")
    start = State(accounts={"a": waiting("a"), "b": waiting("b")})
    changed = replace(start, accounts={**start.accounts, "b": live("b")})
    with caplog.at_level(logging.INFO):
        snapshots.record(State(), start)
        snapshots.record(start, changed)
        assert len(caplog.records) == 1
        blocked.unlink()
        for _ in range(RETRY_EVENTS):
            snapshots.record(changed, changed)
    assert len(caplog.records) == 1
    assert kept(blocked / "state.db") == {"a": waiting("a"), "b": live("b")}, "all that is owed"
    snapshots.close()


def test_an_account_that_went_while_nothing_could_be_written_is_not_brought_back(
    tmp_path: Path,
) -> None:
    blocked = tmp_path / "state"
    blocked.touch()
    snapshots = StateStore(blocked / "state.db")
    both = State(accounts={"a": waiting("a"), "b": waiting("b")})
    snapshots.record(State(), both)
    snapshots.record(both, State(accounts={"b": waiting("b")}))
    blocked.unlink()
    snapshots.save("b", live("b"))
    assert kept(blocked / "state.db") == {"b": live("b")}
    snapshots.close()


def test_a_full_disk_is_one_warning(path: Path) -> None:
    code = (
        "import resource, sys, signal; from pathlib import Path; from monitor.storage.state_store import StateStore;"
        "from tests.builders import live; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "snapshots = StateStore(Path(sys.argv[1])); snapshots.save('a', live('a'));"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY));"
        "snapshots.save('b', live('b'));"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2);"
        "snapshots.save('c', live('c')); snapshots.close()"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr.count("is not kept") == 1
    assert kept(path).keys() == {"a", "b", "c"}


def test_a_process_that_is_killed_leaves_all_that_it_saved(path: Path) -> None:
    code = (
        "import os, sys, time; from pathlib import Path; from monitor.storage.state_store import StateStore;"
        "from tests.builders import live; snapshots = StateStore(Path(sys.argv[1]));"
        "[snapshots.save(f'a{n}', live(f'a{n}')) for n in range(20)];"
        "os.write(1, b'saved'); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE)
    with child:
        assert child.stdout is not None
        assert os.read(child.stdout.fileno(), 9) == b"saved"
        assert len(kept(path)) == 20, "also while it lives"
        child.send_signal(signal.SIGKILL)
    assert len(kept(path)) == 20
    snapshots = StateStore(path)
    snapshots.save("b", live("b"))
    assert len(kept(path)) == 21
    snapshots.close()


async def test_an_event_costs_about_a_millisecond(path: Path) -> None:
    snapshots = StateStore(path)
    store = running(snapshots, *(f"account-{n}" for n in range(100)))
    sent = tuple(before(minutes=2 * n) for n in range(27, 0, -1))
    for name, account in store.state.accounts.items():
        snapshots.save(name, replace(account, requests=sent))
    started = time.perf_counter()
    for n in range(100):
        store.dispatch(RequestSent(NOW, f"account-{n}"))
    assert time.perf_counter() - started < 1, "ten times what it takes here"
    snapshots.close()

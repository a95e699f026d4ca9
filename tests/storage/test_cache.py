"""What the next process finds: written at each change, read while another writes, lost without harm."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from monitor.core.codec import encode
from monitor.core.errors import Reason
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
from monitor.storage import cache
from monitor.storage.db import render_row
from monitor.store import Store
from tests.builders import NOW, after, failing, live, usage, waiting, window
from tests.fakes import inline_recorder
from tests.storage.factories import locked, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "state.db"


def kept(path: Path, settings: str = "") -> dict[str, AccountState]:
    return dict(cache.read(path, settings).accounts)


def running(path: Path, *names: str, settings: str = "") -> Store:
    store = Store(State(), inline_recorder(path.parent, settings).record)
    store.dispatch(loaded(*names))
    return store


def loaded(*names: str) -> AccountsLoaded:
    return AccountsLoaded(NOW, tuple(Account(name, f"org-{name}") for name in names))


def success(name: str, percent: float) -> PollSucceeded:
    seen = usage(window("5h", percent, timedelta(hours=3)))
    return PollSucceeded(NOW, name, seen, timedelta(seconds=1))


def test_without_a_file_nothing_is_known_and_none_is_made(path: Path) -> None:
    assert kept(path) == {}
    assert not path.parent.exists()


def test_every_file_is_private(path: Path) -> None:
    write(path, lambda db: cache.put(db, "", cache.ACCOUNT, "a", live("a")))
    modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_each_event_leaves_what_a_successor_needs(path: Path) -> None:
    store = running(path, "a", "b")
    events: tuple[Event, ...] = (
        PollStarted(NOW, "a"),
        RequestSent(NOW, "a"),
        success("a", 81),
        RefreshRequested(after(minutes=1)),
        Ticked(after(minutes=2)),
    )
    for event in events:
        store.dispatch(event)
        if not store.state.accounts["a"].polling:  # else its row waits for the end of the poll
            assert kept(path) == dict(store.state.accounts)
    assert kept(path)["a"].requests == (NOW,)


async def test_only_what_has_changed_is_written(path: Path) -> None:
    store = running(path, "a", "b")
    write(path, lambda db: cache.put(db, "", cache.ACCOUNT, "a", live("a")))
    store.dispatch(Ticked(NOW))
    store.dispatch(PollStarted(NOW, "b"))
    assert kept(path)["a"] == live("a"), "as another process has left it"


async def test_accounts_that_were_removed_are_forgotten(path: Path) -> None:
    store = running(path, "a", "b", "c")
    store.dispatch(success("a", 42))
    renamed = Account("z", "org-a"), Account("b", "org-b")
    store.dispatch(AccountsLoaded(NOW, renamed, renamed={"a": "z"}))
    assert kept(path).keys() == {"b", "z"}
    assert kept(path)["z"].usage == success("a", 42).usage


async def test_settings_files_are_kept_apart(path: Path) -> None:
    running(path, "a")
    running(path, "a", "b", settings="other").dispatch(success("a", 42))
    assert (set(kept(path)), set(kept(path, "other"))) == ({"a"}, {"a", "b"})
    assert kept(path)["a"].usage is None
    assert kept(path, "third") == {}


async def test_facts_of_accounts_come_back_and_the_last_word_holds(path: Path) -> None:
    recorder = inline_recorder(path.parent)
    odd = os.fsdecode(b"/home/zo\xeb/.claude")
    for plan in ("pro", "max_20x"):
        recorder.record_facts("user@example.com", {"plan": plan, "folders": [odd]})
    recorder.record_facts("gone", {"plan": "pro"})
    recorder.record_facts("gone", None)
    assert cache.read(path, "").facts == {"user@example.com": {"plan": "max_20x", "folders": [odd]}}
    assert (await recorder.load()).facts == cache.read(path, "").facts


async def test_what_may_be_private_or_is_no_text_is_not_kept(path: Path) -> None:
    odd = os.fsdecode(b"/home/zo\xeb/.claude")
    mine = replace(live("a"), config_dir=odd, account=Account("a", token_command=("pass", "me")))
    write(path, lambda db: cache.put(db, "", cache.ACCOUNT, "a", mine))
    assert kept(path) == {"a": replace(live("a"), account=Account("a"))}


async def test_who_reads_while_another_process_writes_is_not_held_up(path: Path) -> None:
    running(path, "a")
    with locked(path):
        assert kept(path).keys() == {"a"}


def test_a_process_that_is_killed_leaves_all_that_it_wrote(path: Path) -> None:
    code = (
        "import os, sys, time; from pathlib import Path; from monitor.storage import cache;"
        "from monitor.storage.db import StateFile; from tests.builders import live;"
        "file = StateFile(Path(sys.argv[1]));"
        "[file.write(lambda db: cache.put(db, '', cache.ACCOUNT, f'a{n}', live(f'a{n}'))) for n in range(20)];"
        "os.write(1, b'saved'); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE)
    with child:
        assert child.stdout is not None
        assert os.read(child.stdout.fileno(), 9) == b"saved"
        assert len(kept(path)) == 20, "also while it lives"
        child.send_signal(signal.SIGKILL)
    assert len(kept(path)) == 20
    write(path, lambda db: cache.put(db, "", cache.ACCOUNT, "b", waiting("b")))
    assert len(kept(path)) == 21


def test_what_version_0_1_0_has_kept_of_an_account_that_fails_is_known(path: Path) -> None:
    fails = failing(live("a"), Reason.AUTH, "refused")
    documents = {"a": encode(AccountState, fails), "b": encode(AccountState, live("b"))}
    documents["a"]["health"] = {"type": "Down", **documents["a"].pop("down")}
    documents["b"]["health"] = {"type": "Up", "since": 0}

    def work(database: sqlite3.Connection) -> None:
        for name, document in documents.items():
            row = render_row(document, "", cache.ACCOUNT, name)
            database.execute(
                "INSERT INTO cache VALUES ('', ?, ?, ?, ?)", (cache.ACCOUNT, name, *row)
            )

    write(path, work)
    assert kept(path) == {"a": fails, "b": live("b")}


def test_a_reader_of_a_damaged_file_knows_nothing_and_leaves_it_where_it_is(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database, but long enough to be looked at " * 50)
    assert kept(path) == {}
    assert "cannot be read: file is not a database" in caplog.text
    assert [file.name for file in path.parent.iterdir()] == ["state.db"]

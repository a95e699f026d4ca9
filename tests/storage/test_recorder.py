"""One transaction for each dispatch on a thread: whatever the disk does, the loop goes on, and nothing is lost."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from monitor.core.errors import Failure, Reason
from monitor.core.events import (
    AccountsLoaded,
    PollFailed,
    PollPostponed,
    PollStarted,
    RequestSent,
    Restored,
    Ticked,
)
from monitor.core.model import Account
from monitor.core.state import State
from monitor.storage import cache, recorder, samples
from monitor.storage.db import StateFile, read_only
from monitor.storage.deliveries import Journal, Stage, StoredAlert
from monitor.storage.recorder import RELEASE_SECS, RETRY_SECS, Database, Done, Job, Recorder
from monitor.storage.requests import RequestBudget
from monitor.store import Store
from tests.builders import NOW, after
from tests.storage.factories import MOST_STALL_SECS, Stalls, held, held_from_a_thread
from tools.kill.bench import stored
from tools.kill.restarts import loaded, sample

T = TypeVar("T")

HELD_SECS = 3.0


class Program:
    """Store and recorder over a real thread, and the alerts that were released."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "state.db"
        self.recorder = Recorder(Database(StateFile(self.path)), "")
        self.store = Store(State(), self.recorder.record)
        self.budget = RequestBudget(self.recorder.database)
        self.journal = Journal(self.recorder)

    async def released(self, within: float) -> list[StoredAlert]:
        """The next alert that is released within this time, if one is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                return [await self.recorder.decided.get()]
        return []

    def kept(self) -> cache.Cached:
        return cache.read(self.path, "")


@asynccontextmanager
async def program(folder: Path) -> AsyncIterator[Program]:
    running = Program(folder)
    await running.recorder.load()
    running.store.dispatch(loaded(NOW, "a", "b"))
    running.store.dispatch(sample("a", 0, 70))
    assert await running.recorder.drain()
    try:
        yield running
    finally:
        await running.recorder.close()
        await running.recorder.database.close()


async def test_what_changes_nothing_writes_nothing(tmp_path: Path) -> None:
    async with program(tmp_path) as running:
        before = running.path.with_name("state.db-wal").stat()
        known = tuple(account.account for account in running.store.state.accounts.values())
        for event in (Ticked(after(seconds=15)), AccountsLoaded(after(seconds=20), known)):
            running.store.dispatch(event)
            assert await running.recorder.drain()
        now = running.path.with_name("state.db-wal").stat()
        assert (now.st_size, now.st_mtime_ns) == (before.st_size, before.st_mtime_ns)


async def test_a_poll_is_written_once_it_has_ended(tmp_path: Path) -> None:
    async with program(tmp_path) as running:
        before = running.kept().accounts["a"]
        for event in (PollStarted(after(seconds=5), "a"), RequestSent(after(seconds=5), "a")):
            running.store.dispatch(event)
            assert await running.recorder.drain()
        assert running.kept().accounts["a"] == before
        running.store.dispatch(PollPostponed(after(seconds=6), "a"))
        assert await running.recorder.drain()
        assert running.kept().accounts["a"].requests == (after(seconds=5),)


async def test_while_another_process_holds_the_database_nothing_on_the_loop_waits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stalls = Stalls()
    async with program(tmp_path) as running:
        watch = asyncio.create_task(stalls.watch())
        async with held_from_a_thread(running.path) as let_go:
            began, polls = time.monotonic(), 0
            while time.monotonic() - began < HELD_SECS:
                polls += 1
                account = running.store.state.accounts["a"]
                await running.budget.acquire(account, timedelta(seconds=130), after(minutes=polls))
                running.store.dispatch(sample("a", polls, 70))
            assert polls >= 5, "polls go on"
            assert "database is locked" in (running.recorder.failure or "")
            written_meanwhile = len(list(samples.usages(running.path, "", NOW, after(days=1))))
            let_go()
            assert await running.recorder.drain(10)
        watch.cancel()
        assert stalls.longest < MOST_STALL_SECS
        assert running.recorder.failure is None
        assert written_meanwhile == 1
        seen = [usage.at for _, usage in samples.usages(running.path, "", NOW, after(days=1))]
        assert seen == [after(minutes=n) for n in range(polls + 1)], "written afterwards"
        assert running.kept().accounts["a"].usage == running.store.state.accounts["a"].usage
    words = [record.getMessage() for record in caplog.records]
    assert sum("cannot be written" in line for line in words) == 1
    assert words[-1] == "the state database can be written again"


async def test_what_was_sent_while_nothing_could_be_counted_is_counted_afterwards(
    tmp_path: Path,
) -> None:
    async with program(tmp_path) as running:
        with held(running.path):
            account = running.store.state.accounts["a"]
            assert (await running.budget.acquire(account, timedelta(seconds=180), NOW)).allowed
            running.store.dispatch(RequestSent(NOW, "a"))
        account = running.store.state.accounts["a"]
        later = after(minutes=10)
        assert (await running.budget.acquire(account, timedelta(seconds=180), later)).allowed
        other = Account("renamed", "org-a")
        running.store.dispatch(AccountsLoaded(later, (other,)))
        known = await running.budget.read_new(running.store.state.accounts, later)
        assert known["renamed"].requests == (NOW, later)


async def test_the_other_processes_learn_of_a_back_off_and_of_its_end(tmp_path: Path) -> None:
    limited = Failure(Reason.RATE_LIMITED, retry_after=timedelta(minutes=40))
    async with program(tmp_path) as running:
        mine = {"a": running.store.state.accounts["a"]}
        theirs = RequestBudget(Database(StateFile(running.path)))
        for event in (PollFailed(after(minutes=3), "a", limited), sample("a", 9, 70)):
            running.store.dispatch(event)
            assert await running.recorder.drain()
            until = running.store.state.accounts["a"].backoff_until
            known = (await theirs.read_new(mine, after(minutes=9)))["a"].backoff_until
            assert known == until == (after(minutes=43) if event.at == after(minutes=3) else None)


async def test_an_alert_is_released_once_it_is_written(tmp_path: Path) -> None:
    async with program(tmp_path) as running:
        running.store.dispatch(sample("a", 3, 85))
        assert running.store.state.accounts["a"].usage is not None, "its state is seen at once"
        (alert,) = await running.released(10)
        assert [one.alert for one in stored(tmp_path)] == [alert.alert]
        assert running.kept().accounts["a"].alerts["5h"].told == frozenset({0.8})
        assert [entry.alert for entry in running.kept().log] == [alert.alert]


async def test_an_alert_that_cannot_be_written_is_released_soon_and_once(tmp_path: Path) -> None:
    async with program(tmp_path) as running:
        with held(running.path):
            running.store.dispatch(sample("a", 3, 85))
            (alert,) = await running.released(RELEASE_SECS + 5)
            assert stored(tmp_path) == []
            assert await running.journal.begin([alert], "*") == [alert]
            running.journal.finish([alert], "*", Stage.SENT, "sent (desktop)", [alert], NOW)
        assert await running.recorder.drain(10)
        (one,) = stored(tmp_path)
        assert (one.stage, one.attempts, one.outcome) == (Stage.SENT, 1, "sent (desktop)")
        assert await running.released(RETRY_SECS) == []
        assert await running.journal.unfinished() == []


async def test_an_alert_is_released_although_the_disk_answers_nothing_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "RELEASE_SECS", 0.2)
    answers = threading.Event()
    async with program(tmp_path) as running:
        running.recorder.database.submit(lambda _: answers.wait(), lambda *_: None)
        running.store.dispatch(sample("a", 3, 85))
        assert len(await running.released(10)) == 1
        assert stored(tmp_path) == []
        answers.set()
        assert await running.recorder.drain(10)
        assert len(stored(tmp_path)) == 1
        assert await running.released(0.1) == []


@pytest.mark.parametrize("can_write", [True, False])
async def test_an_alert_that_waits_while_the_notifier_starts_reaches_it_in_one_way_or_another(
    tmp_path: Path, can_write: bool
) -> None:
    async with program(tmp_path) as running:
        running.store.dispatch(sample("a", 3, 85))
        with nullcontext() if can_write else held(running.path):
            running.store.dispatch(sample("b", 3, 70))
            running.store.dispatch(sample("b", 6, 96))
            found = await running.journal.unfinished()
            for _ in range(2):
                found += await running.released(RELEASE_SECS + 5)
        accounts = {(one.key, one.alert.account) for one in found}
        assert sorted(account for _, account in accounts) == ["a", "b"]
        assert await running.released(0.1) == []


async def test_many_dispatches_that_wait_become_one_transaction(tmp_path: Path) -> None:
    answers = threading.Event()

    class Counting(Database):
        jobs = 0

        def submit(self, job: Job, done: Done) -> None:
            self.jobs += 1
            super().submit(job, done)

    async with program(tmp_path) as running:
        database = Counting(StateFile(running.path))
        running.recorder.database = database
        database.submit(lambda _: answers.wait(), lambda *_: None)
        for n in range(1, 50):
            running.store.dispatch(sample("a", n, 70))
        answers.set()
        assert await running.recorder.drain(10)
        assert database.jobs == 3, "what held it up, the first dispatch, and all the others"
        assert len(list(samples.usages(running.path, "", NOW, after(days=1)))) == 50


def test_a_full_disk_keeps_nothing_from_going_on(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "cannot be written\nwritten\n"
    assert len(stored(tmp_path)) == 1


FULL_DISK = """
import asyncio, resource, signal, sys
from pathlib import Path
from tests.storage.test_recorder import program, sample

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

async def main():
    async with program(Path(sys.argv[1])) as running:
        limit(1)
        running.store.dispatch(sample("a", 3, 85))
        assert len(await running.released(10)) == 1
        while running.recorder.failure is None:
            await asyncio.sleep(0.01)
        print("cannot be written")
        limit(resource.RLIM_INFINITY)
        assert await running.recorder.drain(10)
        assert running.recorder.failure is None
        print("written")

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
asyncio.run(main())
"""


async def test_a_folder_that_is_gone_is_made_again_with_all_that_is_new(tmp_path: Path) -> None:
    async with program(tmp_path / "state") as running:
        (tmp_path / "state").rename(tmp_path / "gone")
        running.store.dispatch(sample("b", 3, 42))
        assert await running.recorder.drain(10)
        assert running.kept().accounts["b"].usage == sample("b", 3, 42).usage


async def test_an_account_that_is_renamed_takes_its_samples_along(tmp_path: Path) -> None:
    async with program(tmp_path) as running:
        running.store.dispatch(loaded(NOW, "a", "b"))
        for minute, name in enumerate("aab"):
            running.store.dispatch(sample(name, minute, 40 + minute))
        accounts = (Account("work", "org-a"), Account("b", "org-b"))
        running.store.dispatch(AccountsLoaded(after(minutes=4), accounts, renamed={"a": "work"}))
        running.store.dispatch(sample("work", 5, 50))
        assert await running.recorder.drain(10)
    kept = [
        (name, u.at) for name, u in samples.usages(tmp_path / "state.db", "", NOW, after(days=1))
    ]
    assert kept == [
        ("work", NOW),
        ("work", after(minutes=1)),
        ("b", after(minutes=2)),
        ("work", after(minutes=5)),
    ]


@pytest.mark.parametrize("is_running", [True, False])
async def test_an_account_that_is_renamed_by_hand_takes_its_samples_and_its_memory_along(
    tmp_path: Path, is_running: bool
) -> None:
    accounts = Account("work", "org-a"), Account("b", "org-b")
    async with program(tmp_path) as running:
        memory = running.store.state.accounts["a"].alerts
        if is_running:
            running.store.dispatch(AccountsLoaded(after(minutes=4), accounts))
    if not is_running:
        later = Program(tmp_path)
        cached = await later.recorder.load()
        later.store.dispatch(Restored(after(days=2), cached.accounts))
        later.store.dispatch(AccountsLoaded(after(days=2), accounts))
        assert await later.recorder.drain()
        await later.recorder.database.close()
    kept = list(samples.usages(running.path, "", NOW, after(days=1)))
    assert [(name, usage.at) for name, usage in kept] == [("work", NOW)]
    source = read_only(running.path, lambda database: cache.last_import(database, ""), "")
    assert source == "a is work", "the forecasts learn from it again"
    assert running.kept().accounts.keys() == {"work", "b"}
    assert running.kept().accounts["work"].alerts == memory != {}


async def test_samples_may_be_kept_at_least_so_far_apart(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    sparing = Recorder(Database(StateFile(path)), "", apart=timedelta(minutes=3))
    store = Store(State(), sparing.record)
    store.dispatch(loaded(NOW, "a", "b"))
    for minute in range(8):
        store.dispatch(sample("a", minute, 40 + minute))
    store.dispatch(sample("b", 1, 70))
    await sparing.close()
    await sparing.database.close()
    seen = [(name, usage.at) for name, usage in samples.usages(path, "", NOW, after(days=1))]
    assert seen == [
        ("a", NOW),
        ("b", after(minutes=1)),
        ("a", after(minutes=3)),
        ("a", after(minutes=6)),
    ]


async def test_a_program_that_does_not_alert_keeps_samples_and_no_memory_of_alerts(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state.db"
    silent = Recorder(Database(StateFile(path)), "", keeps_alerts=False)
    await silent.load()
    store = Store(State(), silent.record)
    store.dispatch(loaded(NOW, "a"))
    store.dispatch(sample("a", 0, 70))
    store.dispatch(sample("a", 3, 96))
    await silent.close()
    await silent.database.close()
    seen = [usage.at for _, usage in samples.usages(path, "", NOW, after(days=1))]
    assert seen == [NOW, after(minutes=3)]
    assert cache.read(path, "").accounts["a"].alerts == {}
    assert stored(tmp_path) == []


async def test_a_dispatch_costs_the_loop_less_than_a_millisecond(tmp_path: Path) -> None:
    async with program(tmp_path) as running:
        names = [f"account-{n}" for n in range(20)]
        running.store.dispatch(loaded(NOW, *names))
        for minute in range(27):
            for name in names:
                running.store.dispatch(RequestSent(after(minutes=minute), name))
        await running.recorder.drain(10)
        began = time.thread_time()
        for name in names * 10:
            running.store.dispatch(RequestSent(after(minutes=30), name))
        spent = time.thread_time() - began
        assert await running.recorder.drain(10)
    assert spent / 200 < 0.001

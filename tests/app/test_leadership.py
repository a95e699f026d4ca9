"""Who polls: the process that has the lock, for as long as it is its own, and with settings that can be read."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from monitor.app.leader import Leader, read_config
from monitor.app.leadership import Election
from monitor.app.wiring import CliOptions
from monitor.core.commands import Refresh
from monitor.core.errors import SettingsError, TrackerError
from monitor.core.state import State
from monitor.ipc.lock import Lock, holder
from monitor.system.aio import Observable
from tests.app.factories import UserHome, rig, until


class Process:
    """One process's election, and its main task."""

    def __init__(self, user: UserHome) -> None:
        self.view = Observable(State())
        self.lock = str(user.home / "run" / "lock")
        options = CliOptions(user.config, notify=False)

        async def leader(path: str) -> Leader:
            return Leader(options, await read_config(options), self.view, path)

        self.election = Election(self.lock, user.socket, leader, keep_secs=0.02)
        self.main_task: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.told: list[str] = []

    def watching(self) -> AbstractAsyncContextManager["asyncio.Task[None]"]:
        return self._open(self.election.lead_or_follow(self.main_task, self.view))

    def waiting(self) -> AbstractAsyncContextManager["asyncio.Task[None]"]:
        return self._open(self.election.lead_or_wait(self.main_task, self.told.append))

    @asynccontextmanager
    async def _open(self, life: Coroutine[None, None, None]) -> AsyncIterator["asyncio.Task[None]"]:
        task = asyncio.create_task(life)
        try:
            yield task
        finally:
            if not self.main_task.done():
                self.main_task.set_result(None)
            await asyncio.wait([task])


@pytest.fixture
async def user(tmp_path: Path) -> AsyncIterator[UserHome]:
    async with rig(tmp_path, accounts=1) as made:
        yield made


async def test_the_first_polls_and_the_second_watches_until_the_first_ends(user: UserHome) -> None:
    first, second = Process(user), Process(user)
    async with second_to(first, second):
        assert second.election.status.startswith("attached to monitor (pid ")
        assert await second.election.execute(Refresh())
        first.main_task.set_result(None)
        await until(lambda: "attached to" not in second.election.status)
        await until(lambda: not Lock(second.lock).acquire())
        assert second.view.state.accounts
    assert Lock(first.lock).acquire()


async def test_who_has_lost_the_lock_polls_no_more(user: UserHome) -> None:
    """Somebody has cleared the folder, and another process has made a lock of its own there."""
    process = Process(user)
    async with process.watching():
        await until(lambda: process.view.state.accounts)
        Path(process.lock).unlink()
        other = Lock(process.lock)
        assert other.acquire()
        await until(lambda: "starting" in process.election.status)
        with pytest.raises(TrackerError, match="no monitor polls"):
            await process.election.execute(Refresh())
        assert process.view.state.accounts  # what was seen last
        other.release()
        await until(lambda: holder(process.lock) is not None)
        await asyncio.sleep(0.1)
        assert await process.election.execute(Refresh())


async def test_a_cleared_folder_costs_the_only_process_nothing_but_a_moment(
    user: UserHome,
) -> None:
    process = Process(user)
    async with process.watching():
        await user_polled(process)
        Path(process.lock).unlink()
        await until(lambda: holder(process.lock) is not None)
        await until(lambda: process.view.state.accounts)
        await asyncio.sleep(0.6)  # a tick of the new poller
        assert user.requests(0) == 1


async def user_polled(process: Process) -> None:
    await until(lambda: any(a.usage for a in process.view.state.accounts.values()))


async def test_settings_that_cannot_be_read_at_the_start_end_it(user: UserHome) -> None:
    user.config.write_text("[settings\n")
    process = Process(user)
    async with process.watching() as task:
        await asyncio.wait([task])
        assert isinstance(task.exception(), SettingsError)
        assert process.main_task.cancelled()
    assert Lock(process.lock).acquire()  # it is free again


async def test_settings_that_cannot_be_read_at_the_take_over_are_said_until_they_are_mended(
    user: UserHome,
) -> None:
    good = user.config.read_text()
    first, second = Process(user), Process(user)
    async with second_to(first, second) as task:
        user.config.write_text("[settings\n")
        first.main_task.set_result(None)
        await until(lambda: "cannot take over" in second.election.status)
        assert f"{user.config}:1:" in second.election.status
        assert second.view.state.accounts
        lock = Lock(second.lock)
        assert lock.acquire()  # nobody holds it meanwhile
        lock.release()
        user.config.write_text(good)
        await until(lambda: not second.election.status)
        assert not task.done()
        assert await second.election.execute(Refresh())


@asynccontextmanager
async def second_to(first: Process, second: Process) -> AsyncIterator["asyncio.Task[None]"]:
    """Two processes, of which the first polls."""
    async with first.watching():
        await until(lambda: first.view.state.accounts)
        async with second.watching() as task:
            await until(lambda: second.view.state.accounts)
            yield task


async def test_who_stands_by_says_so_once_and_again_after_another_leader(user: UserHome) -> None:
    before = Lock(str(user.home / "run" / "lock"))
    assert before.acquire()
    process = Process(user)
    async with process.waiting():
        await asyncio.sleep(0.3)
        assert len(process.told) == 1
        assert process.told[0].endswith("is polling; standing by")
        before.release()
        await until(lambda: process.view.state.accounts)
        assert len(process.told) == 1

"""Who polls: the process that has the lock, for as long as it is its own, and with settings that can be read."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from monitor.app.leader import Leader
from monitor.app.leadership import Election
from monitor.app.run_config import CliOptions
from monitor.core.errors import SettingsError, TrackerError
from monitor.ipc.command_proxy import Switch
from monitor.ipc.lock import Lock, holder
from monitor.ipc.state_view import StateView
from tests.app.factories import Rig, rig, until


class Desk:
    """One process's office, and what it is for."""

    def __init__(self, user: Rig) -> None:
        self.outlook, self.switch = StateView(), Switch()
        self.lock = str(user.home / "run" / "lock")
        terms = CliOptions(user.config, notify=False)
        self.office = Election(
            self.lock, user.socket, lambda path: Leader(terms, self.outlook, path), keep_secs=0.02
        )
        self.front: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.told: list[str] = []

    def watching(self) -> AbstractAsyncContextManager["asyncio.Task[None]"]:
        return self._open(self.office.lead_or_follow(self.front, self.outlook, self.switch))

    def waiting(self) -> AbstractAsyncContextManager["asyncio.Task[None]"]:
        return self._open(self.office.lead_or_wait(self.front, self.told.append))

    @asynccontextmanager
    async def _open(self, life: Coroutine[None, None, None]) -> AsyncIterator["asyncio.Task[None]"]:
        task = asyncio.create_task(life)
        try:
            yield task
        finally:
            if not self.front.done():
                self.front.set_result(None)
            await asyncio.wait([task])


@pytest.fixture
async def user(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path, accounts=1) as made:
        yield made


async def test_the_first_polls_and_the_second_watches_until_the_first_ends(user: Rig) -> None:
    first, second = Desk(user), Desk(user)
    async with second_to(first, second):
        assert second.office.words.startswith("watching monitor (pid ")
        assert await second.switch.refresh(None)
        first.front.set_result(None)
        await until(lambda: "watching" not in second.office.words)
        await until(lambda: not Lock(second.lock).acquire())
        assert second.outlook.state.accounts
    assert Lock(first.lock).acquire()


async def test_who_has_lost_the_lock_polls_no_more(user: Rig) -> None:
    """Somebody has cleared the folder, and another process has made a lock of its own there."""
    desk = Desk(user)
    async with desk.watching():
        await until(lambda: desk.outlook.state.accounts)
        Path(desk.lock).unlink()
        other = Lock(desk.lock)
        assert other.acquire()
        await until(lambda: "starting" in desk.office.words)
        with pytest.raises(TrackerError, match="no monitor polls"):
            await desk.switch.refresh(None)
        assert desk.outlook.state.accounts  # what was seen last
        other.release()
        await until(lambda: holder(desk.lock) is not None)
        await asyncio.sleep(0.1)
        assert await desk.switch.refresh(None)


async def test_a_cleared_folder_costs_the_only_process_nothing_but_a_moment(user: Rig) -> None:
    desk = Desk(user)
    async with desk.watching():
        await user_polled(desk)
        Path(desk.lock).unlink()
        await until(lambda: holder(desk.lock) is not None)
        await until(lambda: desk.outlook.state.accounts)
        await asyncio.sleep(0.6)  # a tick of the new poller
        assert user.requests(0) == 1


async def user_polled(desk: Desk) -> None:
    await until(lambda: any(a.usage for a in desk.outlook.state.accounts.values()))


async def test_settings_that_cannot_be_read_at_the_start_end_it(user: Rig) -> None:
    user.config.write_text("[settings\n")
    desk = Desk(user)
    async with desk.watching() as task:
        await asyncio.wait([task])
        assert isinstance(task.exception(), SettingsError)
        assert desk.front.cancelled()
    assert Lock(desk.lock).acquire()  # it is free again


async def test_settings_that_cannot_be_read_at_the_take_over_are_said_until_they_are_mended(
    user: Rig,
) -> None:
    good = user.config.read_text()
    first, second = Desk(user), Desk(user)
    async with second_to(first, second) as task:
        user.config.write_text("[settings\n")
        first.front.set_result(None)
        await until(lambda: "cannot take over" in second.office.words)
        assert f"{user.config}:1:" in second.office.words
        assert second.outlook.state.accounts
        lock = Lock(second.lock)
        assert lock.acquire()  # nobody holds it meanwhile
        lock.release()
        user.config.write_text(good)
        await until(lambda: not second.office.words)
        assert not task.done()
        assert await second.switch.refresh(None)


@asynccontextmanager
async def second_to(first: Desk, second: Desk) -> AsyncIterator["asyncio.Task[None]"]:
    """Two processes, of which the first polls."""
    async with first.watching():
        await until(lambda: first.outlook.state.accounts)
        async with second.watching() as task:
            await until(lambda: second.outlook.state.accounts)
            yield task


async def test_who_stands_by_says_so_once_and_again_after_another_owner(user: Rig) -> None:
    before = Lock(str(user.home / "run" / "lock"))
    assert before.acquire()
    desk = Desk(user)
    async with desk.waiting():
        await asyncio.sleep(0.3)
        assert len(desk.told) == 1
        assert desk.told[0].endswith("polls; this one takes over when that ends")
        before.release()
        await until(lambda: desk.outlook.state.accounts)
        assert len(desk.told) == 1

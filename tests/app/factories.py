"""The process that polls, within the test: real settings, sockets and files, and a simulated API on the same loop."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from monitor.app.leader import Leader
from monitor.app.wiring import CliOptions, RunConfig
from monitor.core.commands import Request, encode_request
from monitor.core.events import PollStarted
from monitor.core.state import State
from monitor.demo.server import SimulatedAccount, SimulatedApi
from monitor.ipc.client import ask
from monitor.settings import parse_listen
from monitor.system.aio import Observable
from monitor.system.clock import Clock, ServerClock
from monitor.system.sd_notify import Notices, PassedSockets
from tests.end_to_end.crowd import simulated_account, write_logins

ELSEWHERE = ("XDG_CONFIG_HOME", "CLAUDE_CONFIG_DIR", "MONITOR_CONFIG", "DBUS_SESSION_BUS_ADDRESS")


@dataclass
class UserHome:
    """One user's home. `settle` writes the settings; `leader` polls by them for the time of a block."""

    home: Path
    api: SimulatedApi
    people: list[SimulatedAccount]
    view: Observable[State] = field(default_factory=lambda: Observable(State()))

    @property
    def config(self) -> Path:
        return self.home / "config.toml"

    @property
    def socket(self) -> str:
        return str(self.home / "run" / "socket")

    def settle(
        self,
        people: list[SimulatedAccount] | None = None,
        *,
        interval: int = 3600,
        listen: str = "off",
        more: str = "",
    ) -> None:
        """Write the settings: of these accounts, each linked to its login."""
        text = (
            f"[settings]\npoll_interval_secs = {interval}\n"
            f'[exporter]\nlisten = "{listen}"\n'
            f'[api]\nurl = "{self.api.url}"\nweb_url = "{self.api.url}"\n{more}'
        )
        for person in self.people if people is None else people:
            folder = self.home / f".claude-{self.people.index(person)}"
            text += f'[[accounts]]\nname = "{person.email}"\norg_id = "{person.org_uuid}"\n'
            text += f'auth_method = "oauth"\nstorage = "linked"\nconfig_dir = "{folder}"\n'
        self.config.write_text(text)

    @asynccontextmanager
    async def leader(
        self,
        *,
        listen: str | None = None,
        passed: PassedSockets | None = None,
        notices: Notices | None = None,
        clock: Clock | None = None,
    ) -> AsyncIterator[Leader]:
        address = None if listen is None else parse_listen(listen)
        options = CliOptions(self.config, address, clock=ServerClock(clock))
        config = RunConfig.read(options)
        leader = Leader(options, config, self.view, self.socket, passed=passed, notices=notices)
        ended = asyncio.Event()
        task = asyncio.create_task(_run(leader, ended))
        try:
            await leader.app()
            yield leader
        finally:
            ended.set()
            await task

    async def ask(self, request: Request) -> tuple[int, str]:
        """Ask the leader by its socket."""
        reply = await asyncio.to_thread(ask, self.socket, encode_request(request))
        assert reply is not None, "nobody listens"
        return reply[0], reply[1].decode()

    async def seen(self, condition: Callable[[State], object], seconds: float = 10) -> State:
        """The state once it is so."""
        async with asyncio.timeout(seconds):
            while not condition(state := self.view.state):
                await self.view.wait_for_change()
            return state

    async def polled(self, *people: SimulatedAccount) -> State:
        """The state once these accounts (all, if none is named) have figures."""
        names = [person.email for person in people or self.people]

        def have_figures(state: State) -> bool:
            return all(n in state.accounts and state.accounts[n].usage for n in names)

        return await self.seen(have_figures)

    async def poll_now(self, leader: Leader, number: int = 0) -> None:
        """Poll the account, due or not."""
        app, name = await leader.app(), self.people[number].email
        app.store.dispatch(PollStarted(app.clock.now(), name))
        await app.poller.poll(name)

    def requests(self, number: int = 0) -> int:
        """How often the account's usage was asked for."""
        return len(self.api.requests_of(self.people[number].email))


async def _run(leader: Leader, ended: asyncio.Event) -> None:
    async def main() -> None:
        await ended.wait()

    await leader.run(main)


async def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Let things happen until it is so."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - nobody says when
            await asyncio.sleep(0.01)


@contextmanager
def surroundings(home: Path) -> Iterator[None]:
    """For the time of the block this process is one of the user whose home this is, with no bus and no desktop."""
    before = dict(os.environ)
    for key in ELSEWHERE:
        os.environ.pop(key, None)
    os.environ |= {
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent",
    }
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@asynccontextmanager
async def rig(home: Path, accounts: int = 2) -> AsyncIterator[UserHome]:
    people = [simulated_account(number) for number in range(accounts)]
    (home / "run").mkdir(mode=0o700)
    write_logins(home, people)
    api = SimulatedApi(people, now=lambda: datetime.now(UTC))
    with surroundings(home):
        async with api:
            made = UserHome(home, api, people)
            made.settle()
            yield made

"""A monitor that polls many accounts, its simulated API in a process of its own, and crowds of followers."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

from monitor.core.state import State
from monitor.demo.server import SimulatedApi
from monitor.ipc.client import ask
from monitor.ipc.mirror import read_state
from monitor.paths import config_path, instance
from tests.end_to_end.crowd import environment, simulated_account, write_logins, write_settings
from tests.end_to_end.world import MONITOR, free_port
from tests.real.bus import wait_until
from tools.load.followers import READY

ROOT: Final = Path(__file__).parents[2]
POLLED_SECS: Final = 120.0


@dataclass(frozen=True, slots=True)
class World:
    """`pid` is that of the monitor that polls, which was `started` at that instant of the monotonic clock."""

    env: dict[str, str]
    socket: str
    port: int
    pid: int
    started: float

    def state(self) -> State:
        """The whole state, as followers get it."""
        state = read_state(self.socket)
        assert state is not None
        return state


@contextmanager
def world(folder: Path, accounts: int, interval: int, polls: int = 1) -> Iterator[World]:
    """With a monitor that has polled every account so often."""
    folder.mkdir(exist_ok=True)
    (folder / "run").mkdir(mode=0o700)
    people = [simulated_account(number) for number in range(accounts)]
    for number, person in enumerate(people):
        person.tokens = {token(number)}
    env, port = environment(folder, folder / "run"), free_port()
    with ExitStack() as stack:
        api = stack.enter_context(child("tools.load.api", str(accounts)))
        assert api.stdout is not None
        url = api.stdout.readline().strip()
        write_logins(folder, people)
        write_settings(folder, url, port, people)
        file = Path(config_path(env))
        file.write_text(file.read_text().replace("= 30\n", f"= {interval}\n", 1))
        argv = [*MONITOR, "serve", "--no-notify", "--log-level", "warning"]
        log = stack.enter_context((folder / "serve.log").open("wb"))
        started = time.monotonic()
        serving = stack.enter_context(ended(subprocess.Popen(argv, env=env, stderr=log)))
        path = instance(env, file)[1]
        found = World(env, path, port, serving.pid, started)
        wait_until(lambda: ask(path, {"type": "Who"}) is not None, "the monitor")
        if polls:
            wait_until(lambda: polls_of(found) >= polls, "a poll of every account", POLLED_SECS)
        yield found


def polls_of(found: World) -> int:
    """How often each account has been polled at least."""
    time.sleep(0.2)
    return min(a.polls - a.polling for a in found.state().accounts.values())


def token(number: int) -> str:
    return f"sk-ant-oat01-load-{number}"


@contextmanager
def followers(found: World, count: int, processes: int) -> Iterator[list[dict[str, int]]]:
    """That many of them for the time of the block; what each process of theirs has seen is in the list after it."""
    shares = [count // processes + (place < count % processes) for place in range(processes)]
    seen: list[dict[str, int]] = []
    with ExitStack() as stack:
        crowd = [
            stack.enter_context(child("tools.load.followers", found.socket, str(share)))
            for share in shares
            if share
        ]
        for each in crowd:
            assert _out(each).readline().strip() == READY
        yield seen
        for each in crowd:
            assert each.stdin is not None
            each.stdin.write("\n")
            each.stdin.flush()
        seen += [json.loads(_out(each).readline()) for each in crowd]


def _out(process: "subprocess.Popen[str]") -> IO[str]:
    assert process.stdout is not None
    return process.stdout


@contextmanager
def child(module: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    argv = [sys.executable, "-m", module, *arguments]
    started = subprocess.Popen(
        argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with started, ended(started):
        yield started


@contextmanager
def ended(process: "subprocess.Popen[Any]") -> Iterator["subprocess.Popen[Any]"]:
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


async def serve(accounts: int) -> None:
    """The simulated API; says where it is, and answers until it is ended."""
    people = [simulated_account(number) for number in range(accounts)]
    for number, person in enumerate(people):
        person.tokens = {token(number)}
    async with SimulatedApi(people, now=lambda: datetime.now(UTC)) as url:
        print(url, flush=True)
        await asyncio.Event().wait()

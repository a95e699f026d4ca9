"""Short ways to make a state database that an earlier process has left, and one that another process holds."""

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from monitor.core.model import AccountState
from monitor.paths import instance_key
from monitor.settings import state_db
from monitor.storage import cache
from monitor.storage.db import StateFile

T = TypeVar("T")

MOST_STALL_SECS = 0.1

HOLD_DATABASE = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""

HOLD_FOLDER = """
import sys
from pathlib import Path
from monitor.system.files import lock_file
with lock_file(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def write(path: Path, work: Callable[[sqlite3.Connection], T]) -> T:
    with closing(StateFile(path)) as file:
        return file.write(work)


def keep_accounts(environ: Mapping[str, str], config: Path, *accounts: AccountState) -> None:
    """What was known of these accounts when somebody polled last by these settings."""
    settings = instance_key(environ, config)

    def work(database: sqlite3.Connection) -> None:
        for account in accounts:
            cache.put(database, settings, cache.ACCOUNT, account.account.name, account)

    write(state_db(environ), work)


def keep_facts(environ: Mapping[str, str], config: Path, facts: Mapping[str, Any]) -> None:
    """What was learnt of accounts by whoever polled by these settings."""
    settings = instance_key(environ, config)

    def work(database: sqlite3.Connection) -> None:
        for name, entry in facts.items():
            cache.put(database, settings, cache.FACTS, name, entry)

    write(state_db(environ), work)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process that writes, and takes its time."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def held(path: Path, program: str = HOLD_DATABASE) -> Iterator[Callable[[], None]]:
    """Another process holds the database, or the folder of a file, until the block ends or what is given is called."""
    holder = subprocess.Popen(
        [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        try:
            yield holder.stdin.close
        finally:
            holder.stdin.close()


@asynccontextmanager
async def held_from_a_thread(
    path: Path, program: str = HOLD_DATABASE
) -> AsyncIterator[Callable[[], None]]:
    """The same for who watches the loop, which is not to wait for the other process's start and end."""
    with ExitStack() as stack:
        yield await asyncio.to_thread(stack.enter_context, held(path, program))
        await asyncio.to_thread(stack.close)


class Stalls:
    """How long the loop stood still at most, without the time in which the machine gave its thread no processor."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def watch(self) -> None:
        while True:
            began, queued = time.monotonic(), _queued_secs()
            await asyncio.sleep(0.01)
            stall = time.monotonic() - began - 0.01 - (_queued_secs() - queued)
            self.longest = max(self.longest, stall)


def _queued_secs() -> float:
    """So long this thread has waited for a processor, where the system counts it."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0

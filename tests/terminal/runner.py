"""The table on a prepared state, with controls that only say what they were asked: run in a real terminal by tests.

Usage: python -m tests.terminal.runner [three|twenty|none] [--heartbeat FILE] [--busy] [--crash] [--calls FILE]
"""

import argparse
import asyncio
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from monitor.core.errors import Failure, Reason, TrackerError
from monitor.core.events import PollFailed
from monitor.core.model import Secret
from monitor.core.state import State
from monitor.store import Store
from monitor.system.clock import SystemClock
from monitor.terminal.program import run
from tests.terminal.factories import STATES


@dataclass
class Calls:
    """Controls that write down each call, without secrets."""

    log: Path | None = None

    def _called(self, *words: object) -> None:
        if self.log is not None:
            with self.log.open("a") as file:
                print(*words, file=file)

    async def refresh(self, account: str | None) -> str:
        self._called("refresh", account)
        return f"Refreshing {account or 'all accounts'}"

    async def mute(self) -> str:
        self._called("mute")
        return "Muted"

    async def import_logins(self) -> str:
        self._called("import")
        await asyncio.sleep(0.3)
        return "Imported user@new.com"

    async def add(self, name: str, session_key: Secret, org_id: str) -> str:
        self._called("add", name, len(session_key.reveal()), org_id)
        if name == "locked":
            raise TrackerError("The keyring is locked: unlock it and try again")
        return f"Added {name}"

    async def edit(self, name: str, new_name: str, session_key: Secret | None, org_id: str) -> str:
        self._called("edit", name, new_name, session_key is not None, org_id)
        return f"{name} is now {new_name}"

    async def remove(self, name: str) -> str:
        self._called("remove", name)
        return f"Deleted {name}"

    async def use(self, name: str) -> str:
        self._called("use", name)
        return f"{name} is the active account"


async def heartbeat(path: Path) -> None:
    """Write down how often the loop had time for this, ten times a second."""
    beats = 0
    while True:
        beats += 1
        path.write_text(str(beats))
        await asyncio.sleep(0.1)


async def rattle(store: Store) -> None:
    """Change every line of the table, many times a second."""
    turn = 0
    while True:
        turn += 1
        for name in store.state.accounts:
            detail = f"{'wxyz'[turn % 4] * 40}"
            store.dispatch(
                PollFailed(
                    datetime.now().astimezone(), name, Failure(Reason.CREDENTIALS, detail=detail)
                )
            )
        await asyncio.sleep(0.02)


class BrokenCalls(Calls):
    async def refresh(self, account: str | None) -> str:
        raise RuntimeError(f"a bug in the controls: {account}")


async def main(arguments: argparse.Namespace) -> None:
    clock = SystemClock()
    state: State = STATES[arguments.state](clock.now())
    store = Store(state)
    controls = (BrokenCalls if arguments.crash else Calls)(arguments.calls)
    tasks = []
    if arguments.heartbeat:
        tasks.append(asyncio.ensure_future(heartbeat(arguments.heartbeat)))
    if arguments.busy:
        tasks.append(asyncio.ensure_future(rattle(store)))
    try:
        await run(store, clock, controls, footer=lambda: arguments.footer)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("state", nargs="?", default="three", choices=sorted(STATES))
    parser.add_argument("--heartbeat", type=Path)
    parser.add_argument("--calls", type=Path)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--crash", action="store_true")
    parser.add_argument("--footer", default="metrics on http://127.0.0.1:15707/metrics")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(parsed()))

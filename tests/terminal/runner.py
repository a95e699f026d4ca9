"""The table on a prepared state, whose commands are only written down: run in a real terminal by tests.

Usage: python -m tests.terminal.runner [three|twenty|none] [--heartbeat FILE] [--busy] [--crash] [--calls FILE]
"""

import argparse
import asyncio
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from monitor.core.commands import AddAccount, Command, ImportLogins, Refresh
from monitor.core.errors import Failure, Reason, TrackerError
from monitor.core.events import PollFailed
from monitor.core.state import Display, State, Theme
from monitor.store import Store
from monitor.system.clock import SystemClock
from monitor.terminal.frame import Footer
from monitor.terminal.program import Program
from monitor.terminal.tty import Tty, terminal_path
from tests.terminal.factories import STATES


@dataclass
class Recorder:
    """Writes down each command, without secrets, and answers as the program does."""

    log: Path | None = None
    crash: bool = False

    async def execute(self, command: Command) -> str:
        if self.crash:
            raise RuntimeError(f"a bug in the executor: {command}")
        if self.log is not None:
            with self.log.open("a") as file:
                match command:
                    case AddAccount(name, key, org_id):
                        print("add", name, len(key.reveal()), org_id, file=file)
                    case _:
                        print(command, file=file)
        match command:
            case Refresh(account):
                return f"Refreshing {account or 'all accounts'}"
            case ImportLogins():
                await asyncio.sleep(0.3)
                return "Imported user@new.com"
            case AddAccount("locked"):
                raise TrackerError("The keyring is locked: unlock it and try again")
            case AddAccount(name):
                return f"Added {name}"
        return "Done"


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


async def main(arguments: argparse.Namespace) -> None:
    clock = SystemClock()
    state: State = STATES[arguments.state](clock.now())
    display = Display(arguments.theme, arguments.ascii)
    store = Store(replace(state, policy=replace(state.policy, display=display)))
    recorder = Recorder(arguments.calls, arguments.crash)
    tasks = []
    if arguments.heartbeat:
        tasks.append(asyncio.ensure_future(heartbeat(arguments.heartbeat)))
    if arguments.busy:
        tasks.append(asyncio.ensure_future(rattle(store)))
    try:
        tty = await Tty.open(terminal_path())
        await Program(
            store, clock, recorder.execute, tty, lambda: Footer(metrics=arguments.footer)
        ).run()
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
    parser.add_argument("--ascii", action="store_true")
    parser.add_argument("--theme", type=Theme, default=Theme.AUTO)
    parser.add_argument("--footer", default="metrics on http://127.0.0.1:15707/metrics")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(parsed()))

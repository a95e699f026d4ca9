"""Many followers in one process: each follows `watch` on a connection of its own, and takes all that comes.

They run at a low priority: the machine's processors are few, and what followers do with what they get is not the
leader's time.
"""

import asyncio
import json
import os
import sys
from dataclasses import dataclass, field
from typing import Any, Final

from monitor.ipc.protocol import parse_code, render_request

READY: Final = "ready"
LINE_BYTES: Final = 32 * 1024 * 1024


@dataclass(slots=True)
class Follower:
    """`newest` is the last document, `accounts` what all of them say of each account."""

    states: int = 0
    received: int = 0
    newest: dict[str, Any] = field(default_factory=dict)
    accounts: dict[str, Any] = field(default_factory=dict)

    async def follow(self, path: str, seen: "asyncio.Semaphore") -> None:
        reader, writer = await asyncio.open_unix_connection(path, limit=LINE_BYTES)
        writer.write(render_request({"type": "WatchState"}))
        try:
            await self._take(reader, seen)
        finally:
            writer.transport.abort()

    async def _take(self, reader: asyncio.StreamReader, seen: asyncio.Semaphore) -> None:
        assert parse_code((await reader.readline()).strip()) == 0
        while line := await reader.readline():
            self.received += len(line)
            if line.strip():
                self._note(json.loads(line))
                if self.states == 1:
                    seen.release()
        raise ConnectionError("the stream has ended")

    def _note(self, document: dict[str, Any]) -> None:
        self.states += 1
        self.newest = document
        if document.get("whole"):
            self.accounts.clear()
        changed = document["accounts"]
        self.accounts.update({account["account"]["name"]: account for account in changed})


async def watch(path: str, count: int) -> None:
    """Until somebody writes to us; then say what was seen."""
    followers, seen = [Follower() for _ in range(count)], asyncio.Semaphore(0)
    tasks = [asyncio.create_task(follower.follow(path, seen)) for follower in followers]
    for _ in followers:
        await seen.acquire()
    print(READY, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    dropped = sum(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    print(json.dumps(_document(followers, dropped)), flush=True)


def _document(followers: list[Follower], dropped: int) -> dict[str, int]:
    return {
        "dropped": dropped,
        "states": sum(follower.states for follower in followers),
        "bytes": sum(follower.received for follower in followers),
        "different": len({json.dumps(follower.accounts, sort_keys=True) for follower in followers}),
    }


if __name__ == "__main__":
    os.nice(10)
    asyncio.run(watch(sys.argv[1], int(sys.argv[2])))

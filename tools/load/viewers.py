"""Many viewers in one process: each follows `watch` on a connection of its own, and takes all that comes.

They run at a low priority: the machine's processors are few, and what viewers do with what they get is not the
owner's time.
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
class Viewer:
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
    viewers, seen = [Viewer() for _ in range(count)], asyncio.Semaphore(0)
    tasks = [asyncio.create_task(viewer.follow(path, seen)) for viewer in viewers]
    for _ in viewers:
        await seen.acquire()
    print(READY, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    dropped = sum(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    print(json.dumps(_document(viewers, dropped)), flush=True)


def _document(viewers: list[Viewer], dropped: int) -> dict[str, int]:
    return {
        "dropped": dropped,
        "states": sum(viewer.states for viewer in viewers),
        "bytes": sum(viewer.received for viewer in viewers),
        "different": len({json.dumps(viewer.accounts, sort_keys=True) for viewer in viewers}),
    }


if __name__ == "__main__":
    os.nice(10)
    asyncio.run(watch(sys.argv[1], int(sys.argv[2])))

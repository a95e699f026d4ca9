"""A leader in a process of its own: holds the lock, serves one growing number, and can be killed or stopped."""

import asyncio
import sys
from pathlib import Path

from monitor.ipc.lock import Lock
from tests.ipc.handlers import serving


async def main(folder: Path) -> int:
    if not Lock(str(folder / "lock")).acquire():
        print("refused", flush=True)
        return 1
    async with serving(folder / "socket") as handler:
        print("ready", flush=True)
        for number in range(1, 100_000):
            await asyncio.sleep(0.05)
            handler.show(number)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(Path(sys.argv[1]))))

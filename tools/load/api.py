"""The simulated API in a process of its own, so that its work is not in the figures of anybody else."""

import asyncio
import sys

from tools.load.world import serve

if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))

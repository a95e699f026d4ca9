"""The proof that no alert is lost or doubled by `kill -9`: `python -m tools.kill --kills 500 --seed 1`.

Its last line is JSON: of all modes together, and of each.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tools.kill.killing import MODES, judged


def main() -> int:
    """Exit code 0 where nothing was lost, and nothing told twice that was not in flight."""
    parser = argparse.ArgumentParser(prog="python -m tools.kill")
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    started = time.monotonic()
    total: Counter[str] = Counter()
    by_mode = {}
    for place, mode in enumerate(MODES):
        kills = (arguments.kills + place) // len(MODES)
        with tempfile.TemporaryDirectory() as folder:
            by_mode[mode] = judged(Path(folder), mode, kills, arguments.seed).figures()
        total.update(by_mode[mode])
    seconds = round(time.monotonic() - started, 1)
    figures = {**total, "seed": arguments.seed, "seconds": seconds, "modes": by_mode}
    sys.stdout.write(f"{json.dumps(figures)}\n")
    return 1 if total["lost"] or total["double"] or total["never_due"] else 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m tools.simulate [--months N] [--seed S] [--jobs J]`: many account-months, judged.

Exits 1 unless ours told nothing false, nothing twice, missed nothing, and was late by one poll at most.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from multiprocessing import Pool

from tools.simulate.machine import month
from tools.simulate.report import Report, judged, merged, render_report

ACCOUNTS = (1, 2, 1, 3)
"""How many accounts the machines have, in turn."""

MOST_EXCERPTS = 10


def main() -> int:
    options = _options()
    machines = list(_machines(options.seed, options.months))
    with Pool(options.jobs) as pool:
        report = merged(pool.imap(_one, machines, chunksize=4))
    del report.excerpts[MOST_EXCERPTS:]
    sys.stdout.write(render_report(report) + "\n")
    return 0 if report.is_clean else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.simulate")
    parser.add_argument("--months", type=int, default=1008, help="account-months (default: 1008)")
    parser.add_argument("--seed", default="1", help="the same seed gives the same months")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (all cores)")
    return parser.parse_args()


def _machines(seed: str, months: int) -> Iterator[tuple[str, int]]:
    """(seed, accounts) of each machine, so many that their accounts make up the months."""
    number = 0
    while months > 0:
        accounts = min(ACCOUNTS[number % len(ACCOUNTS)], months)
        yield f"{seed}/{number}", accounts
        months -= accounts
        number += 1


def _one(machine: tuple[str, int]) -> Report:
    name, accounts = machine
    return judged(month(name, accounts), f"machine {name}")


if __name__ == "__main__":
    sys.exit(main())

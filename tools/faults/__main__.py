"""The fault matrix: `make faults` injects each fault into a real monitor, and prints what became of it.

With `--write` the table of docs/faults.md is made anew. The last line is JSON: how many faults have which verdict.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tools.faults import api, machine
from tools.faults.world import Fault, Row, judge

FAULTS: Final = (*api.FAULTS, *machine.FAULTS)
AREAS: Final = (
    "API", "host", "process", "clock", "D-Bus", "keyring", "terminal", "files", "local attackers", "load",
)  # fmt: skip
PAGE: Final = Path(__file__).parents[2] / "docs" / "faults.md"
HEAD: Final = "| area | fault | how it is injected | while it lasts | verdict |\n| --- | --- | --- | --- | --- |\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--only", default="", help="faults whose name or area holds this")
    parser.add_argument("--at-once", type=int, default=12, help="default: 12; they mostly wait")
    parser.add_argument(
        "--write", action="store_true", help="make the table of docs/faults.md anew"
    )
    wanted = parser.parse_args()
    faults = [f for f in FAULTS if wanted.only in f"{f.area} {f.name}"]
    faults.sort(key=lambda fault: AREAS.index(fault.area))
    began = time.monotonic()
    with ThreadPoolExecutor(wanted.at_once) as pool:
        rows = list(pool.map(_judged, faults))
    sys.stdout.write(table(rows))
    if wanted.write:
        text = PAGE.read_text()
        PAGE.write_text(text[: text.index(HEAD)] + table(rows))
    counts = Counter(row.verdict for row in rows)
    figures = {"faults": len(rows), **counts, "seconds": round(time.monotonic() - began)}
    sys.stdout.write(f"{json.dumps(figures)}\n")
    return 0 if counts["recovers"] == len(rows) else 1


def _judged(fault: Fault) -> Row:
    try:
        row = judge(fault)
    except Exception as error:  # noqa: BLE001 - one broken row must not hide the others
        row = Row(fault, "unseen", f"{type(error).__name__}: {error}")
    if row.verdict != "recovers":
        sys.stderr.write(f"{fault.area}: {fault.name}: {row.verdict}: {row.why}\n")
    return row


def table(rows: Sequence[Row]) -> str:
    """The matrix as Markdown."""
    lines = [
        f"| {f.area} | {f.name} | {f.how} | {f.words} | {row.verdict} |\n"
        for row in rows
        for f in [row.fault]
    ]
    return HEAD + "".join(lines)


if __name__ == "__main__":
    sys.exit(main())

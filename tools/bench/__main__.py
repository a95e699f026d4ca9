"""`make bench`: how fast the commands answer beside a running monitor, and what the table and the poller take."""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any, Final

from tools.bench.home import MONITOR, PYTHON, Home, home, stand_in
from tools.bench.measure import (
    Command,
    cold,
    idle,
    install_mb,
    paired,
    ratio,
    rss_mb,
    screen,
    table,
)
from tools.bench.peers import commands, install, screen_of_monitor

FLOOR: Final = "python -c pass"
FEW: Final = 5
"""Accounts of a second table, which is looked at while it is idle."""

SAID: Final = json.dumps(
    {"rate_limits": {"five_hour": {"used_percentage": 14.0, "resets_at": 4102444800}}}
).encode()
OURS: Final[Mapping[str, Command]] = {
    "version": Command([MONITOR, "--version"]),
    "status": Command([MONITOR, "status"]),
    "status_json": Command([MONITOR, "status", "--json"]),
    "line": Command([MONITOR, "status", "--format", "{name} {5h.percent}% {5h.resets_in}"]),
    "guard": Command([MONITOR, "guard", "--max", "90"]),
    "next": Command([MONITOR, "next"]),
    "ingest": Command([MONITOR, "ingest"], SAID),
}
MOST: Final = {"version": 2.0, "status": 3.0}
"""How many times the floor a command may take."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=25, help="of each command; default: 25")
    parser.add_argument("--accounts", type=int, default=20, help="default: 20")
    parser.add_argument("--idle", type=float, default=10, help="seconds to look at; default: 10")
    parser.add_argument(
        "--stand-in", action="store_true", help="beside a bare socket; measures no table or poller"
    )
    wanted = parser.parse_args()
    peers = {} if wanted.stand_in else install()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        opened = (stand_in if wanted.stand_in else home)(Path(folder), wanted.accounts)
        with opened as where:
            document = _measured(where, wanted.runs, wanted.idle, peers)
    if not wanted.stand_in and sys.platform == "linux":  # elsewhere there is no /proc
        document["ours"][f"table_of_{FEW}"] = _few(wanted.idle)
        document["ours"]["cold"] = _cold(wanted.accounts)
        _look_at_peers(document["peers"], peers, wanted.idle)
        _print_idle(document, wanted.accounts)
    print(json.dumps(document))
    return 0


def _cold(accounts: int) -> dict[str, float]:
    """The fastest of three: other programs of the machine can only make it longer."""
    looks = []
    for _ in range(3):
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            looks.append(cold(Path(folder), accounts))
    best = min(looks, key=lambda look: look["complete_s"])
    print(
        f"\n{accounts} accounts, cold: the table is complete after {best['complete_s']:.2f} s"
        f" (at most 1.5), with {best['requests_each']} request each"
    )
    return best


def _few(seconds: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, home(Path(folder), FEW) as where:
        return table(where, seconds)


def _look_at_peers(found: dict[str, Any], programs: dict[str, Path], seconds: float) -> None:
    """Of the peers, claude-monitor alone has a live view."""
    if "claude-monitor" in programs:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            argv, env = screen_of_monitor(programs["claude-monitor"], Path(folder))
            found["claude-monitor"] |= screen(argv, env, "Token Usage", seconds)


def _print_idle(document: Mapping[str, Any], accounts: int) -> None:
    ours = document["ours"]
    shown = {f"table of {FEW}": ours[f"table_of_{FEW}"], f"table of {accounts}": ours}
    shown |= {name: each for name, each in document["peers"].items() if "rss_mb" in each}
    print("\nidle on a terminal of 120 by 40, seconds ticking (ours: at most 0.2 %, 150 bytes/s)")
    for name, each in shown.items():
        print(
            f"  {name:16} {each['idle_cpu_percent']:6.2f} % {each['bytes_per_second']:6} bytes/s"
            f" {each['rss_mb']:6.1f} MB"
        )


def _measured(where: Home, runs: int, seconds: float, programs: dict[str, Path]) -> dict[str, Any]:
    peers = commands(programs)
    floor = Command([PYTHON, "-c", "pass"])
    took = paired({FLOOR: floor, **OURS, **peers}, where.env, runs)
    ratios = {name: ratio(took[name], took[FLOOR]) for name in [*OURS, *peers]}
    _print_times(took, ratios)
    ours: dict[str, Any] = {f"{name}_ms": _middle(took[name]) for name in OURS}
    ours["ratios"] = {name: ratios[name] for name in OURS}
    ours["install_mb"] = install_mb("claude-tracker")
    if where.pid is not None and sys.platform == "linux":  # elsewhere there is no /proc
        ours |= table(where, seconds)
        ours["owner_rss_mb"] = rss_mb(where.pid)
        ours["owner_idle_cpu_percent"] = idle(where.pid, seconds)
        _print_figures(ours, len(where.names))
    return {
        "ours": ours,
        "peers": {name: {"version_ms": _middle(took[name])} for name in peers},
        "floors": {FLOOR: {"version_ms": _middle(took[FLOOR])}},
    }


def _middle(times: list[float]) -> float:
    return round(median(times), 1)


def _print_times(took: Mapping[str, list[float]], ratios: Mapping[str, float]) -> None:
    print(f"{'command':16} {'median':>9} {'fastest':>9} {'× floor':>8}")
    for name, times in took.items():
        times_floor = f"{ratios.get(name, 1.0):8.2f}"
        allowed = f"  (at most {MOST[name]:g})" if name in MOST else ""
        print(f"{name:16} {median(times):6.1f} ms {min(times):6.1f} ms {times_floor}{allowed}")


def _print_figures(ours: Mapping[str, Any], accounts: int) -> None:
    print(f"\nan attached table of {accounts} accounts")
    print(f"  complete after    {ours['first_table_s']:.3f} s  (at most 0.45)")
    print(f"  memory            {ours['rss_mb']:.1f} MB  (at most 36)")
    print(f"  processor, idle   {ours['idle_cpu_percent']:.2f} %")
    print(f"  to the terminal   {ours['bytes_per_second']} bytes a second")
    print("the monitor that polls")
    print(f"  memory            {ours['owner_rss_mb']:.1f} MB")
    print(f"  processor, idle   {ours['owner_idle_cpu_percent']:.2f} %")


if __name__ == "__main__":
    sys.exit(main())

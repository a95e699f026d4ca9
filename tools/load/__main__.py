"""`make load`: whether a leader of 100 accounts notices 200 followers, and what an idle leader and follower cost.

With `--linked`: whether one leader keeps up with very many accounts. Prints a table, and a last line of JSON. The
followers run on the same machine, and take their share of it.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from tests.end_to_end.world import MONITOR
from tests.real.pty import Terminal, terminal, terminal_env
from tools.bench.measure import cpu_seconds, rss_mb
from tools.load.figures import Figures, answers, first_round, measured
from tools.load.world import World, followers, world

SETTLED_SECS: Final = 5.0
IDLE_INTERVAL: Final = 180
IDLE_ACCOUNTS: Final = 5


def main() -> int:
    parser = argparse.ArgumentParser(prog="make load", description=__doc__)
    parser.add_argument(
        "--viewers", type=int, default=200, metavar="COUNT", help="how many followers; default: 200"
    )
    parser.add_argument("--processes", type=int, default=4, help="of the followers; default: 4")
    parser.add_argument("--accounts", type=int, default=100, help="default: 100")
    parser.add_argument("--linked", type=int, metavar="COUNT", help="only so many accounts, alone")
    parser.add_argument("--interval", type=int, default=30, help="seconds; default: 30")
    parser.add_argument("--seconds", type=float, default=60, help="of each part; default: 60")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        if wanted.linked is not None:
            document = _linked(Path(folder), wanted)
        else:
            document = {**_crowded(Path(folder), wanted), **_idle(Path(folder), wanted.seconds)}
    print(json.dumps(document))
    return 0


def _crowded(folder: Path, wanted: argparse.Namespace) -> dict[str, Any]:
    print(
        f"{wanted.accounts} accounts every {wanted.interval} s, {wanted.seconds:g} s each",
        flush=True,
    )
    with world(folder / "crowded", wanted.accounts, wanted.interval, 2) as found:
        alone = measured(found, wanted.seconds)
        with followers(found, wanted.viewers, wanted.processes) as seen:
            watched = measured(found, wanted.seconds)
    shown: dict[str, float] = {
        "viewers": wanted.viewers,
        "dropped": sum(each["dropped"] for each in seen),
        "different": max(each["different"] for each in seen) - 1,
        "states_per_viewer": round(sum(each["states"] for each in seen) / wanted.viewers, 1),
        "mb_per_second": round(sum(each["bytes"] for each in seen) / 1e6 / wanted.seconds, 1),
    }
    _print(alone, watched, shown)
    return {"alone": alone, "watched": watched, "viewers": shown}


def _linked(folder: Path, wanted: argparse.Namespace) -> dict[str, Any]:
    print(
        f"{wanted.linked} accounts every {wanted.interval} s, {wanted.seconds:g} s once they are spread",
        flush=True,
    )
    with world(folder / "linked", wanted.linked, wanted.interval, polls=0) as found:
        first = first_round(found, 2 * wanted.interval)
        time.sleep(wanted.interval)  # the second polls are spread over one more interval
        after = answers(found, wanted.seconds)
    print(f"{'':18} {'first round':>12} {'settled':>12}")
    for name, value in first.items():
        print(f"{name:18} {value:12g} {after[name]:12g}")
    return {"linked": {"first": first, "settled": after}}


def _print(alone: Figures, watched: Figures, shown: dict[str, float]) -> None:
    print(f"{'':18} {'alone':>10} {'watched':>10}")
    for name, value in alone.items():
        print(f"{name:18} {value:10g} {watched[name]:10g}")
    for name, value in shown.items():
        print(f"{name:18} {'':10} {value:10g}")


def _idle(folder: Path, seconds: float) -> dict[str, Any]:
    with (
        world(folder / "idle", IDLE_ACCOUNTS, IDLE_INTERVAL) as found,
        terminal([*MONITOR, "tui"], {**terminal_env(), **found.env}) as table,
    ):
        table.wait_for("attached to")
        _read(table, SETTLED_SECS)
        leader, follower = _costs(found, table, seconds)
    print(f"\nidle, {IDLE_ACCOUNTS} accounts, over {seconds:g} s")
    for name, costs in (("leader", leader), ("follower", follower)):
        print(f"{name:18} {costs['rss_mb']:7.1f} MB {costs['cpu_percent']:8.2f} %")
    return {"idle": {"owner": leader, "viewer": follower}}


def _costs(found: World, table: Terminal, seconds: float) -> tuple[Figures, Figures]:
    pids = found.pid, table.process.pid
    before = [cpu_seconds(pid) for pid in pids]
    _read(table, seconds)
    leader, follower = (
        {
            "rss_mb": rss_mb(pid),
            "cpu_percent": round(100 * (cpu_seconds(pid) - spent) / seconds, 2),
        }
        for pid, spent in zip(pids, before, strict=True)
    )
    return leader, follower


def _read(table: Terminal, seconds: float) -> None:
    """Be a terminal that somebody looks at."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        table.read(0.1)


if __name__ == "__main__":
    sys.exit(main())

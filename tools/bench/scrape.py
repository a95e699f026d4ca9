"""`make bench-scrape`: what a scrape takes beside the library, bytes that never change, and the Go client.

All hold the same series, of accounts that are polled every three minutes. They are asked in turns, since machines have
moods, first for text without compression and then as a Prometheus asks. `ours_apart` is what a scrape takes where 15
seconds lie between two, so that one account in twelve has changed.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection
from statistics import median
from typing import Any, Final

from tools.bench.measure import cpu_seconds
from tools.bench.servers import KINDS, PUSHGATEWAY, Server, go, python

ASKED: Final[Mapping[str, Mapping[str, str]]] = {
    "text": {"Accept": "text/plain"},
    "prometheus": {
        "Accept": "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
        "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        "Accept-Encoding": "gzip",
    },
}
ASKING: Final = 4
"""Connections that ask at the same time."""


@dataclass(frozen=True, slots=True)
class Round:
    """`rps` scrapes a second were answered, each of `size` bytes for `cpu_ms` of the server's processor time."""

    rps: float
    cpu_ms: float
    size: int


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-scrape", description=__doc__)
    parser.add_argument("--accounts", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--rounds", type=int, default=5, help="of each server; default: 5")
    parser.add_argument("--seconds", type=float, default=1.5, help="of each round; default: 1.5")
    wanted = parser.parse_args()
    if not shutil.which(PUSHGATEWAY):
        print(f"{PUSHGATEWAY} is not on PATH: without the Go client")
    before = os.getloadavg()[0]
    print(
        f"{'accounts':>8} {'asked':10} {'server':10} {'scrapes/s':>10} {'cpu/scrape':>12} {'bytes':>9}"
    )
    found = {str(n): _measured(n, wanted.rounds, wanted.seconds) for n in wanted.accounts}
    load = {"before": round(before, 2), "after": round(os.getloadavg()[0], 2)}
    print(
        f"load of the machine: {load['before']} before, {load['after']} after, {os.cpu_count()} cores"
    )
    print(json.dumps({"accounts": found, "load": load}))
    return 0


def _measured(accounts: int, rounds: int, seconds: float) -> dict[str, Any]:
    with ExitStack() as stack:
        servers = {kind: stack.enter_context(python(kind, accounts)) for kind in KINDS}
        if shutil.which(PUSHGATEWAY):
            servers["go"] = stack.enter_context(go(accounts))
        figures: dict[str, Any] = {}
        for asked, headers in ASKED.items():
            for server in servers.values():
                _ask(server, headers, seconds / 5)  # what is made once is made
            taken: dict[str, list[Round]] = {name: [] for name in servers}
            for _ in range(rounds):
                for name, server in servers.items():
                    taken[name].append(_ask(server, headers, seconds))
            middle = {name: _middle(each) for name, each in taken.items()}
            for name, each in middle.items():
                print(
                    f"{accounts:8} {asked:10} {name:10} {each.rps:10.0f} {each.cpu_ms:9.3f} ms {each.size:9}",
                    flush=True,
                )
            ours, rate = middle["ours"], middle["ours"].rps / middle["static"].rps
            said = f"{rate:.2f} of the static rate (at least 0.5)"
            if "go" in middle:
                said += f", {ours.cpu_ms / middle['go'].cpu_ms:.2f} of Go's processor time (at most 0.33)"
            print(f"{accounts:8} {asked:10} ours: {said}")
            figures[asked] = {
                **{f"{name}_rps": round(each.rps, 1) for name, each in middle.items()},
                **{f"{name}_cpu_ms": round(each.cpu_ms, 3) for name, each in middle.items()},
            }
        stalls = [_stalls(servers["ours"], headers, rounds, seconds) for headers in ASKED.values()]
        for asked, (late, took) in zip(ASKED, stalls, strict=True):
            print(
                f"{accounts:8} {asked:10} stalls of {late:.1f} ms, {took:.1f} ms of processor time"
            )
    return {
        **figures["text"],
        "stall_ms": max(late for late, _ in stalls),
        "stall_cpu_ms": max(took for _, took in stalls),
        "prometheus": figures["prometheus"],
    }


def _stalls(
    server: Server, headers: Mapping[str, str], rounds: int, seconds: float
) -> tuple[float, float]:
    """The longest of a round, while one scraper asks: by the clock, and in processor time."""
    server.stalls()
    longest = []
    for _ in range(rounds + 1):
        _ask(server, headers, seconds, asking=1)
        longest.append(server.stalls())
    late, took = (round(median(each), 2) for each in zip(*longest[1:], strict=True))
    return late, took


def _middle(rounds: list[Round]) -> Round:
    return Round(median(r.rps for r in rounds), median(r.cpu_ms for r in rounds), rounds[-1].size)


def _ask(server: Server, headers: Mapping[str, str], seconds: float, asking: int = ASKING) -> Round:
    """Scrape for so long, and at least once a connection."""
    cpu, began = cpu_seconds(server.process.pid), time.perf_counter()
    with ThreadPoolExecutor(asking) as pool:
        asked = [pool.submit(_scrape, server.port, headers, began + seconds) for _ in range(asking)]
        counts, sizes = zip(*[each.result() for each in asked], strict=True)
    took, count = time.perf_counter() - began, sum(counts)
    return Round(count / took, 1000 * (cpu_seconds(server.process.pid) - cpu) / count, max(sizes))


def _scrape(port: int, headers: Mapping[str, str], until: float) -> tuple[int, int]:
    """Scrapes by one connection until then: their number, and the bytes of the last."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    count = size = 0
    while not count or time.perf_counter() < until:
        connection.request("GET", "/metrics", headers=dict(headers))
        response = connection.getresponse()
        size = len(response.read())
        assert response.status == 200, response.status
        count += 1
    connection.close()
    return count, size


if __name__ == "__main__":
    sys.exit(main())

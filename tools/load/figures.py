"""What is measured of a monitor that polls: how late its polls are, how long scrapes take, and what it costs."""

import math
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from http.client import HTTPConnection
from typing import Final

from monitor.core.state import State
from tests.real.bus import wait_until
from tools.bench.measure import cpu_seconds, rss_mb
from tools.load.world import World

SCRAPE_EVERY: Final = 0.25
HEALTH_EVERY: Final = 0.05
READY_EVERY: Final = 10
MILLISECOND: Final = timedelta(milliseconds=1)
LOOK_EVERY: Final = 5.0

Figures = dict[str, float]


@dataclass(slots=True)
class Polls:
    """Lateness, by what the monitor itself wrote down: when a poll was due, and when its request left."""

    due: dict[str, datetime] = field(default_factory=dict)
    late_ms: list[float] = field(default_factory=list)

    def look(self, state: State) -> None:
        """At short intervals, so that no account is polled twice between two looks."""
        for name, account in state.accounts.items():
            due, requests = self.due.get(name), account.requests
            if due is not None and requests and requests[-1] >= due:
                self.late_ms.append((requests[-1] - due) / MILLISECOND)
                del self.due[name]
            if not account.polling:
                self.due[name] = account.next_poll_at


def measured(found: World, seconds: float) -> Figures:
    """The figures of this time."""
    polls, scrapes, sizes = Polls(), list[float](), list[int]()
    cpu, began = cpu_seconds(found.pid), time.monotonic()
    look_at = began
    connection = HTTPConnection("127.0.0.1", found.port, timeout=30)
    while (now := time.monotonic()) < began + seconds:
        if now >= look_at:
            polls.look(found.state())
            look_at += LOOK_EVERY
        asked = time.perf_counter()
        connection.request("GET", "/metrics")
        sizes.append(len(connection.getresponse().read()))
        scrapes.append((time.perf_counter() - asked) * 1000)
        time.sleep(max(0.0, now + SCRAPE_EVERY - time.monotonic()))
    connection.close()
    took = time.monotonic() - began
    return {
        "polls": len(polls.late_ms),
        **_spread("late", polls.late_ms),
        "scrapes": len(scrapes),
        **_spread("scrape", scrapes),
        "page_kb": round(max(sizes) / 1000, 1),
        "cpu_percent": round(100 * (cpu_seconds(found.pid) - cpu) / took, 1),
        "rss_mb": rss_mb(found.pid),
    }


def first_round(found: World, limit_secs: float) -> Figures:
    """The figures from the start until every account has been polled. Raises TimeoutError after so long."""
    wait_until(lambda: _listens(found.port), "the metrics", limit_secs)
    return _answers(found, found.started, found.started + limit_secs, "/-/ready")


def answers(found: World, seconds: float) -> Figures:
    """The figures of a time in which nobody asks for anything but `/-/healthy`: its waits are the loop's stalls."""
    now = time.monotonic()
    return _answers(found, now, now + seconds)


def _answers(found: World, began: float, until: float, ends: str = "") -> Figures:
    """Ask until then, or until the page `ends` is there."""
    cpu, waits = (cpu_seconds(found.pid) if not ends else 0.0), list[float]()
    connection = HTTPConnection("127.0.0.1", found.port, timeout=30)
    is_over = False
    while not is_over and (now := time.monotonic()) < until:
        waits.append(_wait_ms(connection, "/-/healthy")[0])
        if ends and not len(waits) % READY_EVERY:
            is_over = _wait_ms(connection, ends)[1] == HTTPStatus.OK
        time.sleep(max(0.0, now + HEALTH_EVERY - time.monotonic()))
    connection.close()
    if ends and not is_over:
        raise TimeoutError(f"{ends} is not there after {until - began:g} s")
    took = time.monotonic() - began
    return {
        "seconds": round(took, 1),
        "answers": len(waits),
        **_spread("answer", waits),
        "cpu_percent": round(100 * (cpu_seconds(found.pid) - cpu) / took, 1),
        "rss_mb": rss_mb(found.pid),
    }


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait_ms(connection: HTTPConnection, page: str) -> tuple[float, int]:
    asked = time.perf_counter()
    connection.request("GET", page)
    answer = connection.getresponse()
    answer.read()
    return (time.perf_counter() - asked) * 1000, answer.status


def _spread(name: str, values: Sequence[float]) -> Figures:
    return {f"{name}_p{rank}_ms": round(percentile(values, rank), 1) for rank in (50, 99, 100)}


def percentile(values: Sequence[float], rank: float) -> float:
    """The smallest of the values that this percentage of them does not exceed; NaN of none."""
    if not values:
        return math.nan
    return sorted(values)[max(math.ceil(len(values) * rank / 100) - 1, 0)]

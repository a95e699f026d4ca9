"""How long programs run, and what they take of the machine: in pairs with a floor, since machines have moods."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from statistics import median

from packaging.requirements import Requirement

from tests.end_to_end.crowd import crowd
from tests.real.pty import terminal
from tools.bench.home import MONITOR, Home

SETTLED_SECS = 2.0


@dataclass(frozen=True, slots=True)
class Command:
    """A program that is run to its end again and again; `stdin` is what it is given."""

    argv: Sequence[str]
    stdin: bytes = b""


def paired(
    commands: Mapping[str, Command], env: Mapping[str, str], runs: int
) -> dict[str, list[float]]:
    """The milliseconds of each run: in every round each command once, so that they share the machine's moods."""
    found: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(runs + 1):
        for name, command in commands.items():
            took = _milliseconds(command, env)
            if number:  # the first round warms caches
                found[name].append(took)
    return found


def ratio(ours: Sequence[float], floor: Sequence[float]) -> float:
    """The median of the pairs' ratios."""
    return round(median(a / b for a, b in zip(ours, floor, strict=True)), 2)


def _milliseconds(command: Command, env: Mapping[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command.argv, env=env, input=command.stdin, capture_output=True, timeout=60)
    return (time.perf_counter() - began) * 1000


def table(home: Home, seconds: float) -> dict[str, float]:
    """An attached table: until its last account is drawn, and what it then takes of the machine."""
    return screen([MONITOR, "tui"], home.env, home.names[-1], seconds)


def cold(folder: Path, accounts: int) -> dict[str, float]:
    """A table that polls, of accounts that were never polled: until every row has figures, and the requests."""
    with crowd(folder, accounts) as many:
        began = time.perf_counter()
        table = many.table()
        while (
            len([line for line in table.lines if "@example.com" in line and "%" in line]) < accounts
        ):
            assert time.perf_counter() - began < 60, table.screen
            table.read(0.01)
        took = time.perf_counter() - began
        requests = [len(many.api.requests_of(account.email)) for account in many.api.accounts]
    return {"complete_s": round(took, 3), "requests_each": max(requests)}


def screen(
    argv: Sequence[str], env: Mapping[str, str], wanted: str, seconds: float
) -> dict[str, float]:
    """A program on a terminal of 120 by 40: until the text stands there, and what it takes while nobody touches it."""
    began = time.perf_counter()
    with terminal(argv, env, 120, 40) as running:
        running.wait_for(wanted, 60)
        first = time.perf_counter() - began
        row = next(line for line in running.lines if wanted in line)
        assert "%" in row, f"it came without figures: {row}"
        settled = time.monotonic() + SETTLED_SECS
        while time.monotonic() < settled:
            running.read(0.1)
        cpu = cpu_seconds(running.process.pid)
        since = time.monotonic()
        sent = len(running.raw)
        while time.monotonic() < since + seconds:
            running.read(0.1)
        return {
            "first_table_s": round(first, 3),
            "rss_mb": rss_mb(running.process.pid),
            "idle_cpu_percent": _percent(cpu, running.process.pid, time.monotonic() - since),
            "bytes_per_second": round((len(running.raw) - sent) / seconds),
        }


def idle(pid: int, seconds: float) -> float:
    """The percent of one processor that the process takes over this time."""
    cpu, since = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    return _percent(cpu, pid, time.monotonic() - since)


def _percent(before: float, pid: int, seconds: float) -> float:
    return round(100 * (cpu_seconds(pid) - before) / seconds, 2)


def cpu_seconds(pid: int) -> float:
    """Of all its threads, to the nanosecond; the ticks of `stat` are too coarse for what takes two a second."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def rss_mb(pid: int) -> float:
    """The memory that is the process's now."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith("VmRSS"))
    return round(int(kilobytes) / 1024, 1)


def install_mb(name: str) -> float:
    """What the distribution and all that it needs take on disk."""
    return round(sum(_bytes(each) for each in _needed(name, set())) / 1e6, 1)


def _needed(name: str, seen: set[str]) -> set[str]:
    try:
        requires = distribution(name).requires or []
    except PackageNotFoundError:
        return seen
    seen.add(name)
    for text in requires:
        requirement = Requirement(text)
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if wanted and requirement.name not in seen:
            _needed(requirement.name, seen)
    return seen


def _bytes(name: str) -> int:
    files = distribution(name).files or []
    return sum(path.stat().st_size for f in files if (path := Path(str(f.locate()))).is_file())

"""`make history`: a year of samples of 20 accounts: how large the state database is, and what it costs to use it.

The last line is JSON: its size, opening it beside opening one without samples, learning and forecasting one account,
reading and drawing a chart of its year, and the sparklines of all accounts. Times are the best of three, in
milliseconds of the processor.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from monitor.app.forecaster import AccountModel
from monitor.core.profiles import Sample
from monitor.storage import cache, samples
from monitor.storage.db import StateFile, read_only
from monitor.storage.samples import StoredSample
from monitor.terminal.chart import chart, sparkline

NOW: Final = datetime(2026, 11, 20, 15, tzinfo=UTC)
ACCOUNTS: Final = 20
DAYS: Final = 365
WINDOWS: Final = {"5h": timedelta(hours=5), "7d": timedelta(days=7), "7d_opus": timedelta(days=7)}
INTERVAL: Final = timedelta(minutes=3)
CHUNK: Final = timedelta(days=1)
"""The program prunes as often."""


def rows(account: str, begin: datetime, end: datetime) -> Iterator[StoredSample]:
    """Polls from one instant to another; each window climbs in office hours and is reset at its end."""
    at = begin
    while at < end:
        for key, length in WINDOWS.items():
            since = (at - datetime(2025, 1, 1, tzinfo=UTC)) % length
            used = since / length * (0.9 if 8 <= at.hour < 19 else 0.7)
            yield StoredSample(at, account, key, round(used, 2), at - since + length)
        at += INTERVAL


def fill(path: Path) -> None:
    """Write the year as a program that runs all the time does: thinned once it is eight days old."""
    file, begin = StateFile(path), NOW - timedelta(days=DAYS)
    while begin < NOW:
        end = min(begin + CHUNK, NOW)
        for number in range(ACCOUNTS):
            polled = list(rows(f"user-{number}@example.com", begin, end))
            file.write(lambda database, polled=polled: samples.insert_many(database, "", polled))  # type: ignore[misc]
        file.write(lambda database, end=end: samples.prune(database, "", end))  # type: ignore[misc]
        begin = end
    file.write(lambda database: samples.prune(database, "", NOW))
    file.close()


def cost(work: Callable[[], object]) -> float:
    """Milliseconds of the processor, the best of three."""
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return round(best * 1000, 2)


def opened(path: Path) -> None:
    """Open the database and load what a program needs at its start."""
    file = StateFile(path)
    file.read(lambda database: cache.load(database, ""))
    file.close()


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="history-") as folder:
        path, empty = Path(folder) / "state.db", Path(folder) / "empty" / "state.db"
        fill(path)
        opened(empty)
        name = "user-0@example.com"

        def read(days: int, name: str = name, key: str | None = None) -> dict[str, list[Sample]]:
            since = NOW - timedelta(days=days)
            return read_only(path, lambda d: samples.read(d, "", name, since, NOW, key), {})

        kept = read(90)
        model = AccountModel("org", UTC)
        figures = {
            "accounts": ACCOUNTS,
            "days": DAYS,
            "megabytes": round(path.stat().st_size / 1e6, 1),
            "start_ms": cost(lambda: opened(path)),
            "start_without_samples_ms": cost(lambda: opened(empty)),
            "learn_ms": cost(lambda: model.learn(kept, NOW)),
            "forecast_ms_per_window": round(
                cost(lambda: model.forecast(NOW, kept["7d"][-1].at)) / len(WINDOWS), 2
            ),
            "chart_ms": cost(lambda: draw_chart(read(DAYS, key="7d")["7d"])),
            "sparklines_ms": cost(lambda: draw_sparklines(read)),
        }
    print(json.dumps(figures))
    return 0


def draw_chart(year: list[Sample]) -> None:
    chart(year, NOW - timedelta(days=DAYS), NOW, (120, 20))


def draw_sparklines(read: Callable[[int, str, str], dict[str, list[Sample]]]) -> None:
    for number in range(ACCOUNTS):
        for key, days in (("5h", 1), ("7d", 7)):
            found = read(days, f"user-{number}@example.com", key)[key]
            sparkline(found, NOW - timedelta(days=days), NOW, 40)


if __name__ == "__main__":
    raise SystemExit(main())

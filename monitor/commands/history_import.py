"""`monitor history import`: samples from a CSV file, as `--csv` writes it, or from a Prometheus by its HTTP API."""

import asyncio
import csv
import json
import math
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby, pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from monitor.core.errors import SettingsError, TrackerError, describe
from monitor.core.format import duration
from monitor.core.limits import LONGEST_WORD, window_word
from monitor.core.model import Account, window_duration
from monitor.core.profiles import HOUR, LONGEST_GAP
from monitor.core.ranking import find_account
from monitor.core.sanitize import one_line
from monitor.paths import instance_key
from monitor.settings import Settings, state_db
from monitor.storage.cache import put_import
from monitor.storage.db import StateFile
from monitor.storage.samples import FULL_FOR, KEPT, StoredSample, insert_many, prune, thin_again
from monitor.system.stdio import write_error
from monitor.system.urls import split_url

BUSY_SECS: Final = 5.0
BATCH: Final = 5_000
"""Rows of one transaction: a running monitor writes in between."""

MOST_NAMED: Final = 20
MOST_UTILIZATION: Final = 25.0
"""A week may be twentyfold full after a change to a smaller plan; a larger value is a percentage."""

LIKELY_PERCENT: Final = 2.0
"""Where most samples are as high as that, all are percentages."""

FARTHEST_RESET: Final = 5
"""In lengths of the window, from a sample to its reset; the API has answered 13 hours for a window of five."""

LONGEST_UNKNOWN: Final = timedelta(days=366)
"""The assumed length of a window whose length is not known."""

METRICS: Final = ("claude_usage_utilization_ratio", "claude_usage_reset_timestamp_seconds")
FINE_STEP: Final = timedelta(minutes=5)
COARSE_STEP: Final = timedelta(hours=1)
MOST_POINTS: Final = 5_000
"""In one range query, of each series; a Prometheus refuses more than 11,000."""

MOST_BYTES: Final = 256 << 20
ANSWER_SECS: Final = 120.0

Find = Callable[[str], str]
"""Returns the name of the account that a sample names by name or label. Raises TrackerError."""

Refuse = Callable[[str, str], None]
"""Takes the place of a sample that is left out, and the reason."""

Series = dict[tuple[str, str], dict[float, float]]
"""Values by their times in epoch seconds, of each `account` label and window."""


class _Problems:
    """Prints why samples are left out, once for each place, and counts them."""

    def __init__(self) -> None:
        self.count = 0
        self._places: set[str] = set()

    def note(self, where: str, words: str, count: int = 1) -> None:
        self.count += count
        if where not in self._places and len(self._places) < MOST_NAMED:
            write_error(f"monitor: {one_line(where)}: {one_line(words)}\n")
        self._places.add(where)

    def end(self) -> None:
        if len(self._places) > MOST_NAMED:
            write_error(f"monitor: and {len(self._places) - MOST_NAMED} more\n")
        if self.count:
            raise TrackerError(f"{_samples(self.count)} left out")


def import_samples(arguments: Namespace, settings: Settings, now: datetime) -> int:
    """Import the samples, and print how many there were. Raises TrackerError where some were left out."""
    problems, find = _Problems(), _finder(settings.accounts, arguments.into)
    if arguments.from_prometheus is not None:
        url = arguments.from_prometheus
        rows = asyncio.run(_from_prometheus(url, find, problems.note, now))
    else:
        rows = _from_file(arguments.source or "-", find, problems.note, now)
    _check_unit(rows)
    rows.sort(key=attrgetter("account", "window", "at"))
    new, conflicting, settings_key = 0, 0, instance_key(os.environ, settings.path)
    with closing(StateFile(state_db(os.environ), busy_secs=BUSY_SECS)) as file:
        for begin in range(0, len(rows), BATCH):
            batch = rows[begin : begin + BATCH]
            added, differing = file.write(partial(insert_many, settings=settings_key, rows=batch))
            new, conflicting = new + added, conflicting + differing
        if new:
            file.write(lambda database: thin_again(database, settings_key))
            file.write(lambda database: prune(database, settings_key, now))
            source = f"import of {now.isoformat()}"
            file.write(lambda database: put_import(database, settings_key, source))
    imported = len(rows) - conflicting
    known = f", {imported - new} of them known before" if imported > new else ""
    print(f"imported {_samples(imported)}{known}")
    for (account, window), series in groupby(rows, attrgetter("account", "window")):
        if _are_far_apart(row.at for row in series):
            apart = f"most samples are more than {duration(timedelta(hours=LONGEST_GAP))} apart"
            words = (
                f"{account} {window}: {apart}: charts show them, forecasts cannot learn from them"
            )
            write_error(f"monitor: {one_line(words, len(words))}\n")
    if conflicting:
        problems.note("history", "other figures are known of the same times, and stay", conflicting)
    problems.end()
    return 0


def _samples(count: int) -> str:
    return f"{count} sample{'' if count == 1 else 's'}"


def _check_unit(rows: Iterable[StoredSample]) -> None:
    """Raise TrackerError for percentages. All rows are judged together: a single 0.9 might be either."""
    used = [row.utilization for row in rows if row.utilization]
    high, low = sum(one >= LIKELY_PERCENT for one in used), sum(one < 1 for one in used)
    if max(used, default=0) > MOST_UTILIZATION or high > low:
        raise TrackerError(
            f"utilization is a ratio, 0.42 for 42 %, and here is {max(used):g}: nothing was imported"
        )


def _are_far_apart(times: Iterable[datetime]) -> bool:
    """Return whether most samples are too far apart for forecasts, which need to know the hour of each use."""
    gaps = [(after - before) / HOUR for before, after in pairwise(times)]
    return 2 * sum(gap > LONGEST_GAP for gap in gaps) > len(gaps)


def _finder(accounts: Sequence[Account], into: str | None) -> Find:
    """Return the function that finds a sample's account, by its exact name or label, or `into` for all of them."""
    if into is not None:
        only = find_account(into, accounts).name
        return lambda _: only
    names = {account.label: account.name for account in accounts if account.label}
    names |= {account.name: account.name for account in accounts}

    def find(name: str) -> str:
        if name not in names:
            raise TrackerError(f"there is no account {name!r} (import it as one by --account)")
        return names[name]

    return find


def _sample(values: Mapping[str, str | float], find: Find, now: datetime) -> StoredSample:
    """Parse one sample, whose times are ISO 8601 or epoch seconds. Raises ValueError or TrackerError."""
    at = _instant(values["at"], "at")
    if at > now:
        raise ValueError(f"at is in the future: {values['at']}")
    if at < now - KEPT:
        raise ValueError(f"at is longer ago than the {KEPT.days} days that are kept")
    try:
        utilization = float(values["utilization"])
    except ValueError:
        raise ValueError(f"utilization is not a number: {values['utilization']!r}") from None
    if not 0 <= utilization < math.inf:
        raise ValueError(f"utilization is a ratio, 0.42 for 42 %: {values['utilization']}")
    window = str(values["window"])
    if not window or window_word(window, 4 * LONGEST_WORD) != window:
        raise ValueError(f"window is not a window's name: {window!r}")
    account = find(str(values["account"]))
    if values["resets_at"] == "":
        return StoredSample(at, account, window, utilization)
    resets_at = _instant(values["resets_at"], "resets_at")
    if abs(resets_at - at) > FARTHEST_RESET * (window_duration(window) or LONGEST_UNKNOWN):
        raise ValueError(f"resets_at is too far from at for {window}: {resets_at.isoformat()}")
    return StoredSample(at, account, window, utilization, resets_at)


def _instant(value: str | float, column: str) -> datetime:
    try:
        if not isinstance(value, str):
            return datetime.fromtimestamp(value, UTC)
        instant = datetime.fromisoformat(value)
        if instant.tzinfo is not None:
            return instant.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise ValueError(
            f"{column} is not a time such as 2026-11-22T12:00:00Z: {value!r}"
        ) from None
    raise ValueError(f"{column} has no time zone: {value}")


# From a file


def _from_file(source: str, find: Find, refuse: Refuse, now: datetime) -> list[StoredSample]:
    name = "standard input" if source == "-" else source
    path = sys.stdin.fileno() if source == "-" else Path(source).expanduser()
    try:
        with open(path, encoding="utf-8-sig", newline="", closefd=source != "-") as file:
            return list(parse_csv(file, name, find, refuse, now))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise TrackerError(f"{name}: {why}") from None


def parse_csv(
    file: Iterable[str], name: str, find: Find, refuse: Refuse, now: datetime
) -> Iterator[StoredSample]:
    """Parse the samples of a CSV file; a line that has none goes to `refuse`. Raises TrackerError for another format.

    The columns are those of `monitor history --csv`, in any order; others are ignored.
    """
    lines = csv.reader(file)
    try:
        header = [word.strip().lower() for word in next(lines, [])]
        missing = [column for column in StoredSample._fields if column not in header]
        if missing:
            raise TrackerError(
                f"{name}: line 1: there is no column {missing[0]}: it has to name {','.join(StoredSample._fields)}"
            )
        for values in lines:
            if not any(map(str.strip, values)):
                continue
            try:
                if len(values) < len(header):
                    raise ValueError(f"{len(values)} values instead of {len(header)}")
                yield _sample(dict(zip(header, map(str.strip, values), strict=False)), find, now)
            except (ValueError, TrackerError) as error:
                refuse(f"{name}: line {lines.line_num}", str(error))
    except csv.Error as error:
        raise TrackerError(f"{name}: line {lines.line_num}: {error}") from None


# From a Prometheus


async def _from_prometheus(
    url: str, find: Find, refuse: Refuse, now: datetime
) -> list[StoredSample]:
    """Load the samples of all series that were scraped from this program, at the resolution of the history.

    It is asked by https://prometheus.io/docs/prometheus/latest/querying/api/#range-queries
    """
    parts = split_url(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError("--from-prometheus wants a URL such as http://localhost:9090")
    host = parts.netloc.rpartition("@")[2]  # a password is not to be repeated
    rows: list[StoredSample] = []
    is_there = False
    for start, end, step in _spans(now):
        levels, resets = [
            await _ask(url.rstrip("/"), host, metric, start, end, step) for metric in METRICS
        ]
        is_there |= any(levels.values())
        for (label, window), points in levels.items():
            ends = resets.get((label, window), {})
            for at, used in points.items():
                reset = ends.get(at, "")
                values = dict(
                    zip(StoredSample._fields, (at, label, window, used, reset), strict=True)
                )
                try:
                    rows.append(_sample(values, find, now))
                except (ValueError, TrackerError) as error:
                    refuse(f"{host}: {label} {window}", str(error))
    if not is_there:
        raise TrackerError(f"{host} has no {METRICS[0]}: does it scrape this program?")
    return rows


def _spans(now: datetime) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """Yield start, end and step of each range query, oldest first, none with too many points for one answer.

    They are whole hours and minutes, so that a second import finds the same samples.
    """
    hour = now.replace(minute=0, second=0, microsecond=0)
    for start, end, step in (
        (hour - KEPT + HOUR, hour - FULL_FOR, COARSE_STEP),
        (hour - FULL_FOR + FINE_STEP, now, FINE_STEP),
    ):
        begin = start
        while begin <= end:
            until = min(begin + step * (MOST_POINTS - 1), end)
            yield begin, until, step
            begin = until + step


async def _ask(
    url: str, host: str, metric: str, start: datetime, end: datetime, step: timedelta
) -> Series:
    """Send one range query. Raises TrackerError."""
    from monitor.system import web

    query = urlencode(
        {
            "query": metric,
            "start": f"{start.timestamp():.3f}",
            "end": f"{end.timestamp():.3f}",
            "step": f"{step.total_seconds():g}",
        }
    )
    try:
        async with await web.session_of("claude-tracker", ANSWER_SECS) as session:
            answer = await web.ask(
                session, f"{url}/api/v1/query_range?{query}", {}, most=MOST_BYTES
            )
    except web.BlockedError as error:
        raise TrackerError(f"{host}: {describe(error.failure)}") from None
    try:
        document = json.loads(answer.body)
        if document["status"] != "success":
            raise TrackerError(f"{host}: {one_line(str(document.get('error')))}")
        if answer.status == 200:
            return _parse_series(document["data"]["result"])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass
    words = f"HTTP {answer.status}" if answer.status != 200 else "the answer is not understood"
    raise TrackerError(f"{host}: no Prometheus answers there: {words}")


def _parse_series(result: Iterable[Mapping[str, Any]]) -> Series:
    """Parse the series of a matrix. Raises ValueError, and what values of other types raise."""
    found: Series = {}
    for one in result:
        metric = one["metric"]
        label = metric.get("exported_account") or metric.get("account", "")
        points = found.setdefault((str(label), str(metric.get("window", ""))), {})
        for at, value in one["values"]:
            if not math.isnan(float(value)):
                points[float(at)] = float(value)
    return found

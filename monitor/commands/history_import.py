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
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Final, TextIO
from urllib.parse import urlencode

from monitor.core.errors import SettingsError, TrackerError, describe
from monitor.core.format import duration
from monitor.core.guard import find_account
from monitor.core.model import Account
from monitor.core.profiles import HOUR, LONGEST_GAP
from monitor.core.sanitize import one_line
from monitor.paths import instance_key
from monitor.settings import Settings, state_db
from monitor.storage.cache import put_imported
from monitor.storage.db import StateFile
from monitor.storage.samples import FULL_FOR, KEPT, Row, insert_many, thin_again
from monitor.system.stdio import complain
from monitor.system.urls import split_url

BUSY_SECS: Final = 5.0
BATCH: Final = 5_000
"""Rows of one transaction: a running monitor writes in between."""

MOST_NAMED: Final = 20
MOST_UTILIZATION: Final = 10.0
"""More than ten times a limit is a percentage that was meant."""

LONGEST_WINDOW: Final = 80

METRICS: Final = ("claude_usage_utilization_ratio", "claude_usage_reset_timestamp_seconds")
FINE_STEP: Final = timedelta(minutes=5)
COARSE_STEP: Final = timedelta(hours=1)
MOST_POINTS: Final = 5_000
"""Of one question and series; a Prometheus refuses more than 11,000."""

MOST_BYTES: Final = 256 << 20
ANSWER_SECS: Final = 120.0

Find = Callable[[str], str]
"""The name of the account that a sample's is. Raises TrackerError."""


class _Problems:
    """What could not be imported, each with the number of its line."""

    def __init__(self) -> None:
        self.count = 0

    def note(self, where: str, words: str) -> None:
        self.count += 1
        if self.count <= MOST_NAMED:
            complain(f"monitor: {where}: {one_line(words)}\n")

    def end(self, what: str) -> None:
        if self.count > MOST_NAMED:
            complain(f"monitor: and {self.count - MOST_NAMED} more\n")
        if self.count:
            raise TrackerError(f"{self.count} {what} left out")


def import_samples(arguments: Namespace, settings: Settings, now: datetime) -> int:
    """Import what can be imported, then say how much that was. Raises TrackerError where something was left out."""
    problems, find = _Problems(), _finder(settings.accounts, arguments.into)
    if arguments.from_prometheus is not None:
        what = "series"
        rows = iter(asyncio.run(_from_prometheus(arguments.from_prometheus, find, problems, now)))
    else:
        source, what = arguments.source or "-", "lines"
        rows = _from_file(source, find, problems, now)
    times: dict[tuple[str, str], list[datetime]] = {}
    seen, new, rows_of = 0, 0, instance_key(os.environ, settings.path)
    with closing(StateFile(state_db(os.environ), busy_secs=BUSY_SECS)) as file:
        while batch := list(islice(rows, BATCH)):
            for row in batch:
                times.setdefault((row.account, row.window), []).append(row.at)
            seen += len(batch)
            new += file.write(partial(insert_many, settings=rows_of, rows=batch))
        if new:
            file.write(lambda database: thin_again(database, rows_of))
            source = f"import of {now.isoformat()}"
            file.write(lambda database: put_imported(database, rows_of, source))
    known = f", {seen - new} of them known before" if seen > new else ""
    print(f"imported {seen} sample{'' if seen == 1 else 's'}{known}")
    for account, window in (key for key, at in times.items() if _are_far_apart(at)):
        apart = f"most samples are more than {duration(timedelta(hours=LONGEST_GAP))} apart"
        words = f"{account} {window}: {apart}: charts show them, forecasts cannot learn from them"
        complain(f"monitor: {one_line(words, len(words))}\n")
    problems.end(what)
    return 0


def _are_far_apart(times: Iterable[datetime]) -> bool:
    """Whether most of the samples are too far apart for forecasts, which need to know the hour of each use."""
    gaps = [(after - before) / HOUR for before, after in pairwise(sorted(set(times)))]
    return 2 * sum(gap > LONGEST_GAP for gap in gaps) > len(gaps)


def _finder(accounts: Sequence[Account], into: str | None) -> Find:
    """Samples name an account as metrics do, by its label, or by its name: exactly, for a file is not typed."""
    if into is not None:
        name = find_account(into, accounts).name
        return lambda _: name
    names = {account.label: account.name for account in accounts if account.label}
    names |= {account.name: account.name for account in accounts}

    def find(called: str) -> str:
        if called not in names:
            raise TrackerError(f"there is no account {called!r} (import it as one by --account)")
        return names[called]

    return find


# From a file


def _from_file(source: str, find: Find, problems: _Problems, now: datetime) -> Iterator[Row]:
    if source == "-":
        yield from parse_csv(sys.stdin, "standard input", find, problems.note, now)
        return
    try:
        with Path(source).expanduser().open(encoding="utf-8-sig", newline="") as file:
            yield from parse_csv(file, source, find, problems.note, now)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise TrackerError(f"{source}: {why}") from None


def parse_csv(
    file: TextIO | Iterable[str],
    name: str,
    find: Find,
    refuse: Callable[[str, str], None],
    now: datetime,
) -> Iterator[Row]:
    """Parse samples; `refuse` is told of each line that is none, by its number. Raises TrackerError for another form.

    The columns are those of `monitor history --csv`, in any order; more of them are ignored.
    """
    lines = csv.reader(file)
    try:
        header = [word.strip().lower() for word in next(lines, [])]
        missing = [column for column in Row._fields if column not in header]
        if missing:
            raise TrackerError(
                f"{name}: line 1: there is no column {missing[0]}: it has to name {','.join(Row._fields)}"
            )
        for values in lines:
            if not any(map(str.strip, values)):
                continue
            where = f"{name}: line {lines.line_num}"
            try:
                if len(values) < len(header):
                    raise ValueError(f"{len(values)} values instead of {len(header)}")
                yield _row(dict(zip(header, map(str.strip, values), strict=False)), find, now)
            except (ValueError, TrackerError) as error:
                refuse(where, str(error))
    except csv.Error as error:
        raise TrackerError(f"{name}: line {lines.line_num}: {error}") from None


def _row(values: Mapping[str, str], find: Find, now: datetime) -> Row:
    """One sample. Raises ValueError or TrackerError."""
    at, end = _instant(values["at"], "at"), values["resets_at"]
    if at > now:
        raise ValueError(f"at is in the future: {values['at']}")
    if at < now - KEPT:
        raise ValueError(f"at is longer ago than the {KEPT.days} days that are kept")
    try:
        utilization = float(values["utilization"])
    except ValueError:
        raise ValueError(f"utilization is not a number: {values['utilization']!r}") from None
    if not 0 <= utilization <= MOST_UTILIZATION:
        raise ValueError(f"utilization is a ratio, 0.42 for 42 %: {values['utilization']}")
    window = values["window"]
    if not window or len(window) > LONGEST_WINDOW or not window.isprintable():
        raise ValueError(f"window is not a window's name: {window!r}")
    account = find(values["account"])
    return Row(at, account, window, utilization, _instant(end, "resets_at") if end else None)


def _instant(text: str, column: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{column} is not a time such as 2026-11-22T12:00:00Z: {text!r}") from None
    if instant.tzinfo is None:
        raise ValueError(f"{column} has no time zone: {text}")
    return instant.astimezone(UTC)


# From a Prometheus


async def _from_prometheus(
    url: str, find: Find, problems: _Problems, now: datetime
) -> Sequence[Row]:
    """The samples of all series that were scraped from this program, as finely as they will be kept.

    An answer of `query_range`: https://prometheus.io/docs/prometheus/latest/querying/api/#range-queries
    """
    parts = split_url(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError("--from-prometheus wants a URL such as http://localhost:9090")
    host = parts.netloc.rpartition("@")[2]  # a password is not to be repeated
    rows: list[Row] = []
    unknown: set[str] = set()
    for start, end, step in _spans(now):
        levels, resets = [
            await _ask(url.rstrip("/"), host, metric, start, end, step) for metric in METRICS
        ]
        ends = {_series(one): dict(map(_point, one["values"])) for one in resets}
        for one in levels:
            called, window = _series(one)
            try:
                account = find(called)
            except TrackerError as error:
                if called not in unknown:
                    unknown.add(called)
                    problems.note(host, str(error))
                continue
            there = ends.get((called, window), {})
            for at, value in map(_point, one["values"]):
                if 0 <= value <= MOST_UTILIZATION:
                    resets_at = there.get(at)
                    reset = datetime.fromtimestamp(resets_at, UTC) if resets_at else None
                    instant = datetime.fromtimestamp(at, UTC)
                    rows.append(Row(instant, account, window, value, reset))
    if not rows and not unknown:
        raise TrackerError(f"{host} has no {METRICS[0]}: does it scrape this program?")
    return rows


def _spans(now: datetime) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """Times to ask about, oldest first, each in as many points as an answer may have."""
    for start, end, step in (
        (now - KEPT, now - FULL_FOR, COARSE_STEP),
        (now - FULL_FOR, now, FINE_STEP),
    ):
        begin = start
        while begin < end:
            until = min(begin + step * MOST_POINTS, end)
            yield begin, until, step
            begin = until + step


def _series(one: Mapping[str, Any]) -> tuple[str, str]:
    """The account of a series, as the scraped program called it, and the window."""
    metric = one["metric"]
    return metric.get("exported_account") or metric.get("account", ""), metric.get("window", "")


def _point(pair: Sequence[Any]) -> tuple[float, float]:
    value = float(pair[1])
    return float(pair[0]), value if math.isfinite(value) else -1.0


async def _ask(
    url: str, host: str, metric: str, start: datetime, end: datetime, step: timedelta
) -> list[Mapping[str, Any]]:
    """Ask for a range of one metric. Raises TrackerError."""
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
        async with web.session_of("claude-tracker", ANSWER_SECS) as session:
            answer = await web.ask(
                session, f"{url}/api/v1/query_range?{query}", {}, most=MOST_BYTES
            )
    except web.BlockedError as error:
        raise TrackerError(f"{host}: {describe(error.failure)}") from None
    try:
        document = json.loads(answer.body)
        if document["status"] != "success":
            raise TrackerError(f"{host}: {one_line(str(document.get('error')))}")
        found: list[Mapping[str, Any]] = document["data"]["result"]
    except (ValueError, KeyError, TypeError):
        words = f"HTTP {answer.status}" if answer.status != 200 else "the answer is not understood"
        raise TrackerError(f"{host}: no Prometheus answers there: {words}") from None
    return found

"""`monitor history`: windows' past as charts with what is expected of them, or as samples for other programs."""

import asyncio
import csv
import json
import os
import shutil
import sys
from argparse import Namespace
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from monitor.commands.queries import load_saved, settings_of, with_forecasts
from monitor.commands.queries import now as now_of_clock
from monitor.core.errors import SettingsError, TrackerError
from monitor.core.format import NOTHING, clock, duration, iso, outlook, outlook_words, percent
from monitor.core.model import FIVE_HOURS, SEVEN_DAYS, AccountState
from monitor.core.profiles import Sample
from monitor.core.ranking import find_account, find_account_state
from monitor.core.sanitize import clean
from monitor.paths import instance_key
from monitor.settings import parse_since, state_db
from monitor.storage import samples
from monitor.storage.db import read_only
from monitor.storage.samples import KEPT, StoredSample
from monitor.system.stdio import has_colours
from monitor.terminal.chart import Expected, chart, sparkline
from monitor.terminal.text import ASCII, Line, Span, Style, clip, pad, plain, width

CSV_COLUMNS: Final = StoredSample._fields
LEAST_ROWS: Final = 8
MOST_ROWS: Final = 17
CHART_FLAGS: Final = ("demo", "window", "since", "csv", "json", "openmetrics")
IMPORT_FLAGS: Final = {"from": "source", "from-prometheus": "from_prometheus", "account": "into"}
"""The flags of `history import` alone, by their names, with the arguments that hold their values."""

USUAL: Final[tuple[str, ...]] = (FIVE_HOURS, SEVEN_DAYS)
_SPANS: Final = {FIVE_HOURS: timedelta(days=1)}
_SPAN: Final = timedelta(days=7)
"""The time that a chart of another window covers, without `--since`."""

Samples = Mapping[str, Mapping[str, Sequence[Sample]]]
"""By account and window, oldest first."""

_SGR: Final = {
    Style.DIM: "2",
    Style.NOTICE: "33",
    Style.TITLE: "1",
    Style.COOL: "32",
    Style.MILD: "32",
    Style.WARM: "33",
    Style.HOT: "33",
    Style.FULL: "31",
}
"""The terminal's own colours, which fit its background."""


def history(arguments: Namespace) -> int:
    """Print charts, or samples in a form for other programs; or import samples. Raises TrackerError."""
    is_import = arguments.account == "import"
    for flag in CHART_FLAGS if is_import else IMPORT_FLAGS:
        if vars(arguments)[IMPORT_FLAGS.get(flag, flag)]:
            instead = "is not for" if is_import else "is for"
            raise SettingsError(f"--{flag} {instead} `monitor history import`")
    if arguments.demo:
        return asyncio.run(_demo(arguments))
    settings, now = settings_of(arguments), now_of_clock()
    if not settings.history.enabled:
        raise TrackerError("no history is kept: the settings have [history] enabled = false")
    if is_import:
        from monitor.commands.history_import import import_samples

        return import_samples(arguments, settings, now)
    named = [find_account(arguments.account, settings.accounts)] if arguments.account else []
    accounts = named or list(settings.accounts)
    since = parse_since(arguments.since, now) if arguments.since else None
    path, settings_key = state_db(os.environ), instance_key(os.environ, settings.path)
    names = [account.name for account in accounts]
    windows: set[str] = read_only(path, lambda db: samples.windows(db, settings_key, names), set())
    if arguments.csv or arguments.json or arguments.openmetrics:
        if arguments.window:
            _check_window(arguments.window, windows)
        rows = (
            StoredSample(usage.at, name, one.key, one.utilization, one.resets_at)
            for name, usage in samples.usages(path, settings_key, since or now - KEPT, now)
            if name in names
            for one in usage.windows
            if arguments.window in (None, one.key)
        )
        if arguments.csv:
            _write_csv(rows)
        elif arguments.json:
            _write_json(rows, now)
        else:
            _write_openmetrics(list(rows), {a.name: a.title for a in accounts})
        return 0
    state = with_forecasts(load_saved(arguments).state, settings)
    known = [state.accounts[account.name] for account in accounts if account.name in state.accounts]
    past = _Past({}, arguments.window, since, now, settings.display.ascii)
    keys = [None] if len(known) == 1 else past.sparklines
    stored: dict[str, ChainMap[str, list[Sample]]] = read_only(
        path,
        lambda db: {
            name: ChainMap(
                *(samples.read(db, settings_key, name, past.begin(key), now, key) for key in keys)
            )
            for name in names
        },
        {},
    )
    _print(replace(past, stored=stored), known, windows)
    return 0


async def _demo(arguments: Namespace) -> int:
    """Print the charts of the demo's accounts, which have four weeks of samples."""
    from monitor.app.forecaster import look_ahead
    from monitor.app.wiring import build_demo

    async with build_demo() as app:
        await app.poll_once()
        await look_ahead(app.store, app.clock, app.persistence.history)
        state, now = app.store.state, app.clock.now()
        known = list(state.accounts.values())
        if arguments.account:
            known = [find_account_state(state, arguments.account)]
        since = parse_since(arguments.since, now) if arguments.since else None
        names, begin = [account.account.name for account in known], since or now - _SPAN
        stored = {name: await app.persistence.history.read(name, begin, now) for name in names}
        _print(_Past(stored, arguments.window, since, now), known)
    return 0


# Charts


@dataclass(frozen=True, slots=True)
class _Past:
    """The samples to draw, and how; `ascii` draws them in plain characters."""

    stored: Samples
    window: str | None
    since: datetime | None
    now: datetime
    ascii: bool = False

    def samples(self, account: AccountState) -> Mapping[str, Sequence[Sample]]:
        return self.stored.get(account.account.name, {})

    @property
    def sparklines(self) -> Sequence[str]:
        """Return the windows that are drawn for each of several accounts."""
        return [self.window] if self.window else USUAL

    def begin(self, key: str | None) -> datetime:
        """Return when the window's chart begins, or (None) the earliest chart."""
        return self.since or self.now - _SPANS.get(key or "", _SPAN)


def _print(past: _Past, accounts: list[AccountState], windows: Iterable[str] = ()) -> None:
    """Print charts of one account, or a line for each of several; `windows` includes those of older samples.

    Raises SettingsError for a window that none has, and TrackerError where there are no samples since then.
    """
    if not accounts:
        raise TrackerError("no accounts yet: run `monitor accounts import --all`")
    if past.window:
        recent = {key for account in accounts for key in past.samples(account)}
        recent |= {window.key for account in accounts for window in account.windows(past.now)}
        known = {*recent, *windows}
        _check_window(past.window, known)
        if past.window in known - recent:
            begin = clock(past.begin(past.window), past.now)
            raise TrackerError(
                f"nothing is known of {past.window} since {begin}: look further back by --since"
            )
    past = replace(past, ascii=past.ascii or _needs_ascii())
    colours = has_colours()
    for line in _charts(past, accounts[0]) if len(accounts) == 1 else _overview(past, accounts):
        text = _colour(line) if colours else plain(line).rstrip()
        print(text.translate(ASCII).encode("ascii", "replace").decode() if past.ascii else text)


def _check_window(window: str, keys: Iterable[str]) -> None:
    """Raise SettingsError for a window that is not among `keys`, unless there are none."""
    known = sorted(set(keys))
    if known and window not in known:
        names = ", ".join(map(clean, known))
        raise SettingsError(f"there is no window {window!r}; known are {names}")


def _needs_ascii() -> bool:
    """Return whether the output cannot show braille: its encoding is not UTF-8, or it is Linux's console."""
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    return encoding != "utf8" or (sys.stdout.isatty() and os.environ.get("TERM") == "linux")


def _colour(line: Line) -> str:
    return "".join(
        f"\x1b[{_SGR[span.style]}m{span.text}\x1b[m" if span.style in _SGR else span.text
        for span in line
    )


def _charts(past: _Past, account: AccountState) -> Iterator[Line]:
    """Yield the chart of each wanted window of the account, below its headline."""
    found, now = past.samples(account), past.now
    keys = [past.window] if past.window else [key for key in USUAL if key in found] or list(found)
    if not any(key in found for key in keys):
        raise TrackerError(f"nothing is known of {clean(account.account.name)} since then")
    columns, rows = shutil.get_terminal_size()
    rows = max(min(rows // len(keys) - 3, MOST_ROWS), LEAST_ROWS)
    for number, key in enumerate(keys):
        begin = max(past.begin(key), min(found[key][0].at, now - timedelta(hours=1)))
        if number:
            yield ()
        yield _headline(account, key, now, columns)
        ahead, size = _ahead(account, key, now), (columns, rows)
        yield from chart(found[key], begin, now, size, ahead=ahead, ascii=past.ascii)
    others = [clean(key) for key in found if key not in keys]
    if others and not past.window:
        yield ()
        words = f"also known: {', '.join(others)} (--window {others[0]})"
        yield (Span(clip(words, columns), Style.DIM),)


def _headline(account: AccountState, key: str, now: datetime, columns: int) -> Line:
    """Describe the window, its reset and its forecast, in as many words as fit."""
    window, tails = account.window(key, now), [""]
    text = f"{clean(account.account.name)}  {clean(key)}"
    if window is not None:
        text += f"  {percent(window.utilization, confirmed=window.confirmed)}"
        resets_in = window.resets_in(now)
        if window.resets_at is not None and resets_in is not None:
            resets = f", resets {clock(window.resets_at, now)}"
            long, short = (f", {each(account, key, now)}" for each in (outlook_words, outlook))
            tails = [f"{resets} (in {duration(resets_in)}){long}", f"{resets}{short}", short, ""]
    tail = next((tail for tail in tails if width(text + tail) <= columns), "")
    return (Span(clip(text + tail, columns), Style.TITLE),)


def _ahead(account: AccountState, key: str, now: datetime) -> tuple[datetime, Expected] | None:
    """Return the window's reset, and its forecast utilization until then: low, likely and high at an instant."""
    known, window = account.forecast_of(key, now), account.window(key, now)
    if known is None or known.distribution is None or window is None:
        return None
    used, level = known.distribution, window.utilization

    def band(at: datetime) -> tuple[float, float, float]:
        low, likely, high = (min(level + used.quantile(at, p) / 100, 1.0) for p in (0.9, 0.5, 0.1))
        return low, likely, high

    return used.resets_at, band


def _overview(past: _Past, accounts: list[AccountState]) -> Iterator[Line]:
    """Yield a line of sparklines for each account, below a line of titles."""
    keys = past.sparklines
    columns, now = shutil.get_terminal_size().columns, past.now
    names = [clean(account.account.label or account.account.name) for account in accounts]
    name_cells = min(max(map(width, names)), columns * 3 // 10)
    cells = max((columns - name_cells) // len(keys) - 8, 6)
    head = [Span(" " * name_cells)]
    for key in keys:
        at = clock(past.begin(key), now)
        titles = [f"  {clean(key)} since {at}", f"  {clean(key)} {at}"]
        title = next((one for one in titles if width(one) <= cells + 8), f"  {clean(key)}")
        head.append(Span(pad(title, cells + 8), Style.DIM))
    yield tuple(head)
    for name, account in zip(names, accounts, strict=True):
        spans, found = [Span(pad(name, name_cells))], past.samples(account)
        for key in keys:
            line = sparkline(found.get(key, ()), past.begin(key), now, cells)
            current = account.window(key, now)
            used = percent(current.utilization, confirmed=current.confirmed) if current else NOTHING
            spans.append(Span(f"  {line} {used:>5}"))
        yield tuple(spans)


# Samples for other programs


def instant(at: datetime) -> str:
    """Render as ISO 8601 in UTC, with all digits of the second, so that an import finds the same sample."""
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat()}Z"


def _write_csv(rows: Iterator[StoredSample]) -> None:
    file = csv.writer(sys.stdout, lineterminator="\n")
    file.writerow(CSV_COLUMNS)
    for row in rows:
        end = "" if row.resets_at is None else instant(row.resets_at)
        file.writerow((instant(row.at), row.account, row.window, round(row.utilization, 6), end))


def _write_json(rows: Iterator[StoredSample], now: datetime) -> None:
    """Write one document, a sample on each line, without building the text of a year's samples in memory."""
    sys.stdout.write(f'{{"generated_at": "{iso(now)}", "samples": [')
    for number, row in enumerate(rows):
        document = {
            "at": instant(row.at),
            "account": row.account,
            "window": row.window,
            "utilization": round(row.utilization, 6),
            "resets_at": row.resets_at and instant(row.resets_at),
        }
        sys.stdout.write(f"{',' if number else ''}\n{json.dumps(document, ensure_ascii=False)}")
    sys.stdout.write("\n]}\n")


def _write_openmetrics(rows: list[StoredSample], titles: dict[str, str]) -> None:
    """Write the two metrics of a window that dashboards need, with the times of their samples."""
    utilization = [(row, row.utilization) for row in rows]
    resets = [(row, row.resets_at.timestamp()) for row in rows if row.resets_at]
    for metric, found in (
        ("claude_usage_utilization_ratio", utilization),
        ("claude_usage_reset_timestamp_seconds", resets),
    ):
        print(f"# TYPE {metric} gauge")
        for row, value in sorted(found, key=lambda pair: (pair[0].account, pair[0].window)):
            labels = f'account="{_escape(titles[row.account])}",window="{_escape(row.window)}"'
            print(f"{metric}{{{labels}}} {value:.15g} {row.at.timestamp():.3f}")
    print("# EOF")


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')

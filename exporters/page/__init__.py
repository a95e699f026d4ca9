"""The status page: the table of accounts for a browser, as one document that loads nothing else.

It is complete without its script, which only replaces the part that `render_status` renders, as events bring it. Bars
and colours repeat what the text says, and no countdown has seconds, so that few events are sent.
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from html import escape
from importlib.resources import files
from string import Template
from typing import Final

from monitor import __version__
from monitor.core.errors import Reason
from monitor.core.forecast import Forecast
from monitor.core.format import WORTH_TELLING, age, duration, iso, money, percent, reset
from monitor.core.model import (
    EXTRA,
    FIVE_HOURS,
    SEVEN_DAYS,
    AccountState,
    AccountStatus,
    Window,
    window_duration,
)
from monitor.core.ranking import Candidate, Choice, Confidence, choose
from monitor.core.sanitize import clean
from monitor.core.state import State


def _read(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


_STYLE: Final = _read("style.css")
_SCRIPT: Final = _read("script.js")
_PAGE: Final = Template(_read("index.html"))

SECURITY_POLICY: Final = (
    f"default-src 'none'; style-src {_source(_STYLE)}; script-src {_source(_SCRIPT)}; connect-src 'self';"
    " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Allows the page its own style, script, icon and events, and nothing else."""

HIGH: Final = 0.8
LEAST_PROBABILITY: Final = 0.2
"""A lower probability to run out is not shown."""


def render_page(state: State, now: datetime, host: str, metrics: str, *, secure: bool) -> str:
    """Render the page as HTML; `host` is the name and port that were asked, `metrics` the path of the metrics."""
    scrape = "" if metrics == "/metrics" else f"\n    metrics_path: {escape(metrics)}"
    return _PAGE.substitute(
        style=_STYLE,
        script=_SCRIPT,
        version=escape(__version__),
        host=escape(host),
        metrics=escape(metrics.lstrip("/")),
        scrape=scrape + ("\n    scheme: https" if secure else ""),
        status=render_status(state, now),
    )


def render_status(state: State, now: datetime) -> str:
    """Render the part of the page that changes: which account to use, the next reset, and the table."""
    if not state.accounts:
        return "<p>No accounts yet: <code>monitor accounts import</code> adds one.</p>"
    choice = choose(state, now)
    candidates = {candidate.account: candidate for candidate in choice.ranking}
    rows = [
        _row(state, account, candidates[name], now, use=choice.usable and name == choice.account)
        for name, account in state.accounts.items()
    ]
    cards = "\n".join(
        f"<div><dt>{title}</dt><dd>{text}</dd></div>" for title, text in _cards(state, choice, now)
    )
    head = "".join(f'<th scope="col">{title}</th>' for title in _COLUMNS)
    return (
        f'<dl>\n{cards}\n</dl>\n<table>\n<caption class="unseen">Usage of each account</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody>\n</table>"
    )


_COLUMNS: Final = ("Account", "5 hours", "7 days", "Other limits", "State")


def _cards(state: State, choice: Choice, now: datetime) -> Iterator[tuple[str, str]]:
    chosen = state.accounts.get(choice.account or "")
    if chosen is None:
        yield "Use now", "not known yet"
    elif choice.usable:
        yield "Use now", f"{_name(chosen)}<small>{choice.ranking[0].percent_left}% left</small>"
    else:
        free = f"in {duration(choice.free_at - now, seconds=False)}" if choice.free_at else "later"
        yield "Free first", f"{_name(chosen)}<small>{free}; every account is full</small>"
    ahead = [
        (window.resets_at, window.key, account)
        for account in state.accounts.values()
        for window in account.windows(now)
        if window.resets_at is not None and window.utilization > 0
    ]
    if ahead:
        at, key, account = min(ahead, key=lambda each: each[0])
        left = _time(at, duration(at - now, seconds=False))
        yield "Next reset", f"in {left}<small>{escape(clean(key))} of {_name(account)}</small>"
    counts = Counter(_condition(state.accounts[c.account], c) for c in choice.ranking)
    words = [f"{counts[word]} {word}" for word in _CONDITIONS if counts[word]]
    yield "Accounts", f"{len(state.accounts)}<small>{', '.join(words)}</small>"
    pool = state.fresh_pool(now)
    if pool and (later := pool.later(now)):
        spans = [f"{f.span} in {_time(f.at, duration(f.at - now, seconds=False))}" for f in later]
        yield "Free later", f"{spans[0]}<small>{', '.join(spans[1:])} (80%)</small>"


_CONDITIONS: Final = ("free", "busy", "full", "not known", "needing a login")


def _condition(account: AccountState, candidate: Candidate) -> str:
    """Return the condition as one of the words by which accounts are counted."""
    if account.login_required:
        return "needing a login"
    if candidate.confidence is Confidence.FULL:
        return "full"
    if candidate.room is None:
        return "not known"
    return "busy" if 1 - candidate.room >= HIGH else "free"


def _row(
    state: State, account: AccountState, candidate: Candidate, now: datetime, *, use: bool
) -> str:
    windows = {window.key: window for window in account.windows(now)}
    rest = [window for key, window in windows.items() if key not in (FIVE_HOURS, SEVEN_DAYS)]
    marks = ["use now"] if use else []
    if account.account.name == state.logged_in:
        marks.append("logged in")
    mark = f" <small>{' · '.join(marks)}</small>" if marks else ""
    cells = [_window(account, windows.get(key), now) for key in (FIVE_HOURS, SEVEN_DAYS)]
    others = "".join([f"<li>{_other(account, window, now)}</li>" for window in rest])
    cells.append(("", f"<ul>{others}</ul>" if others else ""))
    cells.append(_state(account, candidate, now))
    columns = "".join(
        [
            f'<td data-label="{title}" class="{level}">{html}</td>'
            for title, (level, html) in zip(_COLUMNS[1:], cells, strict=True)
        ]
    )
    row = ' class="use"' if use else ""
    return f'<tr{row}><th scope="row">{_name(account)}{mark}</th>{columns}</tr>'


def _window(account: AccountState, window: Window | None, now: datetime) -> tuple[str, str]:
    """Return a cell's class and its HTML: a bar with a mark of even pace, the share, the reset and the forecast."""
    if window is None:
        return "", '<span class="soft">not known</span>'
    used = min(max(window.utilization, 0.0), 1.0) * 100
    length, left = window_duration(window.key), window.resets_in(now)
    pace = ""
    if length and left is not None and left < length:
        pace = f'<rect class="pace" x="{100 - left / length * 100:.1f}" width="0.7" height="8"/>'
    bar = (
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="track" width="100" height="8" rx="2"/><rect class="fill" width="{used:.1f}" height="8" rx="2"/>'
        f"{pace}</svg>"
    )
    outlook = "" if window.utilization >= 1 else _outlook(account.forecast_of(window.key, now), now)
    return _level(window), f"{bar}{_share(window)} {_time_left(window, now)}{outlook}"


def _outlook(forecast: Forecast | None, now: datetime) -> str:
    """Say when the window most likely is full before its reset, else how likely that is, unless it is unlikely."""
    if forecast is None or forecast.run_out_probability < LEAST_PROBABILITY:
        return ""
    if forecast.full_at is None:
        return f' <span class="soft">{forecast.run_out_probability:.0%} likely to run out</span>'
    ahead = duration(forecast.full_at.p50 - now, seconds=False)
    return f' <span class="early">likely full in {_time(forecast.full_at.p50, ahead)}</span>'


def _level(window: Window) -> str:
    if window.utilization >= 1 or window.locked_reason is not None:
        return "full"
    return "high" if window.utilization >= HIGH else "low"


def _share(window: Window) -> str:
    locked = " locked" if window.locked_reason is not None else ""
    return f"<b>{escape(percent(window.utilization, confirmed=window.confirmed))}</b>{locked}"


def _time_left(window: Window, now: datetime) -> str:
    if window.resets_at is None:
        return "" if reset(window, now) is None else '<span class="soft">reset expected</span>'
    left = _time(window.resets_at, duration(window.resets_at - now, seconds=False))
    return f'<span class="soft">resets in {left}</span>'


def _other(account: AccountState, window: Window, now: datetime) -> str:
    name = escape(clean(window.key.removeprefix("7d_")))
    extra = account.usage.extra_usage if account.usage else None
    if window.key == EXTRA and extra and extra.used is not None and extra.limit is not None:
        of = f"{money(extra.used, extra.currency)} of {money(extra.limit, extra.currency)}"
        return f"{name} {_share(window)} {escape(of)}"
    return (
        f'<span class="{_level(window)}">{name} {_share(window)}</span> {_time_left(window, now)}'
    )


def _state(account: AccountState, candidate: Candidate, now: datetime) -> tuple[str, str]:
    since = account.last_success_at
    old = f"{age(now - since)} old" if since and now - since >= WORTH_TELLING else ""
    if account.down is not None:
        words = _FAILURES[account.down.failure.reason]
        return "failing", escape(f"{words}, {old}" if old else words)
    if candidate.confidence is Confidence.FULL:
        free = candidate.free_at
        ahead = f" for {_time(free, duration(free - now, seconds=False))}" if free else ""
        return "isfull", f"full{ahead}"
    match account.status(now):
        case AccountStatus.WAITING:
            return "", "waiting for the first poll"
        case AccountStatus.STALE:
            return "", old
    return "", "live"


_FAILURES: Final = {
    Reason.AUTH: "log in again",
    Reason.SCOPE: "log in again: the token can't read usage",
    Reason.RATE_LIMITED: "rate limited",
    Reason.TIMEOUT: "timeout",
    Reason.CONNECTION: "no connection",
    Reason.SERVER: "Anthropic server error",
    Reason.SCHEMA: "unexpected API answer",
    Reason.CHALLENGE: "Cloudflare asks for a browser",
    Reason.CREDENTIALS: "no token available",
    Reason.BLOCKED: "something else answered",
    Reason.REFUSED: "not allowed by the API",
}


def _name(account: AccountState) -> str:
    return escape(clean(account.account.title))


def _time(at: datetime, words: str) -> str:
    return f'<time datetime="{iso(at)}" title="{iso(at)}">{words}</time>'

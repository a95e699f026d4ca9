"""The panes beside the table: all that is known of one account, and the log of alerts. Pure.

Each fact about an account stands beside its label, the most wanted ones first.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from monitor.core import format
from monitor.core.alerts.rules import GOOD_NEWS
from monitor.core.alerts.text import headline, is_critical
from monitor.core.errors import command, explain
from monitor.core.model import EXTRA, SEVEN_DAYS, AccountState, AuthMethod, Window
from monitor.core.sanitize import clean
from monitor.core.schedule import HOUR, REQUESTS_PER_HOUR, warn_over_budget
from monitor.core.state import LoggedAlert, State
from monitor.credentials.folders import DEFAULT, config_dir
from monitor.terminal import table
from monitor.terminal.chart import spark
from monitor.terminal.text import (
    Line,
    Span,
    Style,
    clip,
    fit,
    hang,
    key_bar,
    line_width,
    pad,
    text_line,
    utilization_style,
    width,
    wrap,
)
from monitor.terminal.words import failure_phrases, sentence, short_names, status_words

_LABEL_CELLS: Final = 15
_WIDE: Final = 50
"""From this width on, a fact stands beside its label, not under it."""

_LONGEST_BAR: Final = 20
_SHORTEST_BAR: Final = 5
_ALERTS: Final = 5
"""So many of an account's newest alerts are shown."""

_SHORTEST_INTERVAL: Final = timedelta(seconds=30)
"""The settings allow no shorter one; the demo, whose API has no limit, has one."""

_WAITING: Final = "not sent yet"
_TIME_CELLS: Final = 14
_LEAST_WHAT: Final = 24

LabelledLine = tuple[str, Line]


@dataclass(slots=True)
class _Moment:
    """Puts instants into words as of `now`, and notes in `valid_for` how long those words stay true."""

    now: datetime
    valid_for: timedelta

    def expire_in(self, span: timedelta) -> None:
        """Note that words change after this time, unless it has passed already."""
        if span > timedelta(0):
            self.valid_for = min(self.valid_for, span)

    def until(self, at: datetime, past: str = "over") -> str:
        """Say the clock time, and how far ahead it is, or else `past`."""
        self.expire_in(at - self.now)
        if at > self.now:
            self.expire_in((at - self.now) % table.MINUTE + table.MOMENT)
        ahead = f"in {format.duration(at - self.now, seconds=False)}" if at > self.now else past
        return f"{format.clock(at, self.now)} ({ahead})"

    def since(self, at: datetime) -> str:
        self.expire_in(table.MINUTE - (self.now - at) % table.MINUTE)
        return f"{format.clock(at, self.now)} ({format.duration(self.now - at, seconds=False)} ago)"


def detail(
    state: State, account: AccountState, now: datetime, room: int
) -> tuple[list[Line], datetime]:
    """Draw the pane about an account in `room` cells; the instant is that until which it stays true."""
    moment = _Moment(now, table.next_change(account, now, state.policy.interval))
    facts = [
        *_windows(account, moment, room),
        *_pace(account, moment),
        *_condition(state, account, moment),
        *_use(state, account),
        *_alerts(state, account, moment),
        *_schedule(state, account, moment),
        *_identity(account, moment),
    ]
    lines = [line for fact in facts for line in _lay_out(fact, room)]
    return lines, now + moment.valid_for


def _lay_out(fact: LabelledLine, room: int) -> list[Line]:
    """Lay a fact out beside its label, or under it where there is no room."""
    label, value = fact
    if room >= _WIDE:
        return hang(Span(pad(f" {label}", _LABEL_CELLS), Style.DIM), value, room)
    if width(f"{label} ") + line_width(value) <= room:
        return [(Span(f"{label} ", Style.DIM), *value)]
    above = [text_line(clip(label, room), Style.DIM)] if label else []
    return [*above, *hang(Span(" "), value, room)]


def _windows(account: AccountState, moment: _Moment, room: int) -> Iterator[LabelledLine]:
    windows = account.windows(moment.now)
    resets = [_reset(window, moment) for window in windows]
    longest = max(map(width, resets), default=0)
    cells = min(max(room - _LABEL_CELLS - 8 - longest, _SHORTEST_BAR), _LONGEST_BAR)
    for window, reset in zip(windows, resets, strict=True):
        name = clean(window.key).replace("_", " ")
        percent, lock = table.draw_percent(window), ""
        words = format.outlook_words(account, window.key, moment.now)
        trend = spark(account.forecast.trends.get(window.key, ())) if account.forecast else ""
        if window.locked_reason is not None:
            lock = f", locked: {clean(window.locked_reason) or 'no reason given'}"
        if room >= _WIDE:
            bar = table.draw_bar(window, cells)
            yield f"{name} limit", (percent, Span("  "), *bar, Span("  "), Span(reset + lock))
            trend = trend[-cells - 6 :]  # it ends where the bar does
            if trend.strip() or account.forecast_of(window.key, moment.now):
                shown = Span(f"{trend:>{cells + 6}}  ", utilization_style(window.utilization))
                yield "", (shown, Span(words))
        else:
            moment.expire_in(table.MOMENT)  # to the second
            left = table.reset_words(window, moment.now)
            yield name, (percent, Span(" "), Span(left + lock))
            if trend.strip():
                yield "", (Span(trend[1 - room :], utilization_style(window.utilization)),)
            if account.forecast_of(window.key, moment.now):
                yield "", text_line(words)
    if not windows:
        nothing = "none" if account.usage else "not known yet"
        yield "Limits", text_line(nothing, Style.DIM)
    if account.usage and account.usage.left_out:
        yield "Not understood", text_line(clean("; ".join(account.usage.left_out)), Style.PROBLEM)
    extra = account.usage.extra_usage if account.usage else None
    if extra is None:
        return
    if not extra.enabled:
        yield "Extra usage", text_line("off")
        return
    currency = clean(extra.currency)
    used = "on" if extra.used is None else f"{extra.used:.2f}"
    limited = f"{used} of {extra.limit:.2f} {currency}" if extra.limit is not None else ""
    yield "Extra usage", text_line(limited or f"{used} {currency}, no limit")


def _reset(window: Window, moment: _Moment) -> str:
    if window.resets_at is not None:
        return f"resets {moment.until(window.resets_at)}"
    if window.key == EXTRA:
        return "of the money"
    if not window.confirmed:
        return "reset expected, not yet confirmed"
    return "reset not known" if window.utilization else "not open"


def _condition(state: State, account: AccountState, moment: _Moment) -> Iterator[LabelledLine]:
    down = account.down
    if down is not None:
        phrases = failure_phrases(account, down, moment.now)
        yield "Status", text_line(phrases[0], Style.PROBLEM)
        times = account.failures_in_a_row
        count = f", {times} times in a row" if times > 1 else ""
        problem, advice = map(sentence, explain(down.failure))
        failure = f"{problem or down.failure.reason} — since {moment.since(down.since)}{count}"
        yield "Failure", text_line(failure, Style.PROBLEM)
        if advice:
            yield "Fix", text_line(advice, Style.NOTICE)
    else:
        status = status_words(state, account, moment.now)
        yield "Status", text_line(status.phrases[0], status.style)
    if account.last_success_at is not None:
        yield "Last success", text_line(moment.since(account.last_success_at))


def _pace(account: AccountState, moment: _Moment) -> Iterator[LabelledLine]:
    """Say how fast the limits are used, and what a full window costs."""
    expected, week = account.newest_forecast(moment.now), account.window(SEVEN_DAYS, moment.now)
    if expected is None:
        return
    if expected.points_per_hour is not None:
        pace = f"{expected.points_per_hour:.0f}% of a 5h window in an hour of work"
        yield "Pace", text_line(pace)
    if (cost := expected.week_cost) is not None and week is not None:
        left = math.floor(cost.windows_left(max(1 - week.utilization, 0)) * 10 + 1e-9) / 10
        yield "Week", text_line(f"≈ {left:.1f} full windows left this week")
        yield "", text_line(f"a full 5h window costs {cost.ratio * 100:.0f}% of it")
    if expected.week_expiring is not None:
        share = f"{expected.week_expiring * 100:.0f}% most likely expire unused"
        yield "" if expected.week_cost else "Week", text_line(share)


def _use(state: State, account: AccountState) -> Iterator[LabelledLine]:
    name, folder = account.account.name, config_dir(account)
    marks = ["Claude Code is logged in here now"] if name == state.logged_in else []
    marks += ["marked by you (*)"] if name == state.active_account else []
    if marks:
        yield "In use", text_line(", ".join(marks))
    if folder is not None:
        yield "Command", text_line(f"{clean(command(folder))}  (c copies it)")


def _alerts(state: State, account: AccountState, moment: _Moment) -> Iterator[LabelledLine]:
    """List the newest alerts of the account, and whether each was sent."""
    own = [e for e in reversed(state.log) if e.alert.account == account.account.name][:_ALERTS]
    for number, entry in enumerate(own):
        time = format.clock(entry.alert.at, moment.now)
        what = headline(entry.alert, moment.now)
        outcome = clean(entry.outcome) or _WAITING
        style = Style.PLAIN if entry.is_sent else Style.NOTICE
        yield "" if number else "Alerts", text_line(f"{time}  {what}  {outcome}", style)


def _schedule(state: State, account: AccountState, moment: _Moment) -> Iterator[LabelledLine]:
    if account.backoff_until is not None and account.backoff_until > moment.now:
        moment.expire_in(account.backoff_until - moment.now)
        yield "Backing off", text_line(f"until {moment.until(account.backoff_until)}", Style.NOTICE)
    due = "now" if account.polling else moment.until(account.next_poll_at, past="now")
    yield "Next poll", text_line(due)
    # Those of the last hour, whichever process sent them.
    recent = [at for at in account.requests if moment.now - at < HOUR]
    for at in recent:
        moment.expire_in(HOUR - (moment.now - at))
    requests = f"{len(recent)} of about {REQUESTS_PER_HOUR} this hour"
    interval = state.policy.interval
    if interval < _SHORTEST_INTERVAL or warn_over_budget(interval) is None:
        yield "Requests", text_line(requests)
    else:
        needed = -(-HOUR // interval)
        planned = f"a {interval.total_seconds():g} s interval needs {needed}: expect rate limits"
        yield "Requests", text_line(f"{requests}; {planned}", Style.NOTICE)


def _identity(account: AccountState, moment: _Moment) -> Iterator[LabelledLine]:
    yield "Plan", text_line(clean(account.plan or format.NOTHING))
    if account.account.label:
        yield "Label", text_line(clean(account.account.label))
    folder = config_dir(account)
    login = "Claude Code" if folder is None else f"Claude Code, {clean(folder) or DEFAULT}"
    if account.account.auth_method is AuthMethod.SESSION_KEY:
        login = "session key of claude.ai"
    yield "Login", text_line(login)
    if account.token_expires_at is not None:
        yield "Token expires", text_line(moment.until(account.token_expires_at, past="expired"))
    if account.login_expires_at is not None:
        yield "Login expires", text_line(moment.until(account.login_expires_at, past="expired"))
    yield "Organization", text_line(clean(account.org_id) or format.NOTHING)


def alert_line(state: State, shown: Sequence[LoggedAlert], now: datetime, room: int) -> Line:
    """Draw the first of the alerts, `⚠ work@ 5h passed 95% · resets 14:11`, and how many more there are."""
    first = shown[0]
    style = _style(first)
    mark = "✓" if style is Style.GOOD else "⚠"
    who = short_names(state).get(first.alert.account, clean(first.alert.account))
    text = " ".join(filter(None, (f" {mark}", who, headline(first.alert, now))))
    more = f" · {len(shown) - 1} more" if len(shown) > 1 else ""
    line = *fit((Span(text, style, bold=True),), room - width(more)), Span(more, style)
    hint = key_bar((("l", "log", 1), ("Esc", "close", 2)), room)
    gap = room - line_width(line) - line_width(hint) - 1
    return (*line, Span(" " * gap), *hint) if gap >= 2 else line


def _style(entry: LoggedAlert) -> Style:
    if entry.alert.kind in GOOD_NEWS:
        return Style.GOOD
    return Style.PROBLEM if is_critical(entry.alert) else Style.NOTICE


def log_lines(state: State, now: datetime, room: int) -> list[Line]:
    """Draw the log, the newest alert first: when, which account, what, and whether it was sent."""
    names = short_names(state)
    entries = [
        (e, names.get(e.alert.account, clean(e.alert.account)), headline(e.alert, now))
        for e in reversed(state.log)
    ]
    name_cells, what_cells = (
        max((width(texts[place]) for _, *texts in entries), default=0) for place in (0, 1)
    )
    lines: list[Line] = []
    for entry, name, what in entries:
        time = format.clock(entry.alert.at, now, seconds=True)
        outcome = clean(entry.outcome) or _WAITING
        style = Style.PLAIN if entry.is_sent else Style.NOTICE
        lead = (Span(pad(f" {time}", _TIME_CELLS), Style.DIM), Span(f"{pad(name, name_cells)}  "))
        left = room - line_width(lead)
        if left >= what_cells + width(outcome) + 2:
            shown = Span(pad(what, what_cells + 2), _style(entry)), Span(outcome, style)
            lines.append((*lead, *shown))
        elif left >= _LEAST_WHAT:
            lines.append((*lead, *fit((Span(what, _style(entry)),), left)))
            indent = Span(" " * (room - left))
            lines += [(indent, Span(part, style)) for part in wrap(outcome, left)]
        else:
            text = f"{time} {name} {what}"
            lines += [(Span(part, _style(entry)),) for part in wrap(text, room)]
            lines += [(Span(f" {part}", style),) for part in wrap(outcome, room - 1)]
    return lines

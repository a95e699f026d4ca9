"""The detail pane: all that is known of one account, each fact under its label. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Final

from monitor.core import format
from monitor.core.budget import HOUR, REQUESTS_PER_HOUR, over_budget
from monitor.core.errors import describe
from monitor.core.model import AccountState, AuthMethod, Down, ExtraUsage, Window
from monitor.core.state import State
from monitor.terminal import table, widths
from monitor.terminal.status import failure_phrases, sentence, status_words
from monitor.terminal.style import Line, Span, Style, line_width, plain, text_line

LABEL_CELLS: Final = 15
WIDE: Final = 50
"""From this width on, a fact stands beside its label, not under it."""

_BAR_CELLS: Final = 20
_METHODS: Final = {AuthMethod.OAUTH: "Claude Code login", AuthMethod.SESSION_KEY: "session key"}

_SHORTEST_INTERVAL: Final = timedelta(seconds=30)
"""Settings allow no shorter one: below, it is the demo's, whose API takes it."""

Fact = tuple[str, Line]


@dataclass(frozen=True, slots=True)
class _Moment:
    """When and where it is being looked at."""

    now: datetime
    tz: tzinfo | None

    def until(self, at: datetime, past: str = "over") -> str:
        """A clock time, and how far ahead it is, or that it is `past`."""
        ahead = f"in {format.duration(at - self.now)}" if at > self.now else past
        return f"{format.clock(at, self.now, self.tz)} ({ahead})"

    def since(self, at: datetime) -> str:
        return f"{format.clock(at, self.now, self.tz)} ({format.age(self.now - at)} ago)"


def detail_lines(
    state: State, account: AccountState, now: datetime, width: int, tz: tzinfo | None = None
) -> list[Line]:
    """The pane's lines, in `width` cells; clock times are told in `tz`."""
    moment = _Moment(now, tz)
    found = [
        *_window_facts(account, moment, wide=width >= WIDE),
        *_extra_usage(account),
        *_condition(state, account, moment),
        *_schedule(state, account, moment),
        *_identity(account, moment),
    ]
    return [line for fact in found for line in _laid_out(fact, width)]


def _laid_out(fact: Fact, width: int) -> list[Line]:
    label, value = fact
    if width >= WIDE:
        return _beside(widths.pad(f" {label}", LABEL_CELLS), value, width - LABEL_CELLS)
    lead = f"{label} "
    if widths.width(lead) + line_width(value) <= width:
        return [(Span(lead, Style.DIM), *value)]
    return [text_line(widths.clip(label, width), Style.DIM), *_beside(" ", value, width - 1)]


def _beside(lead: str, value: Line, room: int) -> list[Line]:
    """The value in `room` cells, on as many lines as it needs, the first of which has the lead before it."""
    values = [value] if line_width(value) <= room else _wrapped(value, room)
    indent = " " * widths.width(lead)
    return [
        (Span(indent if place else lead, Style.DIM), *line) for place, line in enumerate(values)
    ]


def _wrapped(line: Line, room: int) -> list[Line]:
    """A long value on several lines, in the style of its end."""
    return [text_line(part, line[-1].style) for part in widths.wrap(plain(line), max(room, 1))]


def _window_facts(account: AccountState, moment: _Moment, *, wide: bool) -> Iterator[Fact]:
    windows = account.windows(moment.now)
    for window in windows:
        name = widths.clean(window.key).replace("_", " ")
        if wide:
            yield f"{name} limit", _window(window, moment)
        else:
            yield name, _narrow_window(window, moment)
    if not windows:
        nothing = "none" if account.usage else "not known yet"
        yield "Limits", text_line(nothing, Style.DIM)


def _window(window: Window, moment: _Moment) -> Line:
    figures = (table.percent(window), Span("  "), *table.bar(window, _BAR_CELLS))
    return *figures, Span(f"  {_reset(window, moment)}{_lock(window)}")


def _narrow_window(window: Window, moment: _Moment) -> Line:
    figures = (table.percent(window), Span(f" {table.reset_words(window, moment.now)}"))
    return *figures, Span(_lock(window))


def _reset(window: Window, moment: _Moment) -> str:
    if window.resets_at is not None:
        return f"resets {moment.until(window.resets_at)}"
    return "not open" if window.confirmed else "reset expected, not yet confirmed"


def _lock(window: Window) -> str:
    if window.locked_reason is None:
        return ""
    return f", locked: {widths.clean(window.locked_reason) or 'no reason given'}"


def _extra_usage(account: AccountState) -> Iterator[Fact]:
    if account.usage and account.usage.extra_usage:
        yield "Extra usage", text_line(_money(account.usage.extra_usage))


def _money(extra: ExtraUsage) -> str:
    if not extra.enabled:
        return "off"
    currency = widths.clean(extra.currency)
    used = "on" if extra.used is None else f"{extra.used:.2f}"
    limit = "no limit" if extra.limit is None else f"of {extra.limit:.2f}"
    return f"{used} {currency}, {limit}" if extra.limit is None else f"{used} {limit} {currency}"


def _condition(state: State, account: AccountState, moment: _Moment) -> Iterator[Fact]:
    down = account.health
    if isinstance(down, Down):
        words_of_it = failure_phrases(account, down, moment.now, moment.tz)[0]
        yield "Status", text_line(words_of_it, Style.PROBLEM)
        yield "Failure", text_line(_failure(account, down, moment), Style.PROBLEM)
    else:
        status = status_words(state, account, moment.now, moment.tz)
        yield "Status", text_line(status.phrases[0], status.style)
    if account.last_success_at is not None:
        yield "Last success", text_line(moment.since(account.last_success_at))


def _failure(account: AccountState, down: Down, moment: _Moment) -> str:
    times = account.failures_in_a_row
    count = f", {times} times in a row" if times > 1 else ""
    return f"{sentence(describe(down.failure)) or down.failure.reason} — since {moment.since(down.since)}{count}"


def _schedule(state: State, account: AccountState, moment: _Moment) -> Iterator[Fact]:
    if account.backoff_until is not None and account.backoff_until > moment.now:
        yield "Backing off", text_line(f"until {moment.until(account.backoff_until)}", Style.NOTICE)
    due = "now" if account.polling else moment.until(account.next_poll_at, past="now")
    yield "Next poll", text_line(due)
    yield "Requests", _requests(state, account, moment)


def _requests(state: State, account: AccountState, moment: _Moment) -> Line:
    """Those of the last hour, whichever process sent them, and whether the interval by itself is too short."""
    recent = [at for at in account.requests if moment.now - at < HOUR]
    text = f"{len(recent)} of some {REQUESTS_PER_HOUR} in the last hour"
    interval = state.policy.interval
    if interval < _SHORTEST_INTERVAL or over_budget(interval) is None:
        return text_line(text)
    planned = f"every {interval.total_seconds():g} s is {-(-HOUR // interval)}: expect 429"
    return text_line(f"{text}; {planned}", Style.NOTICE)


def _identity(account: AccountState, moment: _Moment) -> Iterator[Fact]:
    yield "Plan", text_line(widths.clean(account.plan or format.NOTHING))
    yield "Signed in by", text_line(_METHODS[account.account.auth_method])
    if account.token_expires_at is not None:
        yield "Token expires", text_line(moment.until(account.token_expires_at, past="expired"))
    if account.login_expires_at is not None:
        yield "Login expires", text_line(moment.until(account.login_expires_at, past="expired"))
    yield "Organization", text_line(widths.clean(account.org_id) or format.NOTHING)
    if account.account.label:
        yield "Label", text_line(widths.clean(account.account.label))

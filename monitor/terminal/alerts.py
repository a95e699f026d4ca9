"""Alerts on the screen: the line at its top, and the log. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from monitor.core import format
from monitor.core.alerts.rules import AlertKind
from monitor.core.alerts.text import headline, is_critical
from monitor.core.sanitize import clean
from monitor.core.state import LoggedAlert, State
from monitor.terminal.fleet_line import short_names
from monitor.terminal.text import Line, Span, Style, fit, key_bar, line_width, pad, width, wrap

WAITING: Final = "not sent yet"
_GOOD_NEWS: Final = (AlertKind.RESET, AlertKind.EARLY_RESET, AlertKind.FREE)
_TIME_CELLS: Final = 14
_LEAST_WHAT: Final = 24


def alert_line(state: State, shown: Sequence[LoggedAlert], now: datetime, room: int) -> Line:
    """The first of the alerts in words, `⚠ work@ 5h passed 95% · resets 14:11`, and how many more there are."""
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
    if entry.alert.kind in _GOOD_NEWS:
        return Style.GOOD
    return Style.PROBLEM if is_critical(entry.alert) else Style.NOTICE


def log_lines(state: State, now: datetime, room: int) -> list[Line]:
    """The alerts of the log, the newest first: when, of which account, what, and what became of it."""
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
        outcome = clean(entry.outcome) or WAITING
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

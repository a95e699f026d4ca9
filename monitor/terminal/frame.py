"""The whole screen as one frame: `frame(state, screen, now, size)`. Pure; it never exceeds its size."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from itertools import zip_longest
from typing import Final

from monitor.core import format
from monitor.core.sanitize import clean
from monitor.core.state import State
from monitor.terminal.dialogs import (
    FILTER_KEYS,
    FORM_KEYS,
    QUESTION_KEYS,
    Confirmation,
    Filter,
    Form,
    with_dialog,
)
from monitor.terminal.panes import alert_line, detail, log_lines
from monitor.terminal.screen import EMPTY_KEYS, HELP, PAGE_KEYS, TABLE_KEYS, Pane, Screen
from monitor.terminal.table import ALERTED, BEST, RenderCache, table_lines
from monitor.terminal.text import (
    CURSOR,
    Frame,
    Line,
    Size,
    Span,
    Style,
    box,
    center_over,
    clip,
    fit_all,
    hang,
    key_bar,
    line_width,
    pad,
    paginate,
    plain,
    scroll_to,
    text_line,
    width,
    wrap,
)
from monitor.terminal.words import Fleet, fleet, fleet_line, window_title

NAME: Final = "Claude Tracker"
_NO_ACCOUNTS: Final = (
    "No account yet.",
    "Press i to import the logins of Claude Code, or a to add an account by its session key.",
)
_NO_ACCOUNTS_BRIEFLY: Final = "No account yet: i imports, a adds"
_LEAST_TABLE: Final = 2
_LEAST_BESIDE: Final = 160
_LEAST_DETAIL: Final = 56
"""From this width on, details that wide stand beside the table."""

_AMPLE: Final = 12
"""With so many lines left below all rows, the details are open without being asked for."""

_LEAST_LOG: Final = 4
"""With so many lines left below the table, and the details beside it, they have the newest alerts."""

_LEAST_SPLIT: Final = 6
"""From this height on, the details leave room for the selected row above them."""

_HELP_KEY_CELLS: Final = 13

_ROOM_FOR_BOTH: Final = 5
"""So many more lines are wanted for a title below the line of alerts."""


@dataclass(frozen=True, slots=True)
class Footer:
    """`text` names the source of the figures and is always shown; `metrics`, their address, is in the help."""

    text: str = ""
    is_problem: bool = False
    metrics: str = ""


NO_FOOTER: Final = Footer()


@dataclass(frozen=True)
class _View:
    """All that one frame is drawn from."""

    state: State
    screen: Screen
    now: datetime
    size: Size
    footer: Footer
    cache: RenderCache

    @cached_property
    def names(self) -> tuple[str, ...]:
        return self.screen.names(self.state, self.now)

    @cached_property
    def selection(self) -> str | None:
        return self.screen.selection(self.names)

    @cached_property
    def fleet(self) -> Fleet:
        return self.cache.reuse(
            "fleet", (self.state,), self.now, lambda: fleet(self.state, self.now)
        )

    def detail(self, cells: int) -> list[Line]:
        """Draw the pane about the selected account."""
        account = self.state.accounts[self.selection or ""]
        return self.cache.reuse(
            "detail",
            (self.state, account, cells),
            self.now,
            lambda: detail(self.state, account, self.now, cells),
        )

    @cached_property
    def message(self) -> Line:
        message = self.screen.current_message(self.now)
        if message is None:
            return ()
        return (Span(clean(message.text), Style.PROBLEM if message.is_error else Style.NOTICE),)

    @cached_property
    def long_message(self) -> list[Line]:
        """The message in lines of its own where the title has no room for it, else none."""
        if line_width(self.message) < self.size.width or self.size.height < 4:
            return []
        parts = wrap(plain(self.message), self.size.width - 1)[: self.size.height - 2]
        return [text_line(f" {part}", self.message[0].style) for part in parts]


def frame(
    state: State,
    screen: Screen,
    now: datetime,
    size: Size,
    footer: Footer = NO_FOOTER,
    cache: RenderCache | None = None,
) -> Frame:
    """Draw a screen of this size. The `cache` keeps what has not changed since the last one."""
    view = _View(state, screen, now, size, footer, cache or RenderCache())
    alerts = screen.alerts_to_announce(state, now)
    below = _below(view)
    top = [alert_line(state, alerts, now, size.width)] if alerts else []
    has_title = size.height >= 3 + len(top) * _ROOM_FOR_BOTH
    room = Size(size.width, size.height - len(below) - has_title - len(top))
    above = [*top, *([_title(view, room)] if has_title else [])]
    body = _body(view, room)
    missing = ((),) * (room.height - len(body.lines))
    lines = (*above, *body.lines[: room.height], *missing, *below)
    if not has_title and not top and view.message:
        lines = (*lines[:-1], view.message)
    if isinstance(screen.dialog, Filter):
        typed = screen.dialog.field.view(max(size.width - 2, 1))
        line = (Span("/", Style.KEY, bold=True), *typed, Span(" "))
        keys = key_bar(FILTER_KEYS, max(size.width - line_width(line), 0))
        lines = (*lines[:-1], (*line, *keys))
    lines = fit_all(lines, size)
    cursor = None
    if screen.dialog is not None:
        places = (
            (line_width(line[:place]), row)
            for row, line in enumerate(lines)
            for place, span in enumerate(line)
            if span is CURSOR
        )
        cursor = next((place for place in places if place[0] < size.width), None)
    rows = (*[None] * len(above), *body.rows)
    title = window_title(state, view.fleet)
    return replace(body, lines=lines, rows=rows, title=title, cursor=cursor)


def _title(view: _View, body: Size) -> Line:
    """Draw the name and the news at the left, the last refresh at the right, as far as there is room."""
    news = _news(view)
    badge = view.screen.badge and f" {view.screen.badge}"
    name, short = (
        Span(f" {text}{badge}", Style.TITLE, bold=True) for text in (NAME, NAME.split()[0])
    )
    lefts = [(name, Span("  "), *news), (Span(" "), *news)] if news else [(name,), (short,)]
    at = view.state.last_success_at
    ago = format.NOTHING if at is None else f"{format.age(view.now - at)} ago"
    rights = [f"Last refresh: {ago}", ago]
    names, place = view.names, ""
    if view.screen.pattern:
        place = f"/{clean(view.screen.pattern)}: {len(names)} of {len(view.state.accounts)}"
    elif view.selection is not None and len(names) >= body.height:  # not all rows are in sight
        place = f"{names.index(view.selection) + 1} of {len(names)}"
    if place:
        rights = [*(f"{place} · {text}" for text in rights), place, *rights]
    for left in lefts:
        for right in rights:
            gap = body.width - line_width(left) - width(right) - 1
            if gap >= 2:
                return *left, Span(" " * gap), Span(right, Style.DIM)
    return next((left for left in lefts if line_width(left) <= body.width), lefts[-1])


def _news(view: _View) -> Line:
    """Return the newest message, else the command under way, else why no alerts come."""
    state = view.state
    if view.message and not view.long_message:
        return view.message
    if view.screen.busy:
        return text_line(view.screen.busy, Style.NOTICE)
    if state.muted_until is not None and view.now < state.muted_until:
        until = format.clock(state.muted_until, view.now)
        return text_line(f"muted until {until}", Style.NOTICE)
    if state.clock_offset:
        words = format.duration(abs(state.clock_offset), seconds=False)
        way = "behind" if state.clock_offset > timedelta(0) else "ahead"
        return text_line(f"this machine's clock is {words} {way}; figures go by the API's")
    if state.storage_failure is not None:
        return text_line("cannot save alerts (disk?)", Style.PROBLEM)
    log = state.notifications
    if log.last_failure:
        channel = f"{log.last_channel} alert" if log.last_channel else "Alert"
        return text_line(clean(f"{channel} failed: {log.last_failure}"), Style.PROBLEM)
    return ()


def _below(view: _View) -> list[Line]:
    """Draw the lines under the table, as far as there is room."""
    message, size, screen = view.long_message, view.size, view.screen
    footer: list[Line] = []
    if size.height >= min(max(len(view.state.accounts) + 4, 8), 20):
        # The footer hides no account's row, or there are enough rows.
        sums: Line = ()
        source = clean(view.footer.text)
        if len(view.state.accounts) > 1:
            spare = width(source) + 4 if source else 0
            sums = fleet_line(view.state, view.fleet, view.now, size.width, spare)
        gap = size.width - line_width(sums) - width(source) - 1
        if view.footer.is_problem or (source and gap < 3):
            style = Style.PROBLEM if view.footer.is_problem else Style.DIM
            footer = [*([sums] if sums else []), text_line(f" {source}", style)]
        elif sums or source:
            footer = [(*sums, Span(" " * gap), Span(source, Style.DIM)) if source else sums]
    if size.height < 4 + len(message):
        return message + footer
    keys: tuple[tuple[str, str, int], ...] = TABLE_KEYS if view.state.accounts else EMPTY_KEYS
    match screen.dialog:
        case Form():
            keys = FORM_KEYS
        case Confirmation():
            keys = QUESTION_KEYS
        case None if screen.pane in (Pane.HELP, Pane.LOG):
            keys = PAGE_KEYS
    return [*message, *footer, key_bar(keys, size.width)]


def _body(view: _View, size: Size) -> Frame:
    """Draw the part between the title and the keys."""
    pane = view.screen.pane
    if pane is Pane.LOG:  # in the table's place
        log = log_lines(view.state, view.now, size.width)
        log = log or [text_line(" no alerts yet", Style.DIM)]
        body = Frame(*_pane(view, size, "alerts", log, "Space"))
    elif view.selection is None:
        body = _table(view, size)
    elif size.width >= _LEAST_BESIDE and (pane is Pane.DETAIL or not view.screen.is_closed):
        body = _table_beside_detail(view, size)
    elif pane is Pane.DETAIL or (
        not view.screen.is_closed and size.height - len(view.names) - 2 >= _AMPLE
    ):
        body = _table_above_detail(view, size)
    else:
        body = _table(view, size)
    if isinstance(view.screen.dialog, Form | Confirmation):
        lines = with_dialog(fit_all(body.lines, size), view.screen.dialog, size)
        return Frame(tuple(lines), body.page)
    if pane is Pane.HELP:
        return _with_help(fit_all(body.lines, size), view, size)
    return body


def _table(view: _View, size: Size) -> Frame:
    if not view.state.accounts:
        texts = [part for text in ("", *_NO_ACCOUNTS) for part in wrap(text, size.width - 2)]
        if len(texts) > size.height:
            texts = wrap(_NO_ACCOUNTS_BRIEFLY, size.width - 2)
        return Frame(tuple(text_line(f" {text}") for text in texts))
    unseen = view.screen.unseen(view.state, view.now)
    alerted, best = {entry.alert.account for entry in unseen}, view.fleet.best
    marks = {name: BEST * (name == best) + ALERTED * (name in alerted) for name in view.names}
    header, *lines = table_lines(
        view.state,
        view.now,
        size.width,
        view.selection,
        marks,
        view.names,
        view.cache,
        view.size.width,
    )
    titles = [header] if size.height >= 3 or len(lines) < size.height else []
    if view.selection is None:
        none = wrap("No account matches this filter: Esc shows all", size.width - 2)
        return Frame((*titles, *(text_line(f" {part}") for part in none)))
    room, selected = size.height - len(titles), view.names.index(view.selection)
    visible = scroll_to(list(zip(lines, view.names, strict=True)), room, selected)
    shown = (*titles, *(line for line, _ in visible))
    return Frame(shown, rows=(*[None] * len(titles), *(name for _, name in visible)))


def _table_above_detail(view: _View, size: Size) -> Frame:
    """Draw the table, and below it the pane, which takes what it needs but leaves the selected row in sight."""
    name, lines = view.selection or "", view.detail(size.width)
    table, table_height = Frame(()), 0
    if size.height >= _LEAST_SPLIT:
        table_height = min(len(view.names) + 1, max(size.height - len(lines) - 1, _LEAST_TABLE))
        table = _table(view, Size(size.width, table_height))
    pane, page = _pane(view, Size(size.width, size.height - table_height), name, lines, "PgDn")
    return Frame((*table.lines, *pane), page, table.rows, has_detail=True)


def _table_beside_detail(view: _View, size: Size) -> Frame:
    """Draw the pane at the right, in a third of the width, and the newest alerts in free lines below the table."""
    cells = max(size.width * 7 // 20, _LEAST_DETAIL)
    width_left = size.width - cells - 1
    table = _table(view, Size(width_left, size.height))
    name, lines = view.selection or "", view.detail(cells)
    pane, page = _pane(view, Size(cells, size.height), name, lines, "PgDn")
    left = list(table.lines)
    if (room := size.height - len(left) - 2) >= _LEAST_LOG and view.state.log:
        log = log_lines(view.state, view.now, width_left)
        left += [(), _rule("alerts", "", width_left), *log[:room]]
    joined: list[Line] = []
    for line, beside in zip_longest(left, pane, fillvalue=()):
        gap = Span(" " * (size.width - cells - line_width(line)))
        joined.append((*line, gap, *beside) if beside else line)
    return Frame(tuple(joined), page, table.rows, has_detail=True)


def _pane(
    view: _View, size: Size, title: str, lines: list[Line], key: str
) -> tuple[tuple[Line, ...], int]:
    """Draw lines under a title, one page of them where they are too many; return the page, which the key turns."""
    room = max(size.height - 1, 1)
    visible, page = paginate(lines, room, view.screen.page)
    more = f" {page + 1}/{-(-len(lines) // room)} {key} ─" if room < len(lines) else ""
    return (_rule(title, more, size.width), *visible)[-size.height :], page


def _rule(name: str, more: str, cells: int) -> Line:
    """Draw the line above a pane: its name, and how many pages it has."""
    title = clip(f"─ {clean(name)} ", max(cells - width(more), 0))
    return (Span(f"{title}{'─' * (cells - width(title + more))}{more}", Style.BORDER),)


def _with_help(base: Sequence[Line], view: _View, size: Size) -> Frame:
    """Draw the help in a box over the table; on a small screen, in pages in the table's place."""
    said = {"Figures": view.footer.text, "Metrics": view.footer.metrics}
    entries = [*HELP, *((label, clean(text)) for label, text in said.items() if text)]
    key_cells = _HELP_KEY_CELLS if size.width >= 3 * _HELP_KEY_CELLS else 0
    lines: list[Line] = []
    for key, meaning in entries:
        lead = Span(pad(f" {key} ", max(key_cells, width(key) + 2)), Style.KEY, bold=True)
        lines += hang(lead, (Span(meaning),), size.width)
    cells = max(map(line_width, lines)) + 3
    if len(lines) == len(entries) and cells <= size.width and len(lines) + 2 <= size.height:
        return Frame(tuple(center_over(base, box("Help", lines, cells), size.width)))
    visible, page = paginate(lines, size.height, view.screen.page)
    return Frame(visible, page)

"""The whole screen as one picture: `frame(state, screen, now, size)`. Pure; it never exceeds its size."""

from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final

from monitor.core.state import State
from monitor.terminal import widths
from monitor.terminal.canvas import Picture, Size, around, boxed, centered_over, paged
from monitor.terminal.column_widths import columns
from monitor.terminal.detail import detail_lines
from monitor.terminal.dialogs import with_dialog
from monitor.terminal.form import Form
from monitor.terminal.help import (
    EMPTY_KEYS,
    FORM_KEYS,
    HELP_KEYS,
    QUESTION_KEYS,
    TABLE_KEYS,
    help_lines,
    key_bar,
)
from monitor.terminal.screen import Pane, Question, Screen
from monitor.terminal.style import Line, Span, Style, line_width, plain, text_line
from monitor.terminal.table import header, line, rows, wishes
from monitor.terminal.title import View, note_line, title

_NO_ACCOUNTS: Final = (
    "No account yet.",
    "Press i to import the logins of Claude Code, or a to add an account by its session key.",
)
_NO_ACCOUNTS_BRIEFLY: Final = ("No account yet: i imports, a adds",)
_LEAST_TABLE: Final = 2
_LEAST_SPLIT: Final = 6
"""From this height on, the details leave room for the selected row above them."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One screenful; `page` is the page of the open pane that is really shown."""

    picture: Picture
    page: int = 0

    @property
    def text(self) -> str:
        """The lines without their styles."""
        return "\n".join(plain(line).rstrip() for line in self.picture.lines) + "\n"


def frame(
    state: State,
    screen: Screen,
    now: datetime,
    size: Size,
    tz: tzinfo | None = None,
    footer: str = "",
) -> Frame:
    """The screen of this size; clock times are told in `tz` (None: the machine's)."""
    view = View(state, screen, now, tz, size, widths.clean(footer))
    below = _below(view, size)
    room = Size(size.width, size.height - len(below) - (size.height >= 3))
    above = [title(view, room)] if size.height >= 3 else []
    body, page = _body(view, room)
    lines = (*above, *body.fitted(room).lines, *below)
    if not above and (note := screen.note(now)):
        lines = (*lines[:-1], note_line(note))
    picture = Picture(lines, body.moved(0, len(above)).cursor)
    return Frame(picture.fitted(size), page)


def _below(view: View, size: Size) -> list[Line]:
    """The lines under the table, as far as there is height for them."""
    note = view.long_note
    footer = [text_line(f" {view.footer}", Style.DIM)] if _spares_a_line(view, size) else []
    keys = [_keys(view, size.width)] if size.height >= 4 + len(note) else []
    return note + footer + keys


def _spares_a_line(view: View, size: Size) -> bool:
    """Whether there is a footer, and it costs no account its row or there are rows enough."""
    rows_and_frame = len(view.state.accounts) + 4
    least = min(max(rows_and_frame, 8), 20)
    return bool(view.footer) and size.height >= least


def _keys(view: View, width: int) -> Line:
    match view.screen.dialog:
        case Form():
            return key_bar(FORM_KEYS, width)
        case Question():
            return key_bar(QUESTION_KEYS, width)
    if view.screen.pane is Pane.HELP:
        return key_bar(HELP_KEYS, width)
    return key_bar(TABLE_KEYS if view.state.accounts else EMPTY_KEYS, width)


def _body(view: View, size: Size) -> tuple[Picture, int]:
    """What stands between the title and the keys, and the open pane's page."""
    if view.screen.pane is Pane.DETAIL and view.state.accounts:
        base, page = _table_and_detail(view, size)
    else:
        base, page = _table(view, size), 0
    if view.screen.dialog is not None:
        return with_dialog(base.fitted(size), view.screen.dialog, size), page
    if view.screen.pane is Pane.HELP:
        return _with_help(base.fitted(size), view.screen.page, size)
    return base, page


def _table(view: View, size: Size) -> Picture:
    if not view.state.accounts:
        return _empty(size)
    shown = rows(view.state, view.now, view.selection, view.tz)
    shape = columns(size.width, wishes(shown))
    titles = [header(shape)] if size.height >= 3 or len(shown) < size.height else []
    lines = [line(row, shape) for row in shown]
    here = next((row.number for row in shown if row.selected), 1) - 1
    room = size.height - len(titles)
    return Picture((*titles, *around(lines, room, here)))


def _empty(size: Size) -> Picture:
    room = max(size.width - 2, 1)
    full, brief = (
        [part for text in texts for part in widths.wrap(text, room)]
        for texts in (("", *_NO_ACCOUNTS), _NO_ACCOUNTS_BRIEFLY)
    )
    lines = full if len(full) <= size.height else brief
    return Picture(tuple(text_line(f" {part}") for part in lines))


def _table_and_detail(view: View, size: Size) -> tuple[Picture, int]:
    """The table above, and below it the pane, which takes what it needs but leaves the selected row."""
    name = view.selection or ""
    lines = detail_lines(view.state, view.state.accounts[name], view.now, size.width, view.tz)
    if size.height < _LEAST_SPLIT:
        visible, page = paged([_rule(name, "", size.width), *lines], size.height, view.screen.page)
        return Picture(visible), page
    table_height = min(
        len(view.state.accounts) + 1, max(size.height - len(lines) - 1, _LEAST_TABLE)
    )
    table = _table(view, Size(size.width, table_height)).lines
    room = size.height - table_height - 1
    visible, page = paged(lines, room, view.screen.page)
    more = f" {page + 1}/{-(-len(lines) // room)} PgDn ─" if room < len(lines) else ""
    return Picture((*table, _rule(name, more, size.width), *visible)), page


def _rule(name: str, more: str, width: int) -> Line:
    """The line above the pane: whose it is, and how much more of it there is."""
    title = widths.clip(f"─ {widths.clean(name)} ", max(width - widths.width(more), 0))
    rest = "─" * (width - widths.width(title + more))
    return (Span(f"{title}{rest}{more}", Style.BORDER),)


def _with_help(base: Picture, page: int, size: Size) -> tuple[Picture, int]:
    lines = help_lines()
    width = max(map(line_width, lines)) + 2
    if width <= size.width and len(lines) + 2 <= size.height:
        box = boxed("Help", Picture(tuple(lines)), width)
        return centered_over(base, box, size.width), 0
    visible, page = paged(help_lines(size.width), size.height, page)
    return Picture(visible), page

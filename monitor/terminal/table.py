"""The lines of the table: its header and one line for each account, in the columns that a width holds. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final

from monitor.core import format
from monitor.core.model import EXTRA, FIVE_HOURS, SEVEN_DAYS, Down, Window
from monitor.core.sanitize import clean
from monitor.core.state import State
from monitor.terminal.status import StatusWords, status_words
from monitor.terminal.text import (
    Line,
    Span,
    Style,
    clip,
    fit,
    pad,
    plain,
    utilization_style,
    width,
)

NO_ACCOUNTS: Final = (
    "No account yet: log in with `claude`, then run `monitor accounts import --all`.\n"
)
"""In plain text, which has no keys."""

_TITLES: Final = {
    "number": "#",
    "mark": "",
    "name": "Name",
    "5h percent": "5h %",
    "5h bar": "5h Bar",
    "5h reset": "5h Reset",
    "7d percent": "7d %",
    "7d bar": "7d Bar",
    "7d reset": "7d Reset",
    "status": "Status",
    "worst": " Max",
}
_CHOICES: Final = (
    (
        "number", "name", "5h percent", "5h bar", "5h reset",
        "7d percent", "7d bar", "7d reset", "status",
    ),
    ("number", "name", "5h percent", "5h bar", "5h reset", "7d percent", "7d reset", "status"),
    ("number", "name", "5h percent", "5h reset", "7d percent", "7d reset", "status"),
    ("number", "name", "5h percent", "5h reset", "7d percent", "status"),
    ("mark", "name", "5h percent", "5h reset", "7d percent", "status"),
    ("mark", "name", "5h percent", "5h reset", "7d percent"),
    ("mark", "name", "5h percent", "7d percent"),
    ("mark", "name", "worst"),
)  # fmt: skip
"""The columns, from the fullest table to the narrowest."""

BEST: Final = "←"
ALERTED: Final = "⚠"
"""Marks behind a name: the account to use next, and an alert that nobody has looked at."""

_SHORTEST_NAME: Final = 12
_LONGEST_NAME: Final = 48
_SHORTEST_STATUS: Final = 10
_ROOM_FOR_MARK: Final = 2
"""Without a status, a mark before the name stands for a failure, and for old numbers."""

_WIDTHS: Final = {"mark": 1, "worst": 4, "percent": 4, "bar": format.BAR_CELLS, "reset": 8}


@dataclass(frozen=True, slots=True)
class Marks:
    """The accounts that are marked in the table: the selected one, the best one to use next, and those with alerts."""

    selected: str | None = None
    best: str | None = None
    alerted: frozenset[str] = frozenset()


NO_MARKS: Final = Marks()


def table_lines(
    state: State,
    now: datetime,
    room: int,
    marks: Marks = NO_MARKS,
    tz: tzinfo | None = None,
    names: Sequence[str] | None = None,
) -> list[Line]:
    """The line of column titles, and one for each account in `room` cells: those of `names`, or (None) all."""
    shown = rows(state, now, marks, tz, names)
    statuses = [row.status for row in shown]
    levels = max((len(status.phrases) for status in statuses), default=1)
    widths = column_widths(
        room,
        longest_name=max((width(row.name + row.suffix) for row in shown), default=0),
        statuses=[
            max([len(_TITLES["status"]), *(status.width(level) for status in statuses)])
            for level in range(levels)
        ],
        number=max(len(str(len(state.accounts))) + 1, 2),
    )
    titles = [(Span(pad(_TITLES[c], cells), Style.DIM, bold=True),) for c, cells in widths.items()]
    lines = [titles] + [
        [
            _cell(row, column, cells, is_alone="status" not in widths)
            for column, cells in widths.items()
        ]
        for row in shown
    ]
    is_wide = "number" in widths
    between = Span(" | " if is_wide else " ", Style.DIM)
    joined: list[Line] = []
    for line in lines:
        spans = [Span(" ")] if is_wide else []
        for place, cell in enumerate(line):
            spans += [between, *cell] if place else cell
        joined.append(fit(tuple(span for span in spans if span.text), room))
    return joined


@dataclass(frozen=True, slots=True)
class Row:
    """One account as the table shows it at `now`."""

    number: int
    name: str
    windows: dict[str, Window | None]
    status: StatusWords
    now: datetime
    is_troubled: bool = False
    is_selected: bool = False
    suffix: str = ""

    def window(self, column: str) -> Window | None:
        """The window of a column such as `5h bar`; of `worst`, the fullest one, or else the money."""
        if column != "worst":
            return self.windows[column.split()[0]]
        plan_wide = self.windows[FIVE_HOURS] or self.windows[SEVEN_DAYS]
        known = [
            window
            for key, window in self.windows.items()
            if window is not None and (key != EXTRA or plan_wide is None)
        ]
        return max(known, key=lambda window: window.utilization, default=None)


def rows(
    state: State,
    now: datetime,
    marks: Marks = NO_MARKS,
    tz: tzinfo | None = None,
    names: Sequence[str] | None = None,
) -> list[Row]:
    """The accounts, each with its number in the settings; clock times are those of `tz`."""
    found = []
    numbers = {name: number for number, name in enumerate(state.accounts, 1)}
    for name in numbers if names is None else names:
        account = state.accounts[name]
        is_marked = {
            "*": name == state.active_account,
            BEST: name == marks.best,
            ALERTED: name in marks.alerted,
        }
        suffix = "".join(mark for mark, is_set in is_marked.items() if is_set)
        is_fresh = account.values_are_fresh(now, state.policy.interval)
        is_old = account.last_success_at is not None and not is_fresh
        row = Row(
            number=numbers[name],
            name=clean(account.account.title),
            windows={key: account.window(key, now) for key in (FIVE_HOURS, SEVEN_DAYS, EXTRA)},
            status=status_words(state, account, now, tz),
            now=now,
            is_troubled=is_old or isinstance(account.health, Down),
            is_selected=name == marks.selected,
            suffix=f" {suffix}" if suffix else "",
        )
        found.append(row)
    return found


def column_widths(
    room: int, longest_name: int, statuses: Sequence[int], number: int = 2
) -> dict[str, int]:
    """The columns of the fullest table that `room` cells hold, and the cells of each.

    As room shrinks, a status gets shorter, then a name is cut, then a column goes. `statuses` are the widths of the
    Status column from its fullest words to its fewest.
    """
    least_name = min(longest_name, _SHORTEST_NAME)
    least_status = max(_SHORTEST_STATUS, min(statuses))
    choice = next(
        (
            each
            for each in _CHOICES
            if _spare(each, room, number) >= least_name + least_status * ("status" in each)
        ),
        _CHOICES[-1],
    )
    spare = _spare(choice, room, number)
    status, wish = 0, longest_name + _ROOM_FOR_MARK
    if "status" in choice:  # the fullest one that leaves the names whole, else the shortest one
        whole = spare - min(longest_name, _LONGEST_NAME)
        status = next((cells for cells in statuses if cells <= whole), min(statuses))
        wish = longest_name
    name = max(min(wish, _LONGEST_NAME, max(spare - status, least_name)), 1)
    flexible = {"number": number, "name": name, "status": max(spare - name, 1)}
    return {column: flexible.get(column) or _WIDTHS[column.split()[-1]] for column in choice}


def _spare(choice: Sequence[str], room: int, number: int) -> int:
    """The cells that a choice leaves for the name and the status together."""
    between = 1 + 3 * (len(choice) - 1) + number if "number" in choice else len(choice) - 1
    return room - between - sum(_WIDTHS.get(column.split()[-1], 0) for column in choice)


def _cell(row: Row, column: str, room: int, *, is_alone: bool) -> Line:
    match column.split()[-1]:
        case "number":
            text = f"{'>' if row.is_selected else ' '}{row.number}"
            return (Span(pad(text, room), bold=row.is_selected),)
        case "mark":
            return (Span(">" if row.is_selected else " ", bold=True),)
        case "name":
            # Alone, without a status, a mark stands for a failure or old numbers.
            mark = "! " if row.is_troubled and is_alone else ""
            name = clip(row.name, room - width(mark + row.suffix))
            style = Style.PROBLEM if mark else Style.PLAIN
            return (Span(pad(f"{mark}{name}{row.suffix}", room), style, bold=row.is_selected),)
        case "status":
            return (Span(row.status.within(room), row.status.style),)
        case "bar":
            return bar(row.window(column), room)
        case "reset":
            return (Span(pad(reset_words(row.window(column), row.now), room)),)
        case _:
            return (percent(row.window(column), room),)


def reset_words(window: Window | None, now: datetime) -> str:
    """The time until a window's reset; `expected` once it is over and no poll has confirmed it."""
    return (format.reset(window, now) if window else None) or format.NOTHING


def percent(window: Window | None, room: int = 4) -> Span:
    """A window's percentage, at the right of these cells."""
    if window is None:
        return Span(pad(format.NOTHING, room, right=True), Style.DIM)
    text = format.percent(window.utilization, confirmed=window.confirmed)
    return Span(pad(text, room, right=True), utilization_style(window.utilization))


def bar(window: Window | None, room: int = format.BAR_CELLS) -> Line:
    """A window's utilization drawn in these cells."""
    if window is None:
        return (Span(format.NO_BAR_CELL * room, Style.DIM),)
    filled = format.filled_cells(window.utilization, room)
    full = Span(format.FULL_CELL * filled, utilization_style(window.utilization))
    return full, Span(format.EMPTY_CELL * (room - filled), Style.DIM)


def render_plain(state: State, now: datetime, room: int, tz: tzinfo | None = None) -> str:
    """The table as text in lines of at most `room` cells, for a pipe, a dumb terminal and `monitor status`."""
    if not state.accounts:
        return NO_ACCOUNTS
    return "".join(f"{plain(line).rstrip()}\n" for line in table_lines(state, now, room, tz=tz))

"""The lines of the table: its header and one line for each account, in the columns that a width holds. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import Final

from monitor.core import format
from monitor.core.model import EXTRA, FIVE_HOURS, SEVEN_DAYS, AccountState, Down, Window
from monitor.core.sanitize import clean
from monitor.core.state import State
from monitor.terminal.chart import spark
from monitor.terminal.status_words import StatusWords, status_words
from monitor.terminal.text import (
    ASCII,
    Back,
    Line,
    Span,
    Style,
    clip,
    fit,
    line_width,
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
    "model": "Model 7d",
    "full": "Full",
    "trend": "5h Trend",
}
_STANDARD: Final = (
    "number", "name", "5h percent", "5h bar", "5h reset", "7d percent", "7d bar", "7d reset", "status",
)  # fmt: skip
_CHOICES: Final = (
    (130, " | ", (*_STANDARD[:-1], "trend", "model", "full", "status")),
    (130, " | ", (*_STANDARD[:-1], "trend", "full", "status")),
    (120, " | ", (*_STANDARD[:-1], "full", "status")),
    (0, " | ", _STANDARD),
    (0, " ", _STANDARD),
    (0, " ", ("number", "name", "5h percent", "5h bar", "5h reset", "7d percent", "7d reset", "status")),
    (0, " ", ("number", "name", "5h percent", "5h reset", "7d percent", "7d reset", "status")),
    (0, " ", ("number", "name", "5h percent", "5h reset", "7d percent", "status")),
    (0, " ", ("mark", "name", "5h percent", "5h reset", "7d percent", "status")),
    (0, " ", ("mark", "name", "5h percent", "5h reset", "7d percent")),
    (0, " ", ("mark", "name", "5h percent", "7d percent")),
    (0, " ", ("mark", "name", "worst")),
)  # fmt: skip
"""From the fullest table to the narrowest: the least cells, what stands between columns, and the columns."""

BEST: Final = "←"
ALERTED: Final = "⚠"
"""Marks behind a name: the account to use next, and an alert that nobody has looked at."""

_SHORTEST_NAME: Final = 12
_LONGEST_NAME: Final = 48
_SHORTEST_STATUS: Final = 10
_ROOM_FOR_MARK: Final = 2
"""Without a status, a mark before the name stands for a failure, and for old numbers."""

_SHORTEST_BAR: Final = 6
_WIDTHS: Final = {
    "mark": 1, "worst": 4, "percent": 4, "bar": format.BAR_CELLS, "reset": 8, "trend": 8, "model": 11, "full": 9,
}  # fmt: skip


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
    between, widths = column_widths(
        room,
        longest_name=max((width(row.name + row.suffix) for row in shown), default=0),
        statuses=[
            max([len(_TITLES["status"]), *(status.width(level) for status in statuses)])
            for level in range(levels)
        ],
        number=max(len(str(len(state.accounts))) + 1, 2),
    )
    titles: list[Span] = []
    for column, cells in widths.items():
        titles += [
            Span(between, Style.TRACK),
            Span(pad(_TITLES[column], cells), Style.DIM, bold=True),
        ]
    lines = [fit(tuple(_begin(titles, widths)), room)]
    gap = Span(between, Style.TRACK)
    overflows = sum(widths.values()) + len(between) * (len(widths) - 1) + 1 > room
    for place, row in enumerate(shown):
        spans: list[Span] = []
        for column, cells in widths.items():
            spans.append(gap)
            spans += _cell(row, column, cells, Back.STRIPE if place % 2 else Back.TRACK, widths)
        line = tuple(_begin(spans, widths))
        line = fit(line, room) if overflows else line
        lines.append(_select(line, room) if row.is_selected else line)
    return lines


def _begin(spans: list[Span], widths: Mapping[str, int]) -> Iterator[Span]:
    """The line without what would stand before its first column, and without empty spans."""
    if "number" in widths:
        yield Span(" ")
    yield from (span for span in spans[1:] if span.text)


def _select(line: Line, room: int) -> Line:
    """The line on the ground of the selected row, as wide as the table."""
    rest = Span(" " * (room - line_width(line)))
    return tuple(
        replace(span, back=span.back or Back.SELECTED) for span in (*line, rest) if span.text
    )


@dataclass(frozen=True, slots=True)
class Row:
    """One account as the table shows it at `now`."""

    number: int
    name: str
    account: AccountState
    windows: dict[str, Window]
    status: StatusWords
    now: datetime
    tz: tzinfo | None = None
    is_troubled: bool = False
    is_selected: bool = False
    suffix: str = ""

    def window(self, column: str) -> Window | None:
        """The window of a column such as `5h bar`; of `worst`, the fullest one, or else the money."""
        if column != "worst":
            return self.windows.get(column[:2])
        usual = (FIVE_HOURS, SEVEN_DAYS)
        keys = usual if self.windows.keys() & set(usual) else (EXTRA,)
        known = [self.windows[key] for key in keys if key in self.windows]
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
            account=account,
            windows={window.key: window for window in account.windows(now)},
            status=status_words(state, account, now, tz),
            now=now,
            tz=tz,
            is_troubled=is_old or isinstance(account.health, Down),
            is_selected=name == marks.selected,
            suffix=f" {suffix}" if suffix else "",
        )
        found.append(row)
    return found


def _outlook(account: AccountState, now: datetime, tz: tzinfo | None) -> str:
    """When the account most likely is full: by its 5-hour window, unless only its week is, or is already."""
    five, week = (format.outlook(account, key, now, tz) for key in (FIVE_HOURS, SEVEN_DAYS))
    is_week = week == "full" or (week.startswith("full") and not five.startswith("full"))
    words = week if is_week or five == format.NOTHING else five
    return "now" if words == "full" else words.removeprefix("full ")


def column_widths(
    room: int, longest_name: int, statuses: Sequence[int], number: int = 2
) -> tuple[str, dict[str, int]]:
    """What stands between the columns of the fullest table that `room` cells hold, and the cells of each column.

    As room shrinks, a status gets shorter, then bars do, then a name is cut, then a column goes. `statuses` are the
    widths of the Status column from its fullest words to its fewest.
    """
    least_name = min(longest_name, _SHORTEST_NAME)
    least_status = max(_SHORTEST_STATUS, min(statuses))
    standard = _spare(" | ", _STANDARD, room, number) - min(longest_name, _LONGEST_NAME)
    words = next((cells for cells in statuses if cells <= standard), min(statuses))

    def fits(least: int, between: str, choice: Sequence[str]) -> bool:
        spare = _spare(between, choice, room, number)
        if least:  # a column more must not cost a status its words, nor a name its end
            return room >= least and spare >= min(longest_name, _LONGEST_NAME) + words
        return spare >= least_name + least_status * ("status" in choice)

    _, between, choice = next((each for each in _CHOICES if fits(*each)), _CHOICES[-1])
    spare = _spare(between, choice, room, number)
    status, wish, bar = 0, longest_name + _ROOM_FOR_MARK, format.BAR_CELLS
    if "status" in choice:  # the fullest one that leaves the names whole, else the shortest one
        whole = spare - min(longest_name, _LONGEST_NAME)
        status = next((cells for cells in statuses if cells <= whole), min(statuses))
        wish = longest_name
        bars = sum(column.endswith("bar") for column in choice)
        if bars and between == " ":  # a name is worth more than some cells of a bar
            bar = max(min(bar + (whole - status) // bars, bar), _SHORTEST_BAR)
            spare += (format.BAR_CELLS - bar) * bars
    name = max(min(wish, _LONGEST_NAME, max(spare - status, least_name)), 1)
    flexible = {"number": number, "name": name, "status": max(spare - name, 1)}
    cells = {**_WIDTHS, "bar": bar}
    return between, {column: flexible.get(column) or cells[column.split()[-1]] for column in choice}


def _spare(between: str, choice: Sequence[str], room: int, number: int) -> int:
    """The cells that a choice leaves for the name and the status together."""
    gaps = len(between) * (len(choice) - 1) + (1 + number if "number" in choice else 0)
    return room - gaps - sum(_WIDTHS.get(column.split()[-1], 0) for column in choice)


def _cell(row: Row, column: str, room: int, back: Back, widths: Mapping[str, int]) -> Line:
    match column.split()[-1]:
        case "number":
            text = f"{'>' if row.is_selected else ' '}{row.number}"
            return (Span(pad(text, room), bold=row.is_selected),)
        case "mark":
            return (Span(">" if row.is_selected else " ", bold=True),)
        case "name":
            # Alone, without a status, a mark stands for a failure or old numbers.
            mark = "! " if row.is_troubled and "status" not in widths else ""
            name = clip(row.name, room - width(mark + row.suffix))
            style = Style.PROBLEM if mark else Style.PLAIN
            return (Span(pad(f"{mark}{name}{row.suffix}", room), style, bold=row.is_selected),)
        case "status":
            return (Span(row.status.within(room), row.status.style),)
        case "bar":
            return bar(row.window(column), room, back)
        case "reset":
            return (Span(pad(reset_words(row.window(column), row.now), room)),)
        case "trend":
            levels = row.account.forecast.trends.get(FIVE_HOURS, ()) if row.account.forecast else ()
            known = row.windows.get(FIVE_HOURS)
            style = utilization_style(known.utilization) if known else Style.DIM
            return (Span(pad(spark(levels[-room:]), room, right=True), style),)
        case "model":
            weeks = [w for key, w in row.windows.items() if key.startswith(f"{SEVEN_DAYS}_")]
            if not weeks:
                return (Span(pad(format.NOTHING, room), Style.DIM),)
            week = max(weeks, key=lambda window: window.utilization)
            name = pad(clean(week.key.partition("_")[2]), room - 5)
            return Span(f"{name} "), percent(week)
        case "full":
            full = _outlook(row.account, row.now, row.tz)
            style = Style.DIM if full in ("too early", format.NOTHING) else Style.PLAIN
            return (Span(pad(full, room), Style.FULL if full == "now" else style),)
        case _:
            return (percent(row.window(column), room),)


def reset_words(window: Window | None, now: datetime) -> str:
    """The time until a window's reset; `expected` once it is over and no poll has confirmed it."""
    return (format.reset(window, now) if window else None) or format.NOTHING


def percent(window: Window | None, room: int = 4) -> Span:
    """A window's percentage, at the right of these cells."""
    if window is None:
        return Span(pad(format.NOTHING, room, right=True), Style.DIM)
    return _percent(window.utilization, window.confirmed, room)


@lru_cache(maxsize=512)
def _percent(utilization: float, confirmed: bool, room: int) -> Span:
    """Made once, as bars are: a table is drawn each second, and its figures are mostly those of the second before."""
    text = format.percent(utilization, confirmed=confirmed)
    return Span(pad(text, room, right=True), utilization_style(utilization))


def bar(window: Window | None, room: int = format.BAR_CELLS, back: Back = Back.TRACK) -> Line:
    """A window's utilization drawn in these cells, on a track."""
    if window is None:
        return (Span(format.NO_BAR_CELL * room, Style.TRACK),)
    return _bar(window.utilization, room, back)


@lru_cache(maxsize=512)
def _bar(utilization: float, room: int, back: Back) -> Line:
    filled = format.bar(utilization, room)
    return (
        Span(filled, utilization_style(utilization), back=back),
        Span(format.EMPTY_CELL * (room - len(filled)), Style.TRACK, back=back),
    )


def render_plain(state: State, now: datetime, room: int, tz: tzinfo | None = None) -> str:
    """The table as text in lines of at most `room` cells, for a pipe, a dumb terminal and `monitor status`."""
    if not state.accounts:
        return NO_ACCOUNTS
    text = "".join(f"{plain(line).rstrip()}\n" for line in table_lines(state, now, room, tz=tz))
    return text.translate(ASCII) if state.policy.display.ascii else text

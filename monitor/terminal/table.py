"""The lines of the table: its header and one line for each account, in the columns for which there is room. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from monitor.core import format
from monitor.core.format import Outlook
from monitor.core.model import (
    EXTRA,
    FIVE_HOURS,
    SEVEN_DAYS,
    AccountState,
    Window,
    fresh_for,
)
from monitor.core.sanitize import clean
from monitor.core.state import State
from monitor.terminal.chart import spark
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
from monitor.terminal.words import StatusWords, status_words

T = TypeVar("T")

MINUTE: Final = timedelta(minutes=1)
MOMENT: Final = timedelta(microseconds=1)
FOREVER: Final = datetime.max.replace(tzinfo=UTC)

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
    (120, " ", (*_STANDARD[:-1], "full", "status")),
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
"""From the fullest table to the narrowest: the least width of the screen, the separator, and the columns."""

BEST: Final = "←"
ALERTED: Final = "⚠"
"""Marks behind a name: the account to use next, and an alert that was not looked at; * is the active one."""

_SHORTEST_NAME: Final = 12
_LONGEST_NAME: Final = 48
_SHORTEST_STATUS: Final = 10
_ROOM_FOR_MARK: Final = 2
"""Where there is no status, a mark before the name shows a failure or old numbers."""

_SHORTEST_BAR: Final = 6
_WIDTHS: Final = {
    "mark": 1, "worst": 4, "percent": 4, "bar": format.BAR_CELLS, "reset": 8, "trend": 8, "model": 11, "full": 9,
}  # fmt: skip


class RenderCache:
    """Keeps what was drawn and is still true (rows, lines, details, sums), so that each second costs little."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[object, ...], datetime, datetime, Any]] = {}

    def reuse(
        self,
        key: str,
        inputs: tuple[object, ...],
        now: datetime,
        make: Callable[[], tuple[T, datetime]],
    ) -> T:
        """Return the value under this key while its inputs are the same and its time lasts.

        After that, `make` returns a new one and the instant until which it stays true.
        """
        if key in self._known:
            before, at, until, value = self._known[key]
            if at <= now < until and before == inputs:
                kept: T = value
                return kept
        value, until = make()
        self._known[key] = inputs, now, until, value
        return value


def table_lines(
    state: State,
    now: datetime,
    room: int,
    selected: str | None = None,
    marks: Mapping[str, str] | None = None,
    names: Sequence[str] | None = None,
    cache: RenderCache | None = None,
    screen: int | None = None,
) -> list[Line]:
    """Draw the line of column titles, and one for each account of `names` (None: all), in `room` cells.

    `marks` stand behind the names; `screen` is the width of the whole screen, where that is more than `room`.
    """
    cache, marks = cache or RenderCache(), marks or {}
    numbers = {name: number for number, name in enumerate(state.accounts, 1)}
    rows = [
        _row(cache, state, name, numbers[name], name == selected, marks.get(name, ""), now)
        for name in (numbers if names is None else names)
    ]
    number_cells = max(len(str(len(numbers))) + 1, 2)
    inputs = (rows, room, number_cells, screen or room)
    layout = cache.reuse("layout", inputs, now, lambda: (Layout.of(*inputs), FOREVER))
    return [layout.titles, *(layout.line(cache, row, n, now) for n, row in enumerate(rows))]


@dataclass(frozen=True, slots=True, eq=False)
class AccountRow:
    """One account as the table shows it, without its countdowns."""

    account: AccountState
    number: int
    name: str
    suffix: str
    is_selected: bool
    windows: dict[str, Window]
    status: StatusWords
    is_troubled: bool
    full: tuple[Outlook, datetime | None]

    def window(self, column: str) -> Window | None:
        """Return the window of a column such as `5h bar`; of `worst`, the fullest one, else that of the money."""
        if column != "worst":
            return self.windows.get(column[:2])
        usual = (FIVE_HOURS, SEVEN_DAYS)
        keys = usual if self.windows.keys() & set(usual) else (EXTRA,)
        known = [self.windows[key] for key in keys if key in self.windows]
        return max(known, key=lambda window: window.utilization, default=None)


def _row(
    cache: RenderCache,
    state: State,
    name: str,
    number: int,
    is_selected: bool,
    marks: str,
    now: datetime,
) -> AccountRow:
    account, interval = state.accounts[name], state.policy.interval
    suffix = f"*{marks}" if name == state.active_account else marks

    def make() -> tuple[AccountRow, datetime]:
        is_old = account.last_success_at is not None and not account.values_are_fresh(now, interval)
        row = AccountRow(
            account,
            number,
            clean(account.account.title),
            f" {suffix}" if suffix else "",
            is_selected,
            windows={window.key: window for window in account.windows(now)},
            status=status_words(state, account, now),
            is_troubled=is_old or account.down is not None,
            full=_outlook(account, now),
        )
        return row, now + next_change(account, now, interval)

    inputs = (account, number, suffix, is_selected, state.logged_in, state.policy)
    return cache.reuse(f"row {name}", inputs, now, make)


def next_change(account: AccountState, now: datetime, interval: timedelta) -> timedelta:
    """Return how long the words about an account stay true if nothing happens: ages are shown to the minute.

    A clock time may need another day from some full minute on.
    """
    known = [window.resets_at for window in account.usage.windows] if account.usage else []
    left = [end - now for end in known if end is not None]
    if account.last_success_at is not None:
        age = now - account.last_success_at
        left += (
            MINUTE - age % MINUTE if age % MINUTE else MOMENT,
            fresh_for(interval) - age + MOMENT,
        )
    minute = MINUTE - timedelta(seconds=now.second, microseconds=now.microsecond)
    return min([minute, *(span for span in left if span > timedelta(0))])


def _outlook(account: AccountState, now: datetime) -> tuple[Outlook, datetime | None]:
    """Say when the account is likely to be full: by its 5-hour window, unless only its week will be, or is."""
    five, week = (format.expect(account, key, now) for key in (FIVE_HOURS, SEVEN_DAYS))
    fills = five[0] in (Outlook.FULL, Outlook.FILLS)
    is_week = week[0] is Outlook.FULL or (week[0] is Outlook.FILLS and not fills)
    return week if is_week or five[0] is Outlook.NOT_OPEN else five


@dataclass(frozen=True, slots=True)
class Layout:
    """The cells of each column, the separator, and the line of titles, in `room` cells."""

    room: int
    between: str
    widths: dict[str, int]
    titles: Line

    @staticmethod
    def of(rows: Sequence[AccountRow], room: int, number: int, screen: int) -> "Layout":
        """Choose the fullest layout that these rows fit in; `number` is the cells of the column of that name."""
        statuses = [row.status for row in rows]
        levels = max((len(status.phrases) for status in statuses), default=1)
        between, widths = column_widths(
            room,
            longest_name=max((width(row.name + row.suffix) for row in rows), default=0),
            statuses=[
                max([len(_TITLES["status"]), *(status.width(level) for status in statuses)])
                for level in range(levels)
            ],
            number=number,
            screen=screen,
        )
        titles = [Span(" ")] if "number" in widths else []
        for place, (column, cells) in enumerate(widths.items()):
            if place:
                titles.append(Span(between, Style.TRACK))
            titles.append(Span(pad(_TITLES[column], cells), Style.DIM, bold=True))
        return Layout(room, between, widths, fit(tuple(titles), room))

    def line(self, cache: RenderCache, row: AccountRow, place: int, now: datetime) -> Line:
        """Draw one account in the row of this number; of a cached line only the countdowns are drawn again."""
        back = Back.STRIPE if place % 2 else Back.TRACK
        line, countdowns = cache.reuse(
            f"line {row.account.account.name}",
            (row, back, self),
            now,
            lambda: (self._draw(row, back, now), FOREVER),
        )
        for number, column, cells in countdowns:
            text, before = pad(reset_words(row.window(column), now), cells), line[number]
            if text != before.text:
                line = (*line[:number], replace(before, text=text), *line[number + 1 :])
        return line

    def _draw(
        self, row: AccountRow, back: Back, now: datetime
    ) -> tuple[Line, list[tuple[int, str, int]]]:
        """Draw the line, its bars on this ground; return also the span number, column and cells of each countdown."""
        spans = [Span(" ")] if "number" in self.widths else []
        countdowns = []
        for place, (column, cells) in enumerate(self.widths.items()):
            if place:
                spans.append(Span(self.between, Style.TRACK))
            if column.endswith("reset"):
                countdowns.append((len(spans), column, cells))
            spans += (s for s in _cell(row, column, cells, back, self.widths, now) if s.text)
        line = fit(tuple(spans), self.room)
        countdowns = [each for each in countdowns if each[0] < len(line) - 1]  # none is the last
        if row.is_selected:
            line = (*line, Span(" " * (self.room - line_width(line))))
            line = tuple(
                replace(span, back=span.back or Back.SELECTED) for span in line if span.text
            )
        return line, countdowns


def column_widths(
    room: int,
    longest_name: int,
    statuses: Sequence[int],
    number: int = 2,
    screen: int | None = None,
) -> tuple[str, dict[str, int]]:
    """Choose the fullest table for `room` cells: return its separator, and the cells of each column.

    As room shrinks, a status gets shorter, then bars do, then a name is cut, then a column goes. `statuses` are the
    widths of the Status column from its longest words to its shortest.
    """
    least_name = min(longest_name, _SHORTEST_NAME)
    least_status = max(_SHORTEST_STATUS, min(statuses))
    standard = _spare(" | ", _STANDARD, room, number) - min(longest_name, _LONGEST_NAME)
    words = next((cells for cells in statuses if cells <= standard), min(statuses))

    def fits(least: int, between: str, choice: Sequence[str]) -> bool:
        spare = _spare(between, choice, room, number)
        if least > (screen or room):
            return False
        if least and between != " ":  # a trend must not cost a status its words, nor a name its end
            least_words = words if "trend" in choice else min(statuses)
            return spare >= min(longest_name, _LONGEST_NAME) + least_words
        shorter = 2 * (format.BAR_CELLS - _SHORTEST_BAR) if least else 0  # its bars give way first
        return spare + shorter >= least_name + least_status * ("status" in choice)

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
    """Return the cells that a choice leaves for name and status together."""
    gaps = len(between) * (len(choice) - 1) + (1 + number if "number" in choice else 0)
    return room - gaps - sum(_WIDTHS.get(column.split()[-1], 0) for column in choice)


def _cell(
    row: AccountRow, column: str, room: int, back: Back, widths: Mapping[str, int], now: datetime
) -> Line:
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
            return draw_bar(row.window(column), room, back)
        case "reset":
            return (Span(pad(reset_words(row.window(column), now), room)),)
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
            return Span(f"{name} "), draw_percent(week)
        case "full":
            outlook, at = row.full
            if outlook is Outlook.FULL:
                return (Span(pad("now", room), Style.FULL),)
            style = Style.DIM if outlook in (Outlook.TOO_EARLY, Outlook.NOT_OPEN) else Style.PLAIN
            return (Span(pad(format.clock(at, now) if at else outlook, room), style),)
        case _:
            return (draw_percent(row.window(column), room),)


def reset_words(window: Window | None, now: datetime) -> str:
    """Say the time until a window's reset; `expected` once it is due and no poll has confirmed it."""
    return (format.reset(window, now) if window else None) or format.NOTHING


def draw_percent(window: Window | None, room: int = 4) -> Span:
    """Draw a window's percentage at the right of these cells."""
    if window is None:
        return Span(pad(format.NOTHING, room, right=True), Style.DIM)
    text = format.percent(window.utilization, confirmed=window.confirmed)
    return Span(pad(text, room, right=True), utilization_style(window.utilization))


def draw_bar(window: Window | None, room: int = format.BAR_CELLS, back: Back = Back.TRACK) -> Line:
    """Draw a window's utilization in these cells, on a track."""
    if window is None:
        return (Span(format.NO_BAR_CELL * room, Style.TRACK),)
    filled = format.bar(window.utilization, room)
    return (
        Span(filled, utilization_style(window.utilization), back=back),
        Span(format.EMPTY_CELL * (room - len(filled)), Style.TRACK, back=back),
    )


def render_plain(state: State, now: datetime, room: int, names: Sequence[str] | None = None) -> str:
    """Render the table of these accounts (None: all) as text of at most `room` cells, for a pipe, a dumb terminal and
    `monitor status`.
    """
    if not (state.accounts if names is None else names):
        return NO_ACCOUNTS
    lines = table_lines(state, now, room, names=names)
    text = "".join(f"{plain(line).rstrip()}\n" for line in lines)
    return text.translate(ASCII) if state.policy.display.ascii else text

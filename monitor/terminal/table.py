"""The lines of the table: its header, and one line for each account. Pure."""

from dataclasses import dataclass
from datetime import datetime, tzinfo

from monitor.core import format
from monitor.core.model import FIVE_HOURS, SEVEN_DAYS, AccountState, Down, Window
from monitor.core.state import State
from monitor.terminal import widths
from monitor.terminal.column_widths import TITLES, Columns, Wishes
from monitor.terminal.status import StatusWords, status_words
from monitor.terminal.style import Line, Span, Style, utilization_style


@dataclass(frozen=True, slots=True)
class Row:
    """What the table shows of one account at `now`."""

    number: int
    name: str
    windows: dict[str, Window | None]
    status: StatusWords
    now: datetime
    troubled: bool = False
    active: bool = False
    selected: bool = False

    def window(self, column: str) -> Window | None:
        """The window that a column speaks of: `5h bar`, `7d percent`, `worst`."""
        if column != "worst":
            return self.windows[column.split()[0]]
        known = [window for window in self.windows.values() if window is not None]
        return max(known, key=lambda window: window.utilization, default=None)


def rows(
    state: State, now: datetime, selected: str | None = None, tz: tzinfo | None = None
) -> list[Row]:
    """The accounts in the order of the settings; clock times are told in `tz`."""
    return [
        _row(state, account, now, tz, number, selected)
        for number, account in enumerate(state.accounts.values(), 1)
    ]


def _row(
    state: State,
    account: AccountState,
    now: datetime,
    tz: tzinfo | None,
    number: int,
    selected: str | None,
) -> Row:
    name = account.account.name
    return Row(
        number=number,
        name=widths.clean(name),
        windows={key: account.window(key, now) for key in (FIVE_HOURS, SEVEN_DAYS)},
        status=status_words(state, account, now, tz),
        now=now,
        troubled=isinstance(account.health, Down) or _is_old(state, account, now),
        active=name == state.active_account,
        selected=name == selected,
    )


def _is_old(state: State, account: AccountState, now: datetime) -> bool:
    known = account.last_success_at is not None
    return known and not account.values_are_fresh(now, state.policy.interval)


def wishes(shown: list[Row]) -> Wishes:
    """The cells that these rows would like."""
    return Wishes(
        name=max((widths.width(row.name) + 2 * row.active for row in shown), default=0),
        statuses=_status_widths([row.status for row in shown]),
        number=max(len(str(len(shown))) + 1, 2),
    )


def _status_widths(statuses: list[StatusWords]) -> tuple[int, ...]:
    """The widths of all statuses together, each told in ever fewer words."""
    levels = max((len(status.phrases) for status in statuses), default=1)
    least = len(TITLES["status"])
    return tuple(
        max([least, *(status.width(level) for status in statuses)]) for level in range(levels)
    )


def header(shape: Columns) -> Line:
    """The line of column titles."""
    return shape.line(
        {
            column: (Span(widths.pad(TITLES[column], room), Style.DIM, bold=True),)
            for column, room in shape.widths.items()
        }
    )


def line(row: Row, shape: Columns) -> Line:
    """One account's line."""
    return shape.line(
        {column: _cell(row, column, room, shape) for column, room in shape.widths.items()}
    )


def _cell(row: Row, column: str, room: int, shape: Columns) -> Line:
    window_of = row.window
    match column.split()[-1]:
        case "number":
            text = f"{'>' if row.selected else ' '}{row.number}"
            return (Span(widths.pad(text, room), bold=row.selected),)
        case "mark":
            return (Span(">" if row.selected else " ", bold=True),)
        case "name":
            return (_name(row, room, alone="status" not in shape),)
        case "status":
            return (Span(row.status.within(room), row.status.style),)
        case "bar":
            return bar(window_of(column), room)
        case "reset":
            text = reset_words(window_of(column), row.now)
            return (Span(widths.pad(text, room)),)
        case _:
            return (percent(window_of(column), room),)


def _name(row: Row, room: int, *, alone: bool) -> Span:
    """The name; where no status tells of a failure or of old numbers, a mark before it does."""
    mark = "! " if alone and row.troubled else ""
    star = " *" if row.active else ""
    name = widths.clip(row.name, room - len(mark) - len(star))
    style = Style.PROBLEM if mark else Style.PLAIN
    return Span(widths.pad(f"{mark}{name}{star}", room), style, bold=row.selected)


def reset_words(window: Window | None, now: datetime) -> str:
    """The time until a window's reset; `expected` once it is over and no poll has said so yet."""
    return (format.reset(window, now) if window else None) or format.NOTHING


def percent(window: Window | None, room: int = 4) -> Span:
    """A window's percentage, at the right of these cells."""
    if window is None:
        return Span(widths.pad(format.NOTHING, room, right=True), Style.DIM)
    text = format.percent(window.utilization, confirmed=window.confirmed)
    return Span(widths.pad(text, room, right=True), utilization_style(window.utilization))


def bar(window: Window | None, room: int = format.BAR_CELLS) -> Line:
    """A window's utilization drawn in these cells."""
    if window is None:
        return (Span(format.NO_BAR_CELL * room, Style.DIM),)
    filled = format.filled_cells(window.utilization, room)
    full = Span(format.FULL_CELL * filled, utilization_style(window.utilization))
    return full, Span(format.EMPTY_CELL * (room - filled), Style.DIM)

"""Which columns the table shows in a width, and how wide each is. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from monitor.core import format
from monitor.terminal.style import Line, Span, Style, fitted

TITLES: Final = {
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
CHOICES: Final = (
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

SHORTEST_NAME: Final = 12
LONGEST_NAME: Final = 48
SHORTEST_STATUS: Final = 10
_ROOM_FOR_MARK: Final = 2
"""Without a status, a mark before the name tells of a failure, and of old numbers."""

_WIDTHS: Final = {"mark": 1, "worst": 4, "percent": 4, "bar": format.BAR_CELLS, "reset": 8}


@dataclass(frozen=True, slots=True)
class Wishes:
    """The cells that the rows would like: for the longest name, for their numbers, and for a status.

    `statuses` are the widths of the Status column from its fullest words to its fewest.
    """

    name: int
    statuses: tuple[int, ...] = (SHORTEST_STATUS,)
    number: int = 2


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that are shown, with their widths in cells, in a line of `room` cells."""

    widths: Mapping[str, int]
    room: int

    def __contains__(self, column: str) -> bool:
        return column in self.widths

    def line(self, shown: Mapping[str, Line]) -> Line:
        """One line of the table from its cells, each of which is as wide as its column."""
        wide = "number" in self.widths
        between = Span(" | " if wide else " ", Style.DIM)
        spans = [Span(" ")] if wide else []
        for place, column in enumerate(self.widths):
            spans += [between] if place else []
            spans += shown[column]
        return fitted(tuple(span for span in spans if span.text), self.room)


def columns(room: int, wishes: Wishes) -> Columns:
    """The fullest table that `room` cells hold: a status says less, then a name is cut, then a column goes."""
    least_name = min(wishes.name, SHORTEST_NAME)
    least_status = max(SHORTEST_STATUS, min(wishes.statuses))
    choice = next(
        (
            c
            for c in CHOICES
            if _spare(c, room, wishes) >= least_name + least_status * ("status" in c)
        ),
        CHOICES[-1],
    )
    spare = _spare(choice, room, wishes)
    status = _status_width(spare, wishes) if "status" in choice else 0
    wish = wishes.name if status else wishes.name + _ROOM_FOR_MARK
    name = max(min(wish, LONGEST_NAME, max(spare - status, least_name)), 1)
    flexible = {"number": wishes.number, "name": name, "status": max(spare - name, 1)}
    return Columns({c: flexible.get(c) or _width(c) for c in choice}, room)


def _status_width(spare: int, wishes: Wishes) -> int:
    """The fullest status that leaves the names whole; else the shortest one, and the names are cut."""
    whole = spare - min(wishes.name, LONGEST_NAME)
    fitting = [width for width in wishes.statuses if width <= whole]
    return fitting[0] if fitting else min(wishes.statuses)


def _spare(choice: tuple[str, ...], room: int, wishes: Wishes) -> int:
    """What a choice leaves for the name and the status together."""
    between = len(choice) - 1
    if "number" in choice:
        between = 1 + 3 * between + wishes.number
    return room - between - sum(map(_width, choice))


def _width(column: str) -> int:
    """Cells of a column; 0 where they depend on the rows."""
    return _WIDTHS.get(column.split()[-1], 0)

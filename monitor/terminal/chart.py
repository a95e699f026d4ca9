"""Draws a window's past: a sparkline, and a chart in braille or plain characters with resets and a forecast. Pure.

A chart has one column of dots for each slice of time, two in a cell of braille. Each shows the lowest and the highest
level in its slice. A level lasts until the next sample, unless that is far away or the window was reset meanwhile.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, time, timedelta, tzinfo
from typing import Final

from monitor.core.profiles import Sample, Slice, slices
from monitor.terminal.text import Line, Span, Style, join, utilization_style

LEAST_CELLS: Final = 40
"""A chart is never narrower, its labels included."""

_BLOCKS: Final = "▁▂▃▄▅▆▇█"

_BRAILLE: Final = 0x2800
_DOTS: Final = ((0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08))
"""The bits of the left and the right column of dots in a cell, from below."""

_LABEL_CELLS: Final = 6
_DAY: Final = timedelta(days=1)
_STEPS: Final = tuple(
    timedelta(hours=hours) for hours in (1, 2, 3, 6, 12, 24, 48, 72, 96, 168, 336, 720, 1440, 2160)
)

Expected = Callable[[datetime], tuple[float, float, float]]
"""The level (a ratio) at an instant ahead: with 90 %, 50 % and 10 % probability it is at least that high."""


def sparkline(samples: Sequence[Sample], since: datetime, until: datetime, cells: int) -> str:
    """Draw one character for each slice of time, as high as the highest level in it; a space where none is known."""
    found = slices(samples, since, (until - since) / max(cells, 1), cells, until)
    return spark([None if one is None else one.high for one in found])


def spark(levels: Iterable[float | None]) -> str:
    """Draw one character for each level (a ratio); a space for None."""
    return "".join(
        " " if level is None else _BLOCKS[-1 if level >= 1 else int(max(level, 0) * 7)]
        for level in levels
    )


def chart(
    samples: Sequence[Sample],
    since: datetime,
    now: datetime,
    size: tuple[int, int],
    *,
    ahead: tuple[datetime, Expected] | None = None,
    ascii: bool = False,
    tz: tzinfo | None = None,
) -> list[Line]:
    """Draw at most `size` (cells, lines), two lines of which are the axis of time; clock times are those of `tz`.

    The highest line is 100 %, or more where more was used. What is ahead, until an instant, is a band from the level
    that is reached with 90 % probability to that of 10 %; the darker line in it is as likely as not. With `ascii`, the
    past is drawn without braille, and of all the rest `text.ASCII` has a plain character.
    """
    width, rows = max(size[0], LEAST_CELLS) - _LABEL_CELLS, max(size[1] - 2, 2)
    rows -= int(rows > 2 and rows % 2 == 0)  # one of them is the middle
    until = max(now, ahead[0]) if ahead else now
    per_cell = max((until - since) / width, timedelta(seconds=1))
    dots = 1 if ascii else 2
    columns = slices(samples, since, per_cell / dots, width * dots, now)
    top = max(1.0, *(one.high for one in columns if one), 0.0)
    cells = _draw_past(columns, rows, top, ascii=ascii)
    resets = {index // dots for index, one in enumerate(columns) if one and one.is_reset}
    if len(resets) > width // 4:  # so many would hide the levels
        resets = set()
    for cells_of_row in cells:
        for column in resets:
            cells_of_row[column] = cells_of_row[column] or Span("╎", Style.DIM)
    if ahead is not None:
        places = range(min(int((now - since) / per_cell) + 1, width), width)
        for column in places:
            low, likely, high = ahead[1](since + per_cell * (column + 0.5))
            for row in range(rows):
                bottom, above = top * (rows - row - 1) / rows, top * (rows - row) / rows
                if bottom <= likely < above or (row == 0 and likely >= above):
                    cells[row][column] = Span("▓", Style.NOTICE)
                elif low < above and high >= bottom:
                    cells[row][column] = Span("░", Style.NOTICE)
    labels = {0: top, rows - 1: 0.0}
    if rows >= 5:
        labels[rows // 2] = top * (rows - 1 - rows // 2) / (rows - 1)
    lines = []
    for row, line in enumerate(cells):
        label = f"{round(labels[row] * 100)}%┤" if row in labels else "│"
        lines.append(join((_label(label), *(one or Span(" ") for one in line))))
    return [*lines, *_axis(since, until, now, width, resets, tz)]


def _draw_past(
    columns: Sequence[Slice | None], rows: int, top: float, *, ascii: bool
) -> list[list[Span | None]]:
    """Draw a cell for each row, from above, and column, coloured by its level."""
    dots, heights = (1, rows) if ascii else (2, rows * 4)
    bits = [[0] * (len(columns) // dots) for _ in range(rows)]
    before: float | None = None
    for index, column in enumerate(columns):
        if column is None:
            before = None
            continue
        rises = before is not None and before < column.low and not column.is_reset
        low, high = (
            min(int(max(level, 0.0) / top * (heights - 1) + 0.5), heights - 1)
            for level in (before if rises and before is not None else column.low, column.high)
        )
        for height in range(low, high + 1):
            row, dot = (height, 0) if ascii else divmod(height, 4)
            bits[rows - 1 - row][index // dots] |= 1 if ascii else _DOTS[index % 2][dot]
        before = column.last
    return [
        [
            Span(
                "*" if ascii else chr(_BRAILLE + bit),
                utilization_style((rows - row - 0.5) / rows * top),
            )
            if bit
            else None
            for bit in line
        ]
        for row, line in enumerate(bits)
    ]


def _label(text: str) -> Span:
    return Span(f"{text:>{_LABEL_CELLS}}", Style.DIM)


def _axis(
    since: datetime,
    until: datetime,
    now: datetime,
    width: int,
    resets: set[int],
    tz: tzinfo | None,
) -> Iterator[Line]:
    """Draw the line of time, with the resets and now; below it, times that do not touch each other."""
    line = ["▲" if column in resets else "─" for column in range(width)]
    per_cell = (until - since) / width
    line[min(int((now - since) / per_cell), width - 1)] = "●"
    yield join((_label("└"), Span("".join(line), Style.DIM)))
    step = next((one for one in _STEPS if one / per_cell >= 9), _STEPS[-1])
    labels = [" "] * (_LABEL_CELLS + width)
    free = 0
    for at in _ticks(since, until, step, tz):
        local = at.astimezone(tz)
        text = f"{local:%a} {local.day}"
        if step > timedelta(days=2):
            text = f"{local.day} {local:%b}"
        elif step < _DAY and (local.hour or local.minute):
            text = f"{local:%H:%M}"
        place = _LABEL_CELLS + int((at - since) / per_cell + 0.001)
        if place >= free and place + len(text) <= len(labels):
            labels[place : place + len(text)] = text
            free = place + len(text) + 1
    yield (Span("".join(labels).rstrip(), Style.DIM),)


def _ticks(
    since: datetime, until: datetime, step: timedelta, tz: tzinfo | None
) -> Iterator[datetime]:
    """Return instants at whole steps of the local day, or at midnights that are steps apart."""
    day = since.astimezone(tz).date()
    days = max(step // _DAY, 1)
    while True:
        midnight = datetime.combine(day, time()).replace(tzinfo=tz).astimezone(since.tzinfo)
        if midnight > until:
            return
        for at in (midnight + step * part for part in range(max(_DAY // step, 1))):
            if since <= at <= until:
                yield at
        day += timedelta(days=days)

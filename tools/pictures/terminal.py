"""Screens of a terminal as SVG: one screen as a picture, or several as a film. Reads what pyte has understood.

A film keeps each different line once and shows it in every frame that has it, so that a minute of a table whose
seconds tick stays small. Its frames are switched by CSS, which plays where a page shows the file as an image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from xml.sax.saxutils import escape

import pyte

CELL_WIDTH: Final = 8.4
LINE_HEIGHT: Final = 18
FONT_SIZE: Final = 14
MARGIN: Final = 10
FONT: Final = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours of a terminal; `named` are those that pyte calls by name."""

    background: str
    foreground: str
    named: Mapping[str, str]


DARK: Final = Theme(
    "#16181d",
    "#d7dae0",
    {
        "black": "#3b3f4a", "red": "#f0716b", "green": "#7fc97f", "brown": "#e0b050", "blue": "#6aa8f0",
        "magenta": "#c58af0", "cyan": "#56c2c9", "white": "#d7dae0",
    },
)  # fmt: skip
LIGHT: Final = Theme(
    "#ffffff",
    "#24292f",
    {
        "black": "#24292f", "red": "#b3261e", "green": "#1a7f37", "brown": "#8a5a00", "blue": "#0550ae",
        "magenta": "#7a3cab", "cyan": "#0b6e75", "white": "#6e7781",
    },
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring cells of one look, from a column on. Colours are `#rrggbb`; None is the terminal's own."""

    column: int
    text: str
    cells: int
    foreground: str | None
    background: str | None
    bold: bool


Row = tuple[Run, ...]
Shot = tuple[Row, ...]


def shot(display: pyte.Screen, theme: Theme) -> Shot:
    """What the terminal shows now; blank ends of lines are left out."""
    return tuple(
        _row([display.buffer[y][x] for x in range(display.columns)], theme)
        for y in range(display.lines)
    )


def _row(cells: Sequence[Any], theme: Theme) -> Row:
    runs: list[Run] = []
    for column, cell in enumerate(cells):
        foreground, background = _colour(cell.fg, theme), _colour(cell.bg, theme)
        if cell.reverse:
            foreground, background = background or theme.background, foreground or theme.foreground
        look = foreground, background, bool(cell.bold)
        last = runs[-1] if runs else None
        if last and (last.foreground, last.background, last.bold) == look:
            runs[-1] = Run(last.column, last.text + cell.data, last.cells + 1, *look)
        else:
            runs.append(Run(column, cell.data, 1, *look))
    while runs and not runs[-1].text.strip() and runs[-1].background is None:
        runs.pop()
    return tuple(runs)


def _colour(name: str, theme: Theme) -> str | None:
    if name == "default":
        return None
    plain = name.removeprefix("bright")
    return theme.named.get(plain) or f"#{name}"


def draw_screen(taken: Shot, width: int, theme: Theme) -> str:
    """One screen of so many columns as an SVG document."""
    lines = (
        f'<g transform="translate(0 {y * LINE_HEIGHT})">{_line(row)}</g>'
        for y, row in enumerate(taken)
        if row
    )
    return _document(width, len(taken), theme, "", "".join(lines))


def draw_film(shots: Sequence[tuple[float, Shot]], ends: float, width: int, theme: Theme) -> str:
    """The screens, each from its second on until the next, over and over; the last one until `ends`."""
    names: dict[Row, str] = {}
    frames, rules = [], []
    for number, (begins, taken) in enumerate(shots):
        until = shots[number + 1][0] if number + 1 < len(shots) else ends
        uses = [
            f'<use href="#{names.setdefault(row, f"r{len(names)}")}" y="{y * LINE_HEIGHT}"/>'
            for y, row in enumerate(taken)
            if row
        ]
        frames.append(f'<g class="f" id="f{number}">{"".join(uses)}</g>')
        shown, gone = 100 * begins / ends, 100 * until / ends
        before = "" if number == 0 else "0%{visibility:hidden}"
        after = "" if until >= ends else f"{gone:.3f}%{{visibility:hidden}}"
        rules.append(
            f"#f{number}{{animation-name:k{number}}}"
            f"@keyframes k{number}{{{before}{shown:.3f}%{{visibility:visible}}{after}}}"
        )
    style = f".f{{visibility:hidden;animation:{ends:g}s step-end infinite}}{''.join(rules)}"
    defined = "".join(f'<g id="{name}">{_line(row)}</g>' for row, name in names.items())
    return _document(
        width, len(shots[0][1]), theme, style, f"<defs>{defined}</defs>{''.join(frames)}"
    )


def _line(row: Row) -> str:
    parts = []
    for run in row:
        x = run.column * CELL_WIDTH
        if run.background is not None:
            parts.append(
                f'<rect x="{x:.1f}" width="{run.cells * CELL_WIDTH:.1f}" height="{LINE_HEIGHT}"'
                f' fill="{run.background}"/>'
            )
        if text := run.text.strip():
            x += (len(run.text) - len(run.text.lstrip())) * CELL_WIDTH
            cells = run.cells - len(run.text) + len(text)  # blanks are one cell wide
            fill = f' fill="{run.foreground}"' if run.foreground else ""
            bold = ' font-weight="bold"' if run.bold else ""
            parts.append(
                f'<text x="{x:.1f}" y="{FONT_SIZE}" textLength="{cells * CELL_WIDTH:.1f}"{fill}{bold}>'
                f"{escape(text)}</text>"
            )
    return "".join(parts)


def _document(columns: int, lines: int, theme: Theme, style: str, content: str) -> str:
    width = columns * CELL_WIDTH + 2 * MARGIN
    height = lines * LINE_HEIGHT + 2 * MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}"'
        f' viewBox="0 0 {width:.0f} {height}" font-family="{FONT}" font-size="{FONT_SIZE}"'
        f' fill="{theme.foreground}"><style>text{{white-space:pre}}{style}</style>'
        f'<rect width="100%" height="100%" rx="6" fill="{theme.background}"/>'
        f'<g transform="translate({MARGIN} {MARGIN})">{content}</g></svg>\n'
    )

"""What the keys do, as a page and as the bar at the bottom. Pure."""

from typing import Final

from monitor.terminal import widths
from monitor.terminal.style import Line, Span, Style, line_width

PAGE: Final = (
    ("j k ↓ ↑", "move; also g G, Home End, PgUp PgDn"),
    ("Space", "details of the selected account"),
    ("r", "refresh all accounts"),
    ("R", "refresh the selected account"),
    ("s  Enter", "mark it as the active account (*)"),
    ("i", "import all logins of Claude Code found here"),
    ("a", "add an account by its session key"),
    ("e", "edit the account"),
    ("d  x", "delete the account"),
    ("m", "mute alerts for an hour, or tell them again"),
    ("Ctrl+L", "draw the screen anew"),
    ("?", "this page"),
    ("Esc", "close what is open"),
    ("q  Ctrl+C", "quit; Ctrl+Z puts it aside until fg"),
    ("", ""),
    ("Logged In", "Claude Code would use this account now"),
    ("Live", "fetched within the last 2 minutes"),
    ("~0%", "reset as expected, not yet confirmed"),
    ("--", "no such limit, or nothing known yet"),
)
KEY_CELLS: Final = 11

TABLE_KEYS: Final = (
    ("j/k", "move", 3),
    ("Space", "details", 4),
    ("r", "refresh", 5),
    ("R", "one", 1),
    ("s", "mark active", 2),
    ("i", "import", 5),
    ("a", "add", 4),
    ("e", "edit", 2),
    ("d", "delete", 2),
    ("m", "mute", 0),
    ("?", "help", 8),
    ("q", "quit", 9),
)
"""Key, what it does, and how much it is missed where there is no room."""

FORM_KEYS: Final = (("Tab", "next field", 1), ("Enter", "save", 3), ("Esc", "cancel", 2))
QUESTION_KEYS: Final = (("y", "delete", 2), ("n", "keep", 1))
HELP_KEYS: Final = (("Space", "more", 1), ("q", "close", 2))
EMPTY_KEYS: Final = (("i", "import", 2), ("a", "add", 1), ("?", "help", 3), ("q", "quit", 4))


def help_lines(width: int | None = None) -> list[Line]:
    """The page of all keys and words, wrapped where a width is given."""
    return [part for key, meaning in PAGE for part in _help(key, meaning, width)]


def _help(key: str, meaning: str, width: int | None) -> list[Line]:
    label = Span(widths.pad(f" {key}", KEY_CELLS + 1), Style.KEY, bold=True)
    line = (label, Span(f" {meaning} "))
    if width is None or line_width(line) <= width:
        return [line]
    first, *rest = widths.wrap(f"{key}  {meaning}", width - 1)
    return [(Span(f" {first}"),), *((Span(f" {part}"),) for part in rest)]


def key_bar(keys: tuple[tuple[str, str, int], ...], width: int) -> Line:
    """As many of the keys as the width holds, those that are missed least left out first."""
    kept = list(keys)
    while kept and line_width(_bar(kept)) > width:
        kept.remove(min(kept, key=lambda entry: entry[2]))
    return _bar(kept)


def _bar(keys: list[tuple[str, str, int]]) -> Line:
    spans: list[Span] = []
    for key, meaning, _ in keys:
        spans.append(Span(f"  {key}" if spans else f" {key}", Style.KEY, bold=True))
        spans.append(Span(f" {meaning}", Style.DIM))
    return tuple(spans)

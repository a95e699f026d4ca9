"""The checks of the terminal: its size and colours, and whether it can show more than ASCII."""

import locale
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from monitor.doctor.check import Check, Question

TERMINAL: Final = Question("terminal", "the table is drawn there")
LOCALE: Final = Question("locale", "bars, marks and names are UTF-8, and others would look broken")

LEAST: Final = (40, 8)
"""Columns and lines below which the table leaves much out."""


@dataclass(frozen=True, slots=True)
class ScreenFacts:
    """`size` is columns and lines, None where standard output is no terminal."""

    size: tuple[int, int] | None
    encoding: str


def screen_facts() -> ScreenFacts:
    """What this process has for a terminal."""
    try:
        size = os.get_terminal_size(sys.stdout.fileno()) if sys.stdout.isatty() else None
    except (OSError, ValueError):
        size = None
    return ScreenFacts(size and (size.columns, size.lines), locale.getencoding())


def screen_checks(facts: ScreenFacts, environ: Mapping[str, str]) -> list[Check]:
    return [_terminal(facts, environ), _locale(facts)]


def _terminal(facts: ScreenFacts, environ: Mapping[str, str]) -> Check:
    term = environ.get("TERM", "")
    if facts.size is None:
        return TERMINAL.skip("standard output is no terminal")
    if term in ("", "dumb"):
        found = f"$TERM is {term or 'empty'}: there is no table, only plain lines"
        return TERMINAL.warn(found, "`export TERM=xterm-256color`, if it is such a terminal")
    columns, lines = facts.size
    found = f"{columns} columns, {lines} lines, {_colours(term, environ)}"
    if columns < LEAST[0] or lines < LEAST[1]:
        return TERMINAL.warn(found, "make it larger: the table leaves much out")
    return TERMINAL.ok(found)


def _colours(term: str, environ: Mapping[str, str]) -> str:
    if environ.get("NO_COLOR"):
        return "no colours ($NO_COLOR)"
    if environ.get("COLORTERM") in ("truecolor", "24bit"):
        return "all colours"
    return "256 colours" if "256" in term else "few colours"


def _locale(facts: ScreenFacts) -> Check:
    if facts.encoding.lower().replace("-", "").replace("_", "") == "utf8":
        return LOCALE.ok("UTF-8")
    return LOCALE.warn(
        f"{facts.encoding}, not UTF-8", "`export LC_ALL=C.UTF-8`, or any UTF-8 locale"
    )

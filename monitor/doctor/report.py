"""Checks as a page for people, at any width, and as one JSON document. Pure."""

import json
import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from monitor.doctor.check import Check, Outcome

_INDENT: Final = 6
_KEPT_SPACE: Final = "\0"
"""Within a command, while lines are broken."""

_LEAST_COLUMNS: Final = 20
_SGR: Final = {Outcome.OK: "32", Outcome.WARN: "33", Outcome.FAIL: "1;31", Outcome.SKIP: "2"}
_COUNTED: Final = {
    Outcome.OK: ("ok", "ok"),
    Outcome.WARN: ("warning", "warnings"),
    Outcome.FAIL: ("failure", "failures"),
    Outcome.SKIP: ("skipped", "skipped"),
}


def exit_code(checks: Sequence[Check]) -> int:
    return int(any(check.outcome is Outcome.FAIL for check in checks))


def render_document(checks: Sequence[Check], version: str) -> str:
    """One JSON document on lines of its own."""
    document = {"version": version, "checks": [_entry(check) for check in checks]}
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _entry(check: Check) -> dict[str, str | None]:
    return {
        "check": check.name,
        "outcome": str(check.outcome),
        "found": check.found,
        "why": check.why,
        "fix": check.fix,
    }


def render_text(checks: Sequence[Check], columns: int, *, colours: bool = False) -> str:
    """One paragraph for each check, and a last line that counts. A command is not broken, to be copied whole."""
    width = max(columns, _LEAST_COLUMNS)
    lines = [line for check in checks for line in _paragraph(check, width, colours)]
    return "\n".join([*lines, "", *textwrap.wrap(_counts(checks), width)]) + "\n"


def _paragraph(check: Check, width: int, colours: bool) -> Iterator[str]:
    first, *rest = _wrapped(f"{check.name}: {check.found}", width)
    word = f"{check.outcome:<4}"
    coloured = f"\x1b[{_SGR[check.outcome]}m{word}\x1b[m" if colours else word
    yield f"{coloured}{first[len(word) :]}"
    yield from rest
    if check.outcome in (Outcome.WARN, Outcome.FAIL):
        yield from _wrapped(f"why: {check.why}", width)
        yield from _wrapped(f"fix: {check.fix}", width)


def _wrapped(text: str, width: int) -> list[str]:
    margin = " " * _INDENT
    whole = re.sub(r"`[^`]*`", lambda found: found[0].replace(" ", _KEPT_SPACE), text)
    lines = textwrap.wrap(
        whole,
        width,
        initial_indent=margin,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(_KEPT_SPACE, " ") for line in lines]


def _counts(checks: Sequence[Check]) -> str:
    counts = Counter(check.outcome for check in checks)
    words = (f"{n} {_COUNTED[o][n != 1]}" for o in Outcome if (n := counts[o]))
    return f"{len(checks)} checks: {', '.join(words)}"

"""What a person reads is plain English: the words that made it sound translated stay out of strings and pages."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    str(path.relative_to(ROOT))
    for package in ("monitor", "exporters")
    for path in (ROOT / package).rglob("*.py")
)
PAGES = [
    "README.md",
    "CHANGELOG.md",
    *(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")),
]
STALE = re.compile(
    r"\b(?:told|tells?|spoke|speaks|mends?|anew|nobody|whom|by itself|some \d+|to be had"
    r"|(?:is|are) asked|known already"
    r"|holds(?! up)|samples hold|reads along|troubles of|takes over when|cannot take over(?! polling)"
    r"|which polls|polls once|all goes on|to the minute|less is known|does not climb|expect 429"
    r"|serves .* and notifies)\b",
    re.IGNORECASE,
)
"""Say sent, fires, fixes, again, nothing, automatically, about 28, available, is polled, already added.

A token is valid, an answer contains usage, a host has problems, a clock is OK, a monitor stands by or is attached.
"""


def strings(source: str) -> Iterator[tuple[int, str]]:
    """The string literals of a module with their lines, without docstrings."""
    tree = ast.parse(source)
    alone = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.lineno, node.value


@pytest.mark.parametrize("path", SOURCES)
def test_no_string_says_it_in_a_stale_word(path: str) -> None:
    source = (ROOT / path).read_text(encoding="utf-8")
    assert [
        (line, text) for line, text in strings(source) if " " in text and STALE.search(text)
    ] == []


@pytest.mark.parametrize("path", PAGES)
def test_no_page_says_it_in_a_stale_word(path: str) -> None:
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if STALE.search(line)] == []

"""The page and the document that checks become."""

import json
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.doctor import Check, Outcome, exit_code, render_document, render_text

CHECKS = [
    Check("settings", Outcome.OK, "~/.config/claude-tracker/config.toml: 3 accounts", "accounts"),
    Check(
        "login",
        Outcome.WARN,
        "~/.claude-work: the token expired 3h ago, at 2026-11-22 09:00 UTC; the login holds until 2026-12-12",
        "tokens live some 8 hours, and only Claude Code itself renews those of its logins",
        "`CLAUDE_CONFIG_DIR=~/.claude-work claude`: it renews the token when it starts",
    ),
    Check(
        "port",
        Outcome.FAIL,
        "another program has 127.0.0.1:15707",
        "Prometheus and the landing page find the figures there",
        "`ss -ltnp 'sport = :15707'` says which; another port in the settings, "
        'exporter.listen = "127.0.0.1:15708", or "off"',
    ),
    Check("clock", Outcome.SKIP, "nobody told the time", "countdowns"),
]


@pytest.mark.parametrize("columns", [80, 40])
def test_the_page_at_a_width(columns: int, golden: Callable[[str, str], None]) -> None:
    golden(f"doctor_{columns}.txt", render_text(CHECKS, columns))


def test_colours_are_all_that_colours_add() -> None:
    coloured = render_text(CHECKS, 80, colours=True)
    assert coloured != (plain := render_text(CHECKS, 80))
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain
    assert "\x1b" not in plain


def test_the_document_has_every_check_with_what_mends_it() -> None:
    document = json.loads(render_document(CHECKS, "1.2.3"))
    assert document["version"] == "1.2.3"
    assert [list(entry) for entry in document["checks"]] == 4 * [
        ["check", "outcome", "found", "why", "fix"]
    ]
    assert [entry["outcome"] for entry in document["checks"]] == ["ok", "warn", "fail", "skip"]
    assert document["checks"][0]["fix"] is None


@pytest.mark.parametrize("places, code", [([0, 3], 0), ([0, 1, 3], 0), ([0, 2], 1), ([], 0)])
def test_only_a_failure_is_one(places: list[int], code: int) -> None:
    assert exit_code([CHECKS[place] for place in places]) == code


WORDS = st.lists(st.text("abc ", min_size=1, max_size=12), max_size=12).map(" ".join)


@given(st.lists(st.builds(Check, st.just("x"), st.sampled_from(Outcome), WORDS, WORDS, WORDS)),
       st.integers(1, 120))  # fmt: skip
def test_no_line_is_wider_than_the_screen(checks: list[Check], columns: int) -> None:
    page = render_text(checks, columns)
    assert max(map(len, page.split("\n"))) <= max(columns, 20)

"""The table as plain text, and where the live one can be shown."""

from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.state import State
from monitor.terminal import widths
from monitor.terminal.plain import interactive, render_plain
from tests.builders import NOW
from tests.terminal import hostile_texts
from tests.terminal.factories import STATES


def test_the_plain_table_has_no_selection_and_no_space_at_the_end_of_lines() -> None:
    assert render_plain(STATES["three"](NOW), NOW, 100, UTC).splitlines() == [
        " #  | Name                | 5h % | 5h Bar     | 5h Reset | 7d % | 7d Bar     | 7d Reset | Status",
        "  1 | user@personal.com * |  42% | ████░░░░░░ | 2h 14m   |  18% | ██░░░░░░░░ | 6d 23h   | Logged In",
        "  2 | user@work.com       |  87% | █████████░ | 38m 00s  |  65% | ███████░░░ | 4d 11h   | Live",
        "  3 | user@client.com     | 100% | ██████████ | 12m 00s  |  91% | █████████░ | 2d 06h   | Live",
    ]


def test_without_accounts_it_says_how_to_get_one() -> None:
    text = render_plain(State(), NOW, 100)
    assert text.startswith(
        "No account yet: log in with `claude`, then run `monitor accounts import"
    )
    assert "Press" not in text  # there are no keys here


@given(hostile_texts.states, st.integers(1, 300))
def test_no_plain_line_is_too_wide_or_holds_a_control(state: State, width: int) -> None:
    text = render_plain(state, NOW, width, UTC)
    lines = text.splitlines()
    assert len(lines) == max(len(state.accounts) + 1, 1) if state.accounts else len(lines) == 1
    assert "\x1b" not in text
    if state.accounts:
        assert all(widths.width(line) <= width for line in lines)


@pytest.mark.parametrize(
    ("term", "stdin", "stdout", "live"),
    [
        ("xterm-256color", True, True, True),
        ("linux", True, True, True),
        ("dumb", True, True, False),
        ("", True, True, False),
        ("xterm", False, True, False),
        ("xterm", True, False, False),
    ],
)
def test_the_live_table_needs_a_terminal_that_moves_its_cursor(
    term: str, stdin: bool, stdout: bool, live: bool
) -> None:
    assert interactive({"TERM": term}, stdin, stdout) is live


def test_an_unset_term_is_no_terminal_and_no_color_is_one() -> None:
    assert not interactive({}, True, True)
    assert interactive({"TERM": "xterm", "NO_COLOR": "1"}, True, True)

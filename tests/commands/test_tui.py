"""`monitor tui`: where the live table can be shown."""

import pytest

from monitor.commands.tui import is_interactive


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
    assert is_interactive({"TERM": term}, stdin, stdout) is live


def test_an_unset_term_is_no_terminal_and_no_color_is_one() -> None:
    assert not is_interactive({}, True, True)
    assert is_interactive({"TERM": "xterm", "NO_COLOR": "1"}, True, True)

"""What is said of the terminal and its locale."""

import pytest

from monitor.doctor.channels import ScreenFacts, screen_checks
from monitor.doctor.report import Outcome

OK, WARN, FAIL, SKIP = Outcome


@pytest.mark.parametrize(
    "size, environ, outcome, words",
    [
        (None, {}, SKIP, "not a terminal"),
        ((80, 24), {"TERM": "dumb"}, WARN, "$TERM is dumb"),
        ((80, 24), {}, WARN, "$TERM is empty"),
        ((30, 24), {"TERM": "xterm"}, WARN, "30 columns, 24 lines, few colours"),
        ((80, 24), {"TERM": "xterm-256color"}, OK, "256 colours"),
        ((80, 24), {"TERM": "xterm", "COLORTERM": "truecolor"}, OK, "all colours"),
        ((80, 24), {"TERM": "xterm", "NO_COLOR": "1"}, OK, "no colours"),
    ],
)
def test_what_is_said_of_a_terminal(
    size: tuple[int, int] | None, environ: dict[str, str], outcome: Outcome, words: str
) -> None:
    terminal, _ = screen_checks(ScreenFacts(size, "UTF-8"), environ)
    assert (terminal.outcome, words in terminal.found) == (outcome, True)


@pytest.mark.parametrize(
    "encoding, outcome",
    [("UTF-8", OK), ("utf8", OK), ("ISO-8859-1", WARN), ("ANSI_X3.4-1968", WARN)],
)
def test_a_locale_that_is_not_utf8_is_a_warning(encoding: str, outcome: Outcome) -> None:
    _, locale = screen_checks(ScreenFacts(None, encoding), {})
    assert locale.outcome is outcome

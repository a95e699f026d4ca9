"""What the log of `monitor serve` says of an account."""

from dataclasses import replace
from datetime import UTC

import pytest

from monitor.commands.serve import health_words
from monitor.core.errors import Failure, Reason
from monitor.core.model import Down
from tests.builders import NOW, after, live, waiting


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(-1, "kept figures of 11:59"), (-60 * 24, "kept figures of Sat 12:00"), (0.1, "polled")],
)
def test_figures_from_before_the_start_were_not_polled(minutes: float, words: str) -> None:
    account = replace(live("a"), last_success_at=after(minutes=minutes))
    assert health_words(account, NOW, UTC) == words


def test_a_failure_is_told_whoever_met_it() -> None:
    down = replace(
        live("a"), down=Down(NOW, Failure(Reason.TIMEOUT, detail="no answer within 10 s"))
    )
    assert health_words(down, NOW, UTC) == "timeout: no answer within 10 s"
    assert health_words(waiting("a"), NOW, UTC) == ""

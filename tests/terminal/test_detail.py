"""The facts of one account."""

from dataclasses import replace
from datetime import UTC, timedelta

import pytest

from monitor.core.model import Usage, Window
from monitor.core.policy import Policy
from monitor.terminal.detail import detail_lines
from monitor.terminal.text import Style, plain
from tests.builders import NOW
from tests.terminal.factories import account, state_of


@pytest.mark.parametrize(
    ("every", "ago", "text", "style"),
    [
        (180, (), "0 of some 28 in the last hour", Style.PLAIN),
        (180, (1, 59, 60, 61), "2 of some 28 in the last hour", Style.PLAIN),
        (180, range(40), "40 of some 28 in the last hour", Style.PLAIN),
        (
            120,
            (1, 3),
            "2 of some 28 in the last hour; every 120 s is 30: expect 429",
            Style.NOTICE,
        ),
        (5, (1, 3), "2 of some 28 in the last hour", Style.PLAIN),  # of the demo
        (30, (), "0 of some 28 in the last hour; every 30 s is 120: expect 429", Style.NOTICE),
    ],
)
def test_the_requests_of_the_hour_stand_beside_what_the_api_allows(
    every: int, ago: tuple[int, ...], text: str, style: Style
) -> None:
    requests = tuple(NOW - timedelta(minutes=minutes) for minutes in sorted(ago, reverse=True))
    shown = account(NOW, "user@work.com", requests=requests)
    state = state_of(shown, policy=Policy(timedelta(seconds=every)))
    lines = detail_lines(state, shown, NOW, 100, UTC)
    line = next(line for line in lines if plain(line).startswith(" Requests"))
    assert plain(line).removeprefix(" Requests").strip() == text
    assert line[-1].style is style


def test_what_an_answer_held_and_could_not_be_read_is_named() -> None:
    seen = Usage(NOW, (Window("5h", 0.97),), left_out=("7d: utilization is no number",))
    shown = replace(account(NOW, "user@work.com"), usage=seen)
    lines = [plain(line) for line in detail_lines(state_of(shown), shown, NOW, 100, UTC)]
    assert any(
        "Not understood" in line and "7d: utilization is no number" in line for line in lines
    )
    assert any("5h limit" in line and "reset not known" in line for line in lines)

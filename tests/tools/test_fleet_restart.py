from datetime import datetime, timedelta
from pathlib import Path

import pytest

from monitor.core.alerts.rules import AlertKind, Rule, RuleBook
from monitor.core.events import Event, PollSucceeded, Ticked
from monitor.core.model import Usage, Window
from monitor.core.state import Policy
from tests.builders import after
from tools.kill.restarts import END, Process, sample


async def test_that_all_are_full_is_not_told_again_after_a_restart(tmp_path: Path) -> None:
    process = Process(tmp_path, after())
    full = sample("a", 0, 100), sample("b", 0, 100)
    assert process.lives_through(*full) == ["exhausted"]
    await process.dies()
    again = Process(tmp_path, after(minutes=2))
    polls = sample("a", 3, 100), sample("b", 3, 100)
    assert again.lives_through(Ticked(after(minutes=2)), *polls) == []


@pytest.mark.parametrize("minute", [2, 170])
async def test_that_one_is_free_again_is_told_across_a_restart(tmp_path: Path, minute: int) -> None:
    process = Process(tmp_path, after())
    process.lives_through(sample("a", 0, 100), sample("b", 0, 100))
    await process.dies()
    again = Process(tmp_path, after(minutes=minute))
    again.lives_through(Ticked(after(minutes=minute)))
    told = again.lives_through(sample("a", 181, 3, after(hours=8)), sample("b", 181, 100, END))
    assert "a free" in told


async def test_that_one_is_free_again_is_not_told_again_after_a_restart(tmp_path: Path) -> None:
    process = Process(tmp_path, after())
    full = sample("a", 0, 100), sample("b", 0, 100)
    assert process.lives_through(*full, sample("a", 3, 99)) == ["exhausted", "a free"]
    await process.dies()
    again = Process(tmp_path, after(minutes=4))
    assert again.lives_through(sample("a", 6, 100), sample("a", 9, 99)) == []


def week(account: str, minute: float, percent: float, end: datetime) -> PollSucceeded:
    at = after(minutes=minute)
    usage = Usage(at, (Window("7d", percent / 100, end),))
    return PollSucceeded(at, account, usage, timedelta(seconds=1))


@pytest.mark.parametrize("is_killed", [True, False])
async def test_what_expired_of_weeks_is_told_together_and_once_whenever_the_program_dies(
    tmp_path: Path, is_killed: bool
) -> None:
    ends, following = after(hours=8), after(hours=8, days=7)
    events: list[Event] = [
        week("a", 0, 62, ends),
        week("b", 1, 10, ends),
        week("a", 600, 0, following),
        Ticked(after(minutes=601)),
        week("b", 602, 0, following),
        *(Ticked(after(minutes=minute)) for minute in range(603, 640, 3)),
    ]
    policy = Policy(alerts=RuleBook(rules={AlertKind.WEEK_EXPIRED: Rule()}))
    process = Process(tmp_path, after(), policy=policy)
    told: list[tuple[datetime, str]] = []
    for event in events:
        told += [(event.at, alert) for alert in process.lives_through(event)]
        if is_killed:
            await process.dies()
            process = Process(tmp_path, event.at, policy=policy)
    minute_of_both = after(minutes=612)
    assert told == [(minute_of_both, "a week_expired"), (minute_of_both, "b week_expired")]

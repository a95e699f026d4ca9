"""Stored samples through the rules: what would have been told, and when."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.alerts.explain import replay
from monitor.core.alerts.machine import observe
from monitor.core.alerts.rules import Alert, AlertKind, Rule, RuleBook, WindowMemory
from monitor.core.model import Usage, Window
from tests.builders import NOW, after, usage, window

END = timedelta(hours=3)


def sample(account: str, minute: float, percent: float, end: timedelta = END) -> tuple[str, Usage]:
    return account, usage(window("5h", percent, end), at=after(minutes=minute))


def told(*samples: tuple[str, Usage], rules: RuleBook | None = None) -> list[str]:
    alerts = replay(samples, rules or RuleBook())
    return [f"{a.account} {a.rule}@{(a.at - NOW).total_seconds() / 60:g}" for a in alerts]


CLIMB = [sample("a", minute, 49 + minute) for minute in range(0, 51, 3)]

QUIET = RuleBook(rules={AlertKind.PACE: Rule(enabled=False)})


@pytest.mark.parametrize(
    ("samples", "rules", "alerts"),
    [
        pytest.param([], None, [], id="nothing"),
        pytest.param([sample("a", 0, 97)], None, [], id="the first sample is a baseline"),
        pytest.param(
            [sample("a", 0, 70), sample("b", 1, 99), sample("a", 3, 81), sample("b", 4, 100)],
            None,
            ["a threshold_80@3", "b threshold_100@4"],
            id="accounts are told apart",
        ),
        pytest.param(CLIMB, QUIET, ["a threshold_80@33", "a threshold_95@48"], id="a climb"),
        pytest.param(
            CLIMB,
            None,
            ["a pace@21", "a threshold_80@33", "a threshold_95@48"],
            id="a pace, once it has been so for its five minutes",
        ),
        pytest.param(
            [sample("a", 0, 85), sample("a", 182, 1, END + timedelta(hours=5))],
            None,
            ["a reset@182"],
            id="a reset",
        ),
        pytest.param(CLIMB, RuleBook(enabled=False), [], id="off"),
    ],
)
def test_what_would_have_been_told(
    samples: list[tuple[str, Usage]], rules: RuleBook | None, alerts: list[str]
) -> None:
    assert told(*samples, rules=rules) == alerts


def test_all_accounts_full_and_the_first_one_free() -> None:
    soon = timedelta(minutes=30)
    samples = [
        sample("a", 0, 90, soon),
        sample("b", 1, 99),
        sample("a", 3, 100, soon),
        sample("b", 4, 100),
        sample("a", 33, 0, soon + timedelta(hours=5)),
    ]
    assert told(*samples)[2:] == [" exhausted@4", "a reset@33", "a free@33"]


samples_of_one = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 110)), max_size=25)


@given(samples_of_one)
def test_windows_are_told_as_the_running_program_tells_them(points: list[tuple[int, int]]) -> None:
    samples = [sample("a", minute, percent) for minute, percent in points]
    memories: dict[str, WindowMemory] = {}
    live: list[Alert] = []
    for _, seen in samples:
        new, alerts = observe("a", memories, seen, QUIET)
        memories = dict(new)
        live += alerts
    assert replay(samples, QUIET) == live


@given(samples_of_one)
def test_replaying_changes_nothing_that_a_second_replay_could_see(
    points: list[tuple[int, int]],
) -> None:
    samples = [
        ("a", Usage(after(minutes=m), (Window("5h", p / 100, NOW + END),))) for m, p in points
    ]
    assert replay(samples, RuleBook()) == replay(samples, RuleBook())

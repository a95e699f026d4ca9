"""What is told of a week that has ended: once, of the right week, by a known figure, and of several together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.alerts.rules import DEFAULT_RULES, Alert, AlertKind, Override, Rule, RuleBook
from monitor.core.alerts.text import format_alert, format_alerts, headline
from monitor.core.codec import decode, encode
from monitor.core.events import AccountsLoaded, PollSucceeded, Restored, Ticked
from monitor.core.model import Account, AccountState, Usage, Window
from monitor.core.state import Policy, State
from monitor.core.update import update
from tests.builders import NOW

HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)
NEXT = WEEK
"""The end of the week after the one that ends at `NOW`."""

ON = RuleBook(rules={**DEFAULT_RULES, AlertKind.WEEK_EXPIRED: Rule()}, thresholds=())


@dataclass(frozen=True)
class Sample:
    """One poll: hours from the end of the week at `NOW`, a percentage, and the end that the server names."""

    hour: float
    percent: float
    end: timedelta | None = timedelta(0)
    account: str = "a"


class Program:
    """The state of a running program, which ticks every minute for a quarter of an hour after each sample."""

    def __init__(self, rules: RuleBook = ON, accounts: Sequence[str] = ("a",)) -> None:
        self.accounts = tuple(Account(name, org_id=f"org-{name}") for name in accounts)
        self.state = State(Policy(alerts=rules))
        self.state, _ = update(self.state, AccountsLoaded(NOW - WEEK, self.accounts))
        self.told: list[Alert] = []

    def poll(self, sample: Sample) -> None:
        at = NOW + sample.hour * HOUR
        end = None if sample.end is None else NOW + sample.end
        usage = Usage(at, (Window("7d", sample.percent / 100, end),))
        self._apply(PollSucceeded(at, sample.account, usage, timedelta(seconds=1)))

    def tick(self, at: datetime) -> None:
        self._apply(Ticked(at))

    def _apply(self, event: PollSucceeded | Ticked) -> None:
        self.state, effects = update(self.state, event)
        self.told += [e for e in effects if e.kind is AlertKind.WEEK_EXPIRED]

    def restart(self, at: datetime) -> None:
        """As after `kill -9`: what database rows hold is all that is left."""
        kept = {n: encode(AccountState, a) for n, a in self.state.accounts.items()}
        left = {name: decode(AccountState, document) for name, document in kept.items()}
        fresh, _ = update(State(self.state.policy), Restored(at, left))
        self.state, _ = update(fresh, AccountsLoaded(at, self.accounts))

    def live_through(self, samples: Sequence[Sample], restarts: bool = False) -> list[Alert]:
        for sample, following in pairwise([*samples, Sample(math.inf, 0)]):
            self.poll(sample)
            for hour in (sample.hour + minute / 60 for minute in range(1, 16)):
                if hour < following.hour:
                    if restarts:
                        self.restart(NOW + hour * HOUR)
                    self.tick(NOW + hour * HOUR)
        return self.told


def told(*samples: Sample, rules: RuleBook = ON) -> list[str]:
    return [headline(alert, NOW, UTC) for alert in Program(rules).live_through(samples)]


S = Sample
EXPIRED = "38% of the week expired unused"


@pytest.mark.parametrize(
    ("samples", "alerts"),
    [
        pytest.param([S(-1, 62), S(0.1, 0, NEXT)], [EXPIRED], id="a week ends"),
        pytest.param([S(-1, 62), S(0.1, 0, None), S(1, 0, None)], [EXPIRED], id="none is open yet"),
        pytest.param([S(-1, 62), S(0.1, 7, NEXT)], [EXPIRED], id="the new one is in use already"),
        pytest.param(
            [S(-1, 62), S(0.05, 62), S(0.1, 0, NEXT)], [EXPIRED], id="the server lags behind"
        ),
        pytest.param(
            [S(-1, 62), S(0.1, 0, NEXT), S(1, 0, NEXT), S(24, 3, NEXT)], [EXPIRED], id="once"
        ),
        pytest.param(
            [S(-1, 62), S(0.1, 0, NEXT), S(160, 70, NEXT), S(168.1, 0, 2 * NEXT)],
            [EXPIRED, "30% of the week expired unused"],
            id="each week",
        ),
        pytest.param([S(-1, 100), S(0.1, 0, NEXT)], [], id="nothing expired"),
        pytest.param([S(-1, 99.4), S(0.1, 0, NEXT)], [], id="less than a point expired"),
        pytest.param([S(-1, 0), S(0.1, 0, NEXT)], ["100% of the week expired unused"], id="all"),
        pytest.param([S(-20, 62), S(30, 5, NEXT)], [EXPIRED], id="the machine slept over it"),
        pytest.param([S(-25, 62), S(0.1, 0, NEXT)], [], id="the last reading is too old to tell"),
        pytest.param([S(-1, 62), S(49, 5, NEXT)], [], id="it is no news any more"),
        pytest.param([S(-1, 62), S(400, 5, NEXT + 2 * WEEK)], [], id="two weeks later"),
        pytest.param([S(0.1, 0, NEXT)], [], id="the first sample of all"),
        pytest.param(
            [S(-50, 62), S(-49, 1), S(-48, 1), S(-1, 20), S(0.1, 0, NEXT)],
            ["80% of the week expired unused"],
            id="an early reset is none, and then the week ends",
        ),
        pytest.param(
            [S(-50, 62), S(-49, 1, NEXT), S(-48, 1, NEXT), S(0.1, 9, NEXT)],
            [],
            id="an early reset that moves the end",
        ),
        pytest.param(
            [S(-1, 62), S(-0.5, 0), S(0.1, 0, NEXT)], [], id="perhaps there was an early reset"
        ),
        pytest.param(
            [S(-1, 62), S(-0.5, 0), S(-0.2, 62), S(0.1, 0, NEXT)],
            [EXPIRED],
            id="a wrong zero was none",
        ),
        pytest.param(
            [S(-1, 62), S(-0.003, 0, NEXT), S(0.1, 0, NEXT)],
            [EXPIRED],
            id="the clock is some seconds behind the end",
        ),
        pytest.param(
            [S(-10, 62), S(1, 4, NEXT - 3 * HOUR)], [], id="an early reset while it slept"
        ),
        pytest.param([S(-10, 62), S(1, 63, 4 * HOUR)], [], id="the end was moved while it slept"),
        pytest.param(
            [S(-10, 62), S(1, 0, None), S(1.1, 62, 4 * HOUR), S(4.1, 0, NEXT + 4 * HOUR)],
            [EXPIRED],
            id="and a wrong answer without an end came first",
        ),
        pytest.param(
            [S(-1, 62), S(0.1, 0, NEXT), S(0.15, 0, None), S(0.2, 0, NEXT)],
            [EXPIRED],
            id="a wrong answer behind the end",
        ),
    ],
)
def test_samples_and_what_is_told(samples: list[Sample], alerts: list[str]) -> None:
    assert told(*samples) == alerts
    again = Program().live_through(samples, restarts=True)
    assert [headline(alert, NOW, UTC) for alert in again] == alerts, "a restart changes nothing"


def test_other_windows_have_no_such_summary() -> None:
    program = Program()
    for hour, end in ((-1.0, NOW), (0.1, NOW + WEEK)):
        at = NOW + hour * HOUR
        usage = Usage(at, (Window("7d_opus", 0.5, end), Window("5h", 0.5, end)))
        program.state, _ = update(program.state, PollSucceeded(at, "a", usage, timedelta(0)))
    program.tick(NOW + HOUR)
    assert program.told == []


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param(RuleBook(), id="unless set"),
        pytest.param(replace(ON, enabled=False), id="all alerts are off"),
        pytest.param(
            replace(ON, rules={AlertKind.WEEK_EXPIRED: Rule(accounts=("b",))}),
            id="of another account",
        ),
        pytest.param(
            replace(ON, overrides={"a": Override(silent=frozenset({AlertKind.WEEK_EXPIRED}))}),
            id="silent for it",
        ),
    ],
)
def test_it_is_off(rules: RuleBook) -> None:
    assert told(S(-1, 62), S(0.1, 0, NEXT), rules=rules) == []


def test_weeks_that_ended_while_the_machine_slept_are_told_in_one_message() -> None:
    program = Program(accounts=("a", "b", "c", "d"))
    for name, percent in (("a", 62), ("b", 10), ("c", 100), ("d", 50)):
        end = timedelta(0) if name != "d" else WEEK
        program.poll(Sample(-9, percent, end, name))
    for minute, name in enumerate("abcd"):
        program.poll(Sample(1 + minute / 60, 0 if name != "d" else 50, NEXT, name))
        program.tick(NOW + HOUR + timedelta(minutes=minute, seconds=30))
    assert program.told == []
    for minute in range(5, 60):
        program.tick(NOW + HOUR + timedelta(minutes=minute))
    assert {alert.at for alert in program.told} == {NOW + HOUR + timedelta(minutes=10)}
    assert format_alerts(program.told, zone=UTC).body.splitlines() == [
        "a: 38% of the week expired unused",
        "b: 90% of the week expired unused",
    ]


def test_the_words() -> None:
    (at_once,) = Program().live_through([S(-0.5, 62), S(0.1, 0, NEXT)])
    assert format_alert(at_once, UTC).title == "a: 38% of the week expired unused"
    assert format_alert(at_once, UTC).body == "62% was used by the reset at 12:00."
    (slept,) = Program().live_through([S(-9, 62), S(20, 0, NEXT)])
    assert format_alert(slept, UTC).body == (
        "62% was used at the last reading, 9h 00m before the reset on Sun 22 Nov at 12:00."
    )


ends = st.none() | st.sampled_from([timedelta(0), 4 * HOUR, NEXT - 9 * HOUR, NEXT, 2 * NEXT])
samples = st.lists(
    st.builds(Sample, st.floats(-30, 200), st.integers(0, 105), ends), max_size=12
).map(lambda found: sorted(found, key=lambda sample: sample.hour))


@given(samples, st.booleans())
def test_no_order_of_samples_tells_of_a_week_twice_or_of_one_that_lasts(
    samples: list[Sample], restarts: bool
) -> None:
    alerts = Program().live_through(samples, restarts)
    assert len({alert.period for alert in alerts}) == len(alerts)
    assert all(alert.resets_at and alert.resets_at < alert.at for alert in alerts)
    assert all(0 <= alert.utilization <= 0.99 for alert in alerts)

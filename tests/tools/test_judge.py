"""The judge on planted alerts: one that could not find a fault would prove nothing."""

from dataclasses import dataclass, replace
from math import inf

import pytest

from tools.simulate.judge import Verdict, judge
from tools.simulate.record import HOUR, MINUTE, Entry, Log, Seen, Told
from tools.simulate.truth import Account, Period, Window

END, NEXT_END = 300, 610
"""Minutes: the first period is open until `END`, the second one from 10 minutes later on."""

THRESHOLDS = (80.0, 95.0, 100.0)


def period(number: int, opened: float, over: float, end: float, early: bool = False) -> Period:
    return Period(
        id=number,
        opened_at=opened * MINUTE,
        over_at=over * MINUTE,
        early=early,
        ends=((opened * MINUTE, end * MINUTE),),
        times=(opened * MINUTE,),
        values=(0.0,),
    )


DUE = Window("5h", 5 * HOUR, [period(0, 0, END, END), period(1, 310, inf, NEXT_END)])
EARLY = Window("5h", 5 * HOUR, [period(0, 0, 100, END, early=True), period(1, 100, inf, END)])


@dataclass(frozen=True)
class S:
    """One answer and what was sent at it: `told` are thresholds, or None for a reset."""

    minute: float
    percent: float
    end: float | None = END
    place: int = 0
    told: tuple[float | None, ...] = ()
    honest: bool = True
    week: float = 0.0
    off: float = 0.0


def verdict_on(truth: Window, *samples: S) -> Verdict:
    log = Log([entry(n, sample) for n, sample in enumerate(samples)])
    told = [(n, Told("5h", t)) for n, sample in enumerate(samples) for t in sample.told]
    return judge(account_with(truth), log, told, THRESHOLDS)


def account_with(truth: Window) -> Account:
    """An account with this 5 h window, and a week of which no more is known than what answers say."""
    return Account({"5h": truth, "7d": Window("7d", 168 * HOUR, [])}, {})


def entry(number: int, sample: S) -> Entry:
    end = None if sample.end is None else sample.end * MINUTE
    seen = Seen(sample.percent, end, end, sample.honest, sample.place)
    week = Seen(sample.week, None, None, True, -1)
    t = sample.minute * MINUTE
    return Entry(t, t + sample.off, number, {"5h": seen, "7d": week})


def faults(verdict: Verdict) -> list[str]:
    return [finding.fault for finding in verdict.findings]


GAP = -2
CLOSED = S(301, 0, None, GAP)
RESET = replace(CLOSED, told=(None,))


@pytest.mark.parametrize(
    ("samples", "found"),
    [
        pytest.param([S(0, 70), S(5, 81, told=(80,))], [], id="a true threshold"),
        pytest.param([S(0, 70), S(5, 81)], ["missed"], id="a threshold that nobody told"),
        pytest.param(
            [S(0, 70), S(5, 81, told=(95,))], ["false", "missed"], id="the wrong threshold"
        ),
        pytest.param([S(0, 85, told=(80,))], ["false"], id="a threshold below the baseline"),
        pytest.param(
            [S(0, 50), S(5, 97, told=(95, 80))], ["false"], id="a lower threshold after a jump"
        ),
        pytest.param(
            [S(0, 70), S(5, 81, told=(80,)), S(10, 82, told=(80,))], ["double"], id="told twice"
        ),
        pytest.param(
            [S(0, 70), S(5, 81, told=(80, 80))], ["double"], id="told twice for one answer"
        ),
        pytest.param(
            [S(0, 70), S(5, 81), S(25, 81, told=(80,))], ["false", "missed"], id="told late"
        ),
        pytest.param(
            [S(0, 70), S(5, 96, honest=False, told=(95,)), S(10, 70)],
            ["false"],
            id="a threshold that only a stale answer showed",
        ),
        pytest.param([S(0, 85), RESET], [], id="a true reset"),
        pytest.param([S(0, 85), CLOSED], ["missed"], id="a reset that nobody told"),
        pytest.param([S(0, 70), RESET], ["false"], id="a reset of a window that was never high"),
        pytest.param([S(0, 85), S(5, 85, told=(None,))], ["false"], id="a reset that was none"),
        pytest.param(
            [S(0, 85), S(5, 0, None, honest=False, told=(None,)), S(10, 85)],
            ["false"],
            id="a reset that only an empty answer showed",
        ),
        pytest.param([S(0, 85), replace(RESET, minute=316)], ["false"], id="a reset told late"),
        pytest.param(
            [S(0, 85), replace(CLOSED, minute=316)], [], id="a reset that is no news is not owed"
        ),
        pytest.param(
            [S(0, 85), RESET, replace(RESET, minute=306)], ["double"], id="a reset told twice"
        ),
        pytest.param(
            [S(0, 85, week=100), replace(RESET, week=100)],
            ["false"],
            id="a reset while the week is full",
        ),
        pytest.param(
            [S(0, 85, week=100), replace(CLOSED, week=100)], [], id="which is not owed then, either"
        ),
        pytest.param(
            [S(0, 85), S(312, 81, NEXT_END, 1, told=(80,))],
            [],
            id="a new period is high at once: a threshold, and no reset",
        ),
        pytest.param(
            [S(0, 85), S(312, 81, NEXT_END, 1, told=(80, None))],
            ["false"],
            id="nor may it be called open again",
        ),
        pytest.param(
            [S(0, 70), S(5, 81, told=(80,)), S(312, 81, NEXT_END, 1)],
            ["missed"],
            id="a new period's threshold is owed anew",
        ),
        pytest.param(
            [S(0, 70), S(5, 70), S(10, 81, off=3600)], [], id="a wrong clock owes nothing"
        ),
    ],
)
def test_faults_around_a_reset_that_is_due(samples: list[S], found: list[str]) -> None:
    assert faults(verdict_on(DUE, *samples)) == found


@pytest.mark.parametrize(
    ("samples", "found"),
    [
        pytest.param(
            [S(95, 90), S(101, 1, place=1), S(106, 2, place=1, told=(None,))],
            [],
            id="sent at the second look",
        ),
        pytest.param(
            [S(95, 90), S(101, 1, place=1), S(106, 2, place=1)], ["missed"], id="told by nobody"
        ),
        pytest.param(
            [S(95, 90), S(101, 1, place=1), S(101.5, 2, place=1)],
            [],
            id="two looks within a minute are one",
        ),
        pytest.param(
            [S(95, 90), S(101, 1, place=1), S(106, 60, place=1)],
            [],
            id="usage has grown again at the second look",
        ),
        pytest.param(
            [S(95, 90), S(101, 60, END + 200, 1), S(106, 61, END + 200, 1)],
            ["missed"],
            id="a fall with another end is a reset as well",
        ),
        pytest.param(
            [S(95, 90), S(101, 1, place=1), S(400, 2, place=1, told=(None,))],
            ["false"],
            id="a second look hours later is no news",
        ),
        pytest.param(
            [S(95, 90), S(101, 1, place=1), S(106, 2, place=1, told=(None,)), S(111, 81, place=1)],
            ["missed"],
            id="thresholds are owed anew",
        ),
        pytest.param(
            [S(95, 90), S(106, 85, place=1), S(111, 86, place=1)],
            [],
            id="a new period that no answer showed owes nothing twice",
        ),
    ],
)
def test_faults_around_an_early_reset(samples: list[S], found: list[str]) -> None:
    assert faults(verdict_on(EARLY, *samples)) == found


def test_a_delay_is_counted_in_polls() -> None:
    verdict = verdict_on(DUE, S(0, 70), S(5, 81), S(8, 81), S(10, 81, told=(80,)))
    assert (verdict.max_delay, verdict.max_delay_seconds) == (2, 300)


def test_an_alert_of_a_window_that_the_account_has_not_is_false() -> None:
    account = Account({}, {})
    log = Log([Entry(0, 0, 0, {})])
    assert faults(judge(account, log, [(0, Told("5h", 80))], THRESHOLDS)) == ["false"]


@pytest.mark.parametrize(
    ("alert", "found"),
    [
        (Told("5h", 80, percent=81, end=END * MINUTE), []),
        (Told("5h", 80, percent=91, end=END * MINUTE), ["false", "missed"]),
        (Told("5h", 80, percent=81, end=END * MINUTE + HOUR), ["false", "missed"]),
    ],
)
def test_an_alert_says_what_the_answer_said(alert: Told, found: list[str]) -> None:
    log = Log([entry(0, S(0, 70)), entry(1, S(5, 81))])
    assert faults(judge(account_with(DUE), log, [(1, alert)], THRESHOLDS)) == found


@pytest.mark.parametrize(
    ("last", "seconds_behind", "told", "found"),
    [
        pytest.param(96, 16, (95,), [], id="true of the period that is open by the clock"),
        pytest.param(96, 16, (), [], id="and not owed"),
        pytest.param(96, 16, (95, 95), ["double"], id="told of it twice"),
        pytest.param(96, 0, (95,), ["false"], id="by a right clock the answer lags"),
        pytest.param(90, 16, (95,), ["false"], id="never true of that period"),
    ],
)
def test_by_a_clock_that_is_behind_a_lagging_answer_is_one_of_before_the_reset(
    last: float, seconds_behind: float, told: tuple[float, ...], found: list[str]
) -> None:
    former = replace(period(0, 0, END, END), values=(last,))
    truth = Window("5h", 5 * HOUR, [former, period(1, END, inf, NEXT_END)])
    lagging = S(END + 0.1, last, END, 1, told, honest=False, off=-seconds_behind)
    assert faults(verdict_on(truth, S(290, 70), lagging)) == found

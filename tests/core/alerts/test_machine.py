"""The alert machine by tables: a list of samples, and what is sent at each of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.alerts.machine import observe
from monitor.core.alerts.rules import Alert, AlertKind, Override, Rule, RuleBook, WindowMemory
from monitor.core.model import Usage, Window
from tests.builders import NOW, usage, window

END = NOW + timedelta(hours=3)
NEXT_END = END + timedelta(hours=5)


@dataclass(frozen=True)
class Sample:
    """One poll: minutes after `NOW`, a percentage, and the end that the server names."""

    minute: float
    percent: float
    end: datetime | None = END


DEFAULT = RuleBook()


def told(*samples: Sample, rules: RuleBook = DEFAULT) -> list[str]:
    """What is told over these samples, in short: `95@12` is the 95 % threshold at minute 12."""
    return [
        f"{_word(alert)}@{(alert.at - NOW).total_seconds() / 60:g}"
        for alert in alerts_over(samples, rules)
    ]


def _word(alert: Alert) -> str:
    return alert.kind if alert.threshold is None else f"{alert.threshold * 100:g}"


def alerts_over(samples: tuple[Sample, ...] | list[Sample], rules: RuleBook) -> list[Alert]:
    memories: Mapping[str, WindowMemory] = {}
    told: list[Alert] = []
    for sample in samples:
        at = NOW + timedelta(minutes=sample.minute)
        seen = Usage(at, (Window("5h", sample.percent / 100, sample.end),))
        memories, alerts = observe("a", memories, seen, rules)
        told.extend(alerts)
    return told


S = Sample


@pytest.mark.parametrize(
    ("samples", "alerts"),
    [
        pytest.param([S(0, 97)], [], id="the first observation is a baseline"),
        pytest.param([S(0, 85), S(3, 86)], [], id="a threshold below the baseline stays silent"),
        pytest.param([S(0, 85), S(3, 96)], ["95@3"], id="one above the baseline speaks"),
        pytest.param([S(0, 70), S(3, 80)], ["80@3"], id="reaching a threshold is crossing it"),
        pytest.param([S(0, 70), S(3, 79.9)], [], id="just below is not at it"),
        pytest.param(
            [S(0, 70), S(3, 81), S(6, 96), S(9, 100)],
            ["80@3", "95@6", "100@9"],
            id="each speaks once",
        ),
        pytest.param([S(0, 50), S(3, 97), S(6, 98)], ["95@3"], id="a jump tells the highest only"),
        pytest.param([S(0, 50), S(3, 130)], ["100@3"], id="more than 100 % is the limit reached"),
        pytest.param(
            [S(0, 70), S(3, 81), S(6, 79), S(9, 81), S(12, 60), S(15, 82)],
            ["80@3"],
            id="a figure that is revised downward does not re-arm",
        ),
        pytest.param(
            [S(0, 70), S(3, 81), S(185, 2, NEXT_END)],
            ["80@3", "reset@185"],
            id="a reset after high use is told",
        ),
        pytest.param(
            [S(0, 70), S(3, 81), S(181, 0, None)],
            ["80@3", "reset@181"],
            id="also where no new window is open yet",
        ),
        pytest.param([S(0, 70), S(185, 2, NEXT_END)], [], id="a reset after low use is not"),
        pytest.param(
            [S(0, 85), S(185, 2, NEXT_END)], ["reset@185"], id="the baseline counts as use"
        ),
        pytest.param(
            [S(0, 85), S(200, 2, NEXT_END)], [], id="a reset that is learnt late is no news"
        ),
        pytest.param(
            [S(0, 85), S(181, 85), S(183, 85), S(185, 1, NEXT_END)],
            ["reset@185"],
            id="a server that lags behind its own reset",
        ),
        pytest.param(
            [S(0, 94), S(181, 96), S(185, 1, NEXT_END)],
            ["reset@185"],
            id="a lagging figure crosses nothing",
        ),
        pytest.param(
            [S(0, 85), S(185, 90, NEXT_END)],
            ["80@185"],
            id="a new window that is high at once is not open again",
        ),
        pytest.param(
            [S(0, 70), S(3, 81), S(185, 2, NEXT_END), S(200, 82, NEXT_END)],
            ["80@3", "reset@185", "80@200"],
            id="a new window speaks anew",
        ),
        pytest.param(
            [S(0, 0, None), S(3, 85, END)], ["80@3"], id="a window that opens and fills at once"
        ),
        pytest.param(
            [S(0, 70)] + [S(n, 70, END + timedelta(seconds=1.9 * (-1) ** n)) for n in range(1, 30)],
            [],
            id="jitter of the end is nothing",
        ),
        pytest.param(
            [S(0, 85), S(181, 85, END + timedelta(seconds=90)), S(184, 1, NEXT_END)],
            ["reset@184"],
            id="an end that moves by less than two minutes is the same end",
        ),
        pytest.param(
            [S(0, 85), S(3, 86, END + timedelta(hours=4)), S(6, 87, END + timedelta(hours=4))],
            [],
            id="a moved end without a drop is a changed schedule",
        ),
        pytest.param(
            [S(0, 85), S(3, 86, END + timedelta(hours=4)), S(6, 96, END + timedelta(hours=4))],
            ["95@6"],
            id="and the period goes on with what it has told",
        ),
        pytest.param(
            [S(0, 73), S(3, 90), S(3.1, 0), S(3.2, 73), S(3.3, 0), S(3.4, 90)],
            ["80@3"],
            id="a rebound within seconds is a glitch",
        ),
        pytest.param(
            [S(0, 90), S(3, 0), S(6, 91), S(9, 0), S(12, 92)],
            [],
            id="a rebound from poll to poll is a glitch too",
        ),
        pytest.param(
            [S(0, 90), S(3, 0), S(3.5, 0), S(6, 91)], [], id="two low samples within 60 s are one"
        ),
        pytest.param(
            [S(0, 90), S(3, 2), S(6, 3)], ["early_reset@6"], id="an early reset, the end unmoved"
        ),
        pytest.param(
            [S(0, 90), S(3, 2), S(6, 9), S(9, 81)],
            ["early_reset@6", "80@9"],
            id="an early reset with use right after it",
        ),
        pytest.param(
            [S(0, 90), S(3, 4, NEXT_END), S(6, 68, NEXT_END), S(9, 92, NEXT_END)],
            ["early_reset@6", "80@9"],
            id="an early reset that moves the end, with heavy use right after it",
        ),
        pytest.param(
            [S(0, 90), S(3, 60, NEXT_END), S(8, 61, NEXT_END), S(13, 85, NEXT_END)],
            ["early_reset@8", "80@13"],
            id="an early reset that moves the end, seen after much use",
        ),
        pytest.param(
            [S(0, 70), S(3, 85), S(200, 84, END + timedelta(hours=4))],
            ["80@3"],
            id="a schedule that was changed while nobody looked, and a figure revised",
        ),
        pytest.param(
            [S(0, 90), S(3, 0, NEXT_END), S(6, 91), S(9, 92)],
            [],
            id="a low answer that names another end, once",
        ),
        pytest.param(
            [S(0, 70), S(3, 85), S(200, 86, END + timedelta(hours=4))],
            ["80@3"],
            id="a schedule that was changed while nobody looked",
        ),
        pytest.param(
            [S(0, 90), S(3, 12), S(6, 14)],
            ["early_reset@6"],
            id="an early reset seen after some use",
        ),
        pytest.param(
            [S(0, 90), S(3, 2, NEXT_END), S(6, 3, NEXT_END)],
            ["early_reset@6"],
            id="an early reset, the end moved",
        ),
        pytest.param(
            [S(0, 90), S(3, 0, None), S(6, 0, None)],
            ["early_reset@6"],
            id="an early reset that closes the window",
        ),
        pytest.param(
            [S(0, 90), S(3, 0, None), S(6, 91)],
            [],
            id="a window that reads as closed for a moment",
        ),
        pytest.param(
            [S(0, 90), S(3, 2), S(6, 3), S(9, 85)],
            ["early_reset@6", "80@9"],
            id="after an early reset the thresholds speak again",
        ),
        pytest.param(
            [S(0, 90), S(3, 60), S(6, 60)], [], id="a drop that does not reach the ground"
        ),
        pytest.param(
            [S(0, 70), S(6, 81), S(3, 97), S(6, 99)],
            ["80@6"],
            id="late and doubled samples change nothing",
        ),
        pytest.param(
            [S(0, 85), S(600, 50, NEXT_END + timedelta(hours=5))], [], id="a night's sleep"
        ),
    ],
)
def test_samples_and_what_is_told(samples: list[Sample], alerts: list[str]) -> None:
    assert told(*samples) == alerts


def test_a_window_that_reopens_behind_an_early_reset_with_the_same_end_is_a_period_of_its_own() -> (
    None
):
    samples = [S(0, 70), S(3, 85), S(6, 0, None), S(9, 0, None), S(12, 85)]
    assert told(*samples) == ["80@3", "early_reset@9", "80@12"]
    periods = [alert.period for alert in alerts_over(samples, RuleBook())]
    assert periods[0] != periods[-1], "the journal would take them for one"


def test_an_alert_says_what_it_is_about() -> None:
    (alert,) = alerts_over([S(0, 70), S(3, 87)], RuleBook())
    assert (alert.kind, alert.account, alert.window) == (AlertKind.THRESHOLD, "a", "5h")
    assert (alert.threshold, alert.utilization, alert.resets_at) == (0.80, 0.87, END)
    assert alert.rule == "threshold_80"


def test_a_reset_says_how_high_the_window_had_been_and_when_it_ended() -> None:
    (alert,) = alerts_over([S(0, 99), S(3, 97), S(181, 1, NEXT_END)], RuleBook())
    assert (alert.kind, alert.utilization, alert.resets_at) == (AlertKind.RESET, 0.99, END)


WITHOUT_RESETS = RuleBook(rules={**DEFAULT.rules, AlertKind.RESET: Rule(enabled=False)})
WEEK_ONLY = RuleBook(rules={**DEFAULT.rules, AlertKind.THRESHOLD: Rule(windows=("7d",))})
OTHERS_ONLY = RuleBook(rules={**DEFAULT.rules, AlertKind.THRESHOLD: Rule(accounts=("b",))})
HELD = RuleBook(rules={**DEFAULT.rules, AlertKind.THRESHOLD: Rule(hold=timedelta(minutes=5))})


@pytest.mark.parametrize(
    ("rules", "alerts"),
    [
        pytest.param(WITHOUT_RESETS, ["80@3"], id="resets switched off"),
        pytest.param(RuleBook(enabled=False), [], id="all alerts switched off"),
        pytest.param(WEEK_ONLY, ["reset@185"], id="thresholds of another window"),
        pytest.param(OTHERS_ONLY, ["reset@185"], id="thresholds of another account"),
        pytest.param(RuleBook(thresholds=()), [], id="no thresholds"),
        pytest.param(
            RuleBook(overrides={"a": Override(thresholds=(0.5,))}),
            ["reset@185"],
            id="its own thresholds",
        ),
        pytest.param(
            RuleBook(overrides={"a": Override(silent=frozenset({AlertKind.RESET}))}),
            ["80@3"],
            id="a rule that is silent for it",
        ),
        pytest.param(
            RuleBook(overrides={"b": Override(thresholds=(0.5,))}),
            ["80@3", "reset@185"],
            id="another's",
        ),
    ],
)
def test_rules_decide_what_is_told(rules: RuleBook, alerts: list[str]) -> None:
    assert told(S(0, 70), S(3, 81), S(185, 2, NEXT_END), rules=rules) == alerts


def test_a_threshold_can_be_asked_to_last() -> None:
    assert told(S(0, 70), S(3, 81), S(6, 82), S(9, 83), rules=HELD) == ["80@9"]
    assert told(S(0, 70), S(3, 81), S(6, 79), S(9, 83), S(12, 83), rules=HELD) == []


def test_the_limit_speaks_where_no_threshold_does() -> None:
    rules = RuleBook(thresholds=(0.8,))
    assert told(S(0, 70), S(3, 85), S(6, 100), S(9, 101), rules=rules) == ["80@3", "limit@6"]
    assert told(S(0, 70), S(3, 100), rules=RuleBook(thresholds=())) == ["limit@3"]


def test_a_threshold_that_was_set_speaks_beside_the_limit() -> None:
    assert told(S(0, 70), S(3, 100), rules=RuleBook(thresholds=(0.8, 0.95))) == ["95@3", "limit@3"]


def test_money_that_is_reset_tells_its_thresholds_anew() -> None:
    memories: Mapping[str, WindowMemory] = {}
    told = []
    for minute, percent in enumerate([40, 97, 97, 2, 96, 2, 2, 2, 97, 97]):
        at = NOW + timedelta(minutes=3 * minute)
        seen = Usage(at, (Window("extra", percent / 100),))
        memories, alerts = observe("a", memories, seen, DEFAULT)
        told += [f"{_word(alert)}@{minute}" for alert in alerts]
    assert told == ["95@1", "early_reset@6", "95@8"], "one low sample is a hint, two are a reset"


def test_each_window_has_a_memory_of_its_own() -> None:
    first = usage(window("5h", 70), window("7d", 70))
    second = usage(window("5h", 85), window("7d", 70), at=NOW + timedelta(minutes=3))
    memories, _ = observe("a", {}, first, RuleBook())
    _, alerts = observe("a", memories, second, RuleBook())
    assert [a.window for a in alerts] == ["5h"]


@pytest.mark.parametrize(("week", "alerts"), [(100, []), (99, ["5h"])])
def test_a_window_is_open_again_only_if_the_week_leaves_room(
    week: float, alerts: list[str]
) -> None:
    full = usage(window("5h", 90, timedelta(hours=1)), window("7d", week, timedelta(days=3)))
    over = NOW + timedelta(hours=1, minutes=1)
    free = Usage(over, (Window("5h", 0.0), full.windows[1], Window("7d_opus", 1.0)))
    memories, _ = observe("a", {}, full, RuleBook())
    _, told = observe("a", memories, free, RuleBook())
    assert [alert.window for alert in told] == alerts


samples = st.lists(
    st.builds(
        Sample,
        minute=st.floats(0, 2000),
        percent=st.floats(0, 120),
        end=st.none()
        | st.integers(0, 5).map(lambda n: END + n * timedelta(hours=5))
        | st.floats(-300, 300).map(lambda s: END + timedelta(seconds=s)),
    ),
    max_size=25,
)


@given(samples)
def test_no_order_of_samples_tells_a_rule_twice_in_one_window_period(samples: list[Sample]) -> None:
    told = [(a.rule, a.period) for a in alerts_over(samples, RuleBook()) if a.period]
    assert len(set(told)) == len(told)


@given(samples)
def test_seeing_a_sample_again_tells_nothing(samples: list[Sample]) -> None:
    doubled = [sample for sample in samples for _ in range(2)]
    assert alerts_over(doubled, RuleBook()) == alerts_over(samples, RuleBook())


@given(samples)
def test_a_reset_is_told_only_of_a_window_that_had_been_high(samples: list[Sample]) -> None:
    resets = [a for a in alerts_over(samples, RuleBook()) if a.kind is AlertKind.RESET]
    assert all(alert.utilization >= 0.8 for alert in resets)

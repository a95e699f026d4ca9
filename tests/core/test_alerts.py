"""The alert machine by tables: a list of samples, and what is told at each of them."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.alerts import observe, resets_that_open
from monitor.core.effects import Alert, AlertKind
from monitor.core.model import Usage, Window, WindowMemory
from monitor.core.state import Policy
from tests.builders import NOW, usage, window

END = NOW + timedelta(hours=3)
NEXT_END = END + timedelta(hours=5)


@dataclass(frozen=True)
class Sample:
    """One poll: minutes after `NOW`, a percentage, and the end that the server names."""

    minute: float
    percent: float
    end: datetime | None = END


DEFAULT = Policy()


def told(*samples: Sample, policy: Policy = DEFAULT) -> list[str]:
    """What is told over these samples, in short: `95@12` is the 95 % threshold at minute 12."""
    return [
        f"{_word(alert)}@{(alert.at - NOW).total_seconds() / 60:g}"
        for alert in alerts_over(samples, policy)
    ]


def _word(alert: Alert) -> str:
    return "reset" if alert.threshold is None else f"{alert.threshold * 100:g}"


def alerts_over(samples: tuple[Sample, ...] | list[Sample], policy: Policy) -> list[Alert]:
    memories: dict[str, WindowMemory] = {}
    told: list[Alert] = []
    for sample in samples:
        at = NOW + timedelta(minutes=sample.minute)
        seen = Usage(at, (Window("5h", sample.percent / 100, sample.end),))
        memories, alerts = observe("a", memories, seen, policy)
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
            [S(0, 90), S(3, 2), S(6, 3)], ["reset@6"], id="an early reset, the end unmoved"
        ),
        pytest.param(
            [S(0, 90), S(3, 2), S(6, 9), S(9, 81)],
            ["reset@6", "80@9"],
            id="an early reset with use right after it",
        ),
        pytest.param(
            [S(0, 90), S(3, 12), S(6, 14)], ["reset@6"], id="an early reset seen after some use"
        ),
        pytest.param(
            [S(0, 90), S(3, 2, NEXT_END), S(6, 3, NEXT_END)],
            ["reset@6"],
            id="an early reset, the end moved",
        ),
        pytest.param(
            [S(0, 90), S(3, 0, None), S(6, 0, None)],
            ["reset@6"],
            id="an early reset that closes the window",
        ),
        pytest.param(
            [S(0, 90), S(3, 0, None), S(6, 91)],
            [],
            id="a window that reads as closed for a moment",
        ),
        pytest.param(
            [S(0, 90), S(3, 2), S(6, 3), S(9, 85)],
            ["reset@6", "80@9"],
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


def test_an_alert_says_what_it_is_about() -> None:
    (alert,) = alerts_over([S(0, 70), S(3, 87)], Policy())
    assert (alert.kind, alert.account, alert.window) == (AlertKind.THRESHOLD, "a", "5h")
    assert (alert.threshold, alert.utilization, alert.resets_at) == (0.80, 0.87, END)
    assert alert.rule == "threshold_80"


def test_a_reset_says_how_high_the_window_had_been_and_when_it_ended() -> None:
    (alert,) = alerts_over([S(0, 99), S(3, 97), S(181, 1, NEXT_END)], Policy())
    assert (alert.kind, alert.utilization, alert.resets_at) == (AlertKind.RESET, 0.99, END)


def test_resets_can_be_switched_off() -> None:
    policy = Policy(resets=False)
    assert told(S(0, 70), S(3, 81), S(185, 2, NEXT_END), policy=policy) == ["80@3"]


def test_alerts_can_be_switched_off() -> None:
    assert told(S(0, 70), S(3, 81), S(185, 2, NEXT_END), policy=Policy(alerts=False)) == []


def test_without_thresholds_nothing_is_told() -> None:
    policy = Policy(thresholds=())
    assert told(S(0, 70), S(3, 100), S(185, 2, NEXT_END), policy=policy) == []


def test_each_window_has_a_memory_of_its_own() -> None:
    first = usage(window("5h", 70), window("7d", 70))
    second = usage(window("5h", 85), window("7d", 70), at=NOW + timedelta(minutes=3))
    memories, _ = observe("a", {}, first, Policy())
    _, alerts = observe("a", memories, second, Policy())
    assert [a.window for a in alerts] == ["5h"]


@pytest.mark.parametrize(("week", "told"), [(100, 0), (99, 1)])
def test_a_window_is_open_again_only_if_the_week_leaves_room(week: float, told: int) -> None:
    reset = Alert(AlertKind.RESET, "a", "5h", NOW)
    now = usage(window("5h", 0), window("7d", week), window("7d_opus", 100))
    assert len(resets_that_open([reset], now)) == told


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
def test_no_order_of_samples_tells_a_threshold_twice_in_one_period(samples: list[Sample]) -> None:
    """Only an early reset, which is told or was not worth telling, lets a threshold of the same end speak anew."""
    told: list[tuple[float | None, datetime | None]] = []
    for alert in alerts_over(samples, Policy(thresholds=(0.0001, 0.8))):
        if alert.kind is AlertKind.RESET:
            told.clear()
        elif alert.resets_at is not None:
            told.append((alert.threshold, alert.resets_at))
    assert len(set(told)) == len(told)


@given(samples)
def test_seeing_a_sample_again_tells_nothing(samples: list[Sample]) -> None:
    doubled = [sample for sample in samples for _ in range(2)]
    assert alerts_over(doubled, Policy()) == alerts_over(samples, Policy())


@given(samples)
def test_a_reset_is_told_only_of_a_window_that_had_been_high(samples: list[Sample]) -> None:
    resets = [a for a in alerts_over(samples, Policy()) if a.kind is AlertKind.RESET]
    assert all(alert.utilization >= 0.8 for alert in resets)

"""The facts of one account."""

from dataclasses import replace
from datetime import timedelta

import pytest

from monitor.core.alerts.rules import Alert, AlertKind
from monitor.core.errors import Cause, Failure, Reason
from monitor.core.forecast import Forecast, FullAt
from monitor.core.model import AccountForecast, AccountState, Usage, Window
from monitor.core.state import LoggedAlert, Policy, State
from monitor.core.window_cost import WeekCost
from monitor.terminal.panes import detail
from monitor.terminal.text import Style, plain
from tests.builders import NOW
from tests.terminal.factories import account, down, full, state_of


@pytest.mark.parametrize(
    ("every", "ago", "text", "style"),
    [
        (180, (), "0 of about 28 this hour", Style.PLAIN),
        (180, (1, 59, 60, 61), "2 of about 28 this hour", Style.PLAIN),
        (180, range(40), "40 of about 28 this hour", Style.PLAIN),
        (
            120,
            (1, 3),
            "2 of about 28 this hour; a 120 s interval needs 30: expect rate limits",
            Style.NOTICE,
        ),
        (5, (1, 3), "2 of about 28 this hour", Style.PLAIN),  # of the demo
        (
            30,
            (),
            "0 of about 28 this hour; a 30 s interval needs 120: expect rate limits",
            Style.NOTICE,
        ),
    ],
)
def test_the_requests_of_the_hour_stand_beside_what_the_api_allows(
    every: int, ago: tuple[int, ...], text: str, style: Style
) -> None:
    requests = tuple(NOW - timedelta(minutes=minutes) for minutes in sorted(ago, reverse=True))
    shown = account(NOW, "user@work.com", requests=requests)
    state = state_of(shown, policy=Policy(timedelta(seconds=every)))
    lines = detail(state, shown, NOW, 100)[0]
    line = next(line for line in lines if plain(line).startswith(" Requests"))
    assert plain(line).removeprefix(" Requests").strip() == text
    assert line[-1].style is style


def test_what_an_answer_held_and_could_not_be_read_is_named() -> None:
    seen = Usage(NOW, (Window("5h", 0.97),), left_out=("7d: utilization is no number",))
    shown = replace(account(NOW, "user@work.com"), usage=seen)
    lines = [plain(line) for line in detail(state_of(shown), shown, NOW, 100)[0]]
    assert any(
        "Not understood" in line and "7d: utilization is no number" in line for line in lines
    )
    assert any("5h limit" in line and "reset not known" in line for line in lines)


def facts(state: State, name: str) -> dict[str, str]:
    """The pane's facts by their labels, each on one line."""
    found: dict[str, str] = {}
    label = ""
    for line in detail(state, state.accounts[name], NOW, 120)[0]:
        text = plain(line)
        label = text[:15].strip() or label
        found[label] = f"{found[label]} / {text[15:]}" if label in found else text[15:]
    return found


FAILING = down(
    NOW,
    account(NOW, "user@work.com", ("5h", 42, "2h"), config_dir="/home/me/.claude-work"),
    Failure(Reason.AUTH, Cause.WAITING, folder="/home/me/.claude-work"),
)


def test_the_fix_names_its_exact_command_and_folder() -> None:
    found = facts(state_of(FAILING), "user@work.com")
    assert "CLAUDE_CONFIG_DIR=/home/me/.claude-work claude" in found["Fix"]
    assert "CLAUDE_CONFIG_DIR" not in found["Failure"]
    assert found["Command"] == "CLAUDE_CONFIG_DIR=/home/me/.claude-work claude  (c copies it)"
    assert found["Login"] == "Claude Code, /home/me/.claude-work"


def test_what_you_have_marked_and_what_claude_code_uses_are_told_apart() -> None:
    two = state_of(account(NOW, "a"), account(NOW, "b", config_dir=""), logged_in="b")
    assert facts(two, "a")["In use"] == "marked by you (*)"
    assert facts(two, "b")["In use"] == "Claude Code is logged in here now"
    assert facts(two, "b")["Login"] == "Claude Code, ~/.claude"
    assert "In use" not in facts(replace(two, logged_in="a", active=0), "b")


def test_the_last_five_alerts_of_the_account_are_shown_with_their_outcome() -> None:
    alerts = [
        Alert(AlertKind.THRESHOLD, "user@work.com", "5h", NOW - timedelta(minutes=n), 0.9, 0.8)
        for n in range(7, 0, -1)
    ]
    log = [LoggedAlert(alert, alert.at, True, "sent (desktop)") for alert in alerts]
    other = LoggedAlert(replace(alerts[0], account="other"), NOW)
    state = state_of(FAILING, log=(*log[:-1], other, replace(log[-1], is_sent=False, outcome="")))
    shown = facts(state, "user@work.com")["Alerts"].split(" / ")
    assert shown[0] == "11:59  5h passed 80%  not sent yet"
    assert shown[1:] == [f"11:5{n}  5h passed 80%  sent (desktop)" for n in (8, 7, 6, 5)]


def test_the_pane_begins_with_the_limits_and_ends_with_the_organization() -> None:
    labels = list(facts(state_of(full(NOW)), "user@work.com"))
    assert labels[:2] == ["5h limit", "7d limit"]
    assert labels[-1] == "Organization"


def expected(
    name: str = "user@work.com", *, full_in: tuple[int, int, int] = (20, 45, 90)
) -> AccountState:
    """An account of which a forecast is known; it is full in these minutes."""
    at = [NOW + timedelta(minutes=m) for m in full_in]
    full = Forecast(0.83, FullAt(*at))
    found = AccountForecast(
        NOW,
        {"5h": full, "7d": Forecast(0.07, None)},
        WeekCost(0.11, 0.01, 30),
        0.23,
        31.6,
        trends={"5h": (None, *(n / 24 for n in range(23))), "7d": (0.1,) * 24},
    )
    one = account(NOW, name, ("5h", 91, "2h"), ("7d", 45, "4d"))
    return replace(one, forecast=found)


def test_each_limit_has_its_trend_and_when_it_is_full() -> None:
    found = facts(state_of(expected()), "user@work.com")
    five, seven = found["5h limit"].split(" / "), found["7d limit"].split(" / ")
    assert five[1] == "  ".join(
        ["   ▁▁▁▁▂▂▂▃▃▃▃▄▄▄▅▅▅▅▆▆▆▇▇", "full 12:45, between 12:20 and 13:30 (80%)"]
    )
    assert seven[1].split("  ")[-1] == "lasts to the reset (93%)"


def test_an_hour_of_today_before_another_day_is_said_to_be_of_today() -> None:
    state = state_of(expected(full_in=(60, 24 * 60, 36 * 60)))
    words = facts(state, "user@work.com")["5h limit"].split(" / ")[1].split("  ")[-1]
    assert words == "full Mon 12:00, between today 13:00 and Tue 00:00 (80%)"


def test_the_pace_and_the_cost_of_the_week_are_told() -> None:
    found = facts(state_of(expected()), "user@work.com")
    assert found["Pace"] == "32% of a 5h window in an hour of work"
    assert found["Week"].split(" / ") == [
        "≈ 5.0 full windows left this week",
        "a full 5h window costs 11% of it",
        "23% most likely expire unused",
    ]


@pytest.mark.parametrize(
    ("used", "cost", "left"), [(88, 0.14, "0.8"), (100, 0.14, "0.0"), (40, 0.2, "3.0")]
)
def test_windows_left_are_rounded_down(used: int, cost: float, left: str) -> None:
    one = account(NOW, "user@work.com", ("5h", 0, "2h"), ("7d", used, "4d"))
    known = AccountForecast(NOW, {"7d": Forecast(0.5, None)}, WeekCost(cost, 0.01, 30))
    found = facts(state_of(replace(one, forecast=known)), "user@work.com")
    assert found["Week"].startswith(f"≈ {left} full windows left this week /")


def test_without_a_forecast_nothing_is_said_of_one() -> None:
    found = facts(state_of(full(NOW)), "user@work.com")
    assert "Pace" not in found
    assert " / " not in found["5h limit"]


@pytest.mark.parametrize("room", [50, 56, 60, 75, 76, 120])
def test_all_bars_stand_below_each_other_and_what_is_too_long_goes_on_below_itself(
    room: int,
) -> None:
    one = replace(expected(), forecast=None)
    lines = [plain(line) for line in detail(state_of(one), one, NOW, room)[0]]
    five, seven = (next(line for line in lines if f"{key} limit" in line) for key in ("5h", "7d"))
    assert five.index("█") == seven.index("█") == len(" 7d limit      100%  ")
    assert five.index("resets") == seven.index("resets")
    assert max(map(len, lines)) <= room
    assert any(line.endswith(seven[seven.index("resets") :]) for line in lines)
    if room >= 56:
        assert seven.endswith("resets Thu 12:00 (in 4d 00h)")


def test_a_narrow_pane_has_the_trend_and_says_when_a_limit_is_full() -> None:
    one = expected()
    lines = [plain(line) for line in detail(state_of(one), one, NOW, 40)[0]]
    assert " ".join(" ".join(lines).split()).startswith(
        "5h 91% 2h 00m ▁▁▁▁▂▂▂▃▃▃▃▄▄▄▅▅▅▅▆▆▆▇▇ full 12:45, between 12:20 and 13:30 (80%) 7d 45%"
    )

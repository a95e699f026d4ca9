"""Alerts on the screen: the line at its top, the marked rows, and the log."""

from dataclasses import replace
from datetime import datetime

import pytest

from monitor.core.alerts.rules import Alert, AlertKind
from monitor.core.state import LoggedAlert, State
from monitor.terminal.frame import frame
from monitor.terminal.screen import Screen, press
from monitor.terminal.text import Frame, Size, line_width, plain
from monitor.terminal.tty import Key
from tests.builders import NOW, after, before
from tests.terminal.factories import account, state_of

RESETS = after(hours=2, minutes=11)
CROSSED = Alert(AlertKind.THRESHOLD, "work@company.com", "5h", NOW, 0.97, 0.95, RESETS)
FULL = replace(CROSSED, utilization=1.0, threshold=1.0)
OPENED = Screen(opened_at=before(hours=1))


def logged(*entries: LoggedAlert | Alert) -> State:
    both = (
        account(NOW, "home@company.com", ("5h", 12, "2h"), ("7d", 18, "6d")),
        account(NOW, "work@company.com", ("5h", 97, "2h 11m"), ("7d", 65, "4d")),
    )
    log = tuple(LoggedAlert(e, e.at) if isinstance(e, Alert) else e for e in entries)
    return state_of(*both, log=log)


def draw(
    state: State, screen: Screen = OPENED, now: datetime = NOW, size: tuple[int, int] = (100, 16)
) -> Frame:
    return frame(state, screen, now, Size(*size))


def pressed(screen: Screen, state: State, *names: str, now: datetime = NOW) -> Screen:
    for name in names:
        screen, _ = press(screen, Key(name, name if len(name) == 1 else ""), state, now)
    return screen


def top(shown: Frame) -> str:
    return plain(shown.lines[0]).strip()


def rows_with_mark(shown: Frame) -> list[str]:
    return [line for line in shown.text.splitlines()[1:] if "⚠" in line]


def test_an_alert_is_at_the_top_for_thirty_seconds_and_the_row_stays_marked() -> None:
    state = logged(CROSSED)
    words = "⚠ work@ 5h passed 95% · resets 14:11"
    assert top(draw(state)).startswith(words)
    assert "Claude Tracker" in draw(state).text.splitlines()[1]
    assert top(draw(state, now=after(seconds=29))).startswith(words)
    later = draw(state, now=after(seconds=30))
    assert top(later).startswith("Claude Tracker")
    assert ["work@company.com" in row for row in rows_with_mark(later)] == [True]


def test_a_critical_one_stays_until_a_key() -> None:
    state, later = logged(FULL), after(minutes=9)
    assert top(draw(state, now=later)).startswith("⚠ work@ 5h full · resets 14:11")
    moved = pressed(OPENED, state, "j", now=later)
    assert top(draw(state, moved, later)).startswith("Claude Tracker")
    assert rows_with_mark(draw(state, moved, later))


def test_a_key_pressed_as_the_alert_came_does_not_close_it() -> None:
    state = logged(FULL)
    moved = pressed(OPENED, state, "j", now=after(seconds=1))
    assert top(draw(state, moved, after(minutes=9))).startswith("⚠ work@")


@pytest.mark.parametrize("key", ["l", "esc"])
def test_the_log_and_escape_end_the_line_and_the_marks(key: str) -> None:
    state = logged(CROSSED, replace(FULL, account="home@company.com"))
    seen = pressed(pressed(OPENED, state, key), state, "esc")
    assert top(draw(state, seen)).startswith("Claude Tracker")
    assert rows_with_mark(draw(state, seen)) == []


def test_of_several_the_most_urgent_is_named() -> None:
    other = replace(CROSSED, account="home@company.com")
    line = top(draw(logged(FULL, other, other)))
    assert line.startswith("⚠ work@ 5h full · resets 14:11 · 1 more")


def test_a_window_that_is_open_again_is_no_longer_called_full() -> None:
    reset = Alert(AlertKind.RESET, "work@company.com", "5h", NOW, 1.0)
    assert top(draw(logged(FULL, reset))).startswith("✓ work@ 5h open again")


def test_an_alert_after_the_clock_was_set_back_is_news() -> None:
    screen = Screen(opened_at=after(hours=1), cleared_at=after(hours=1)).follow_clock(NOW)
    assert top(draw(logged(CROSSED), screen)).startswith("⚠ work@")


def test_good_news_is_no_warning() -> None:
    reset = Alert(AlertKind.RESET, "work@company.com", "5h", NOW, 0.96)
    assert top(draw(logged(reset))).startswith("✓ work@ 5h open again, was 96%")


def test_what_was_sent_before_the_table_was_opened_is_no_news_and_what_was_not_is() -> None:
    old = replace(CROSSED, at=before(hours=2))
    assert rows_with_mark(draw(logged(LoggedAlert(old, old.at, True, "sent (desktop)")))) == []
    assert rows_with_mark(
        draw(logged(LoggedAlert(old, old.at, False, "not sent (desktop: error)")))
    )
    days = replace(CROSSED, at=before(days=2))
    assert rows_with_mark(draw(logged(days))) == []


def test_the_log_is_the_newest_first_with_what_became_of_each() -> None:
    sent = LoggedAlert(CROSSED, NOW, True, "sent (desktop)")
    failed = LoggedAlert(replace(FULL, at=after(minutes=1)), NOW, False, "not sent (bell: error)")
    waits = LoggedAlert(Alert(AlertKind.LOGIN, "gone@x.org", "", after(minutes=2)), NOW)
    state = logged(sent, failed, waits)
    shown = draw(state, pressed(OPENED, state, "l"), size=(110, 12)).text.splitlines()
    assert [" ".join(line.split()) for line in shown[2:5]] == [
        "12:02:00 gone@x.org login needed not sent yet",
        "12:01:00 work@ 5h full · resets 14:11 not sent (bell: error)",
        "12:00:00 work@ 5h passed 95% · resets 14:11 sent (desktop)",
    ]


def test_a_long_log_is_read_page_by_page_at_every_size() -> None:
    alerts = [replace(CROSSED, at=after(minutes=n), account=f"a{n}@x.org") for n in range(50)]
    state = logged(*alerts)
    for width, height in ((20, 4), (40, 10), (80, 24), (300, 100)):
        screen, seen = pressed(OPENED, state, "l"), ""
        for _ in range(200):
            shown = draw(state, screen, size=(width, height))
            assert all(line_width(line) <= width for line in shown.lines)
            seen += shown.text
            screen = pressed(replace(screen, page=shown.page), state, " ")
        assert all(f"a{n}@" in seen for n in range(50))


def test_without_alerts_the_log_says_so() -> None:
    state = logged()
    assert "no alerts yet" in draw(state, pressed(OPENED, state, "l")).text


@pytest.mark.parametrize("size", [(20, 1), (20, 4), (40, 6), (300, 100)])
def test_the_line_is_on_screens_of_every_size(size: tuple[int, int]) -> None:
    shown = draw(logged(FULL), size=size)
    assert top(shown).startswith("⚠ work@ 5h full")
    assert len(shown.lines) == size[1]
    assert all(line_width(line) <= size[0] for line in shown.lines)


def test_names_of_alerts_cannot_write_on_the_screen() -> None:
    state = logged(replace(FULL, account="evil\x1b[2J\x07", detail="\x1b]0;t\x07"))
    for screen in (OPENED, pressed(OPENED, state, "l")):
        assert not set(draw(state, screen).text) & set("\x1b\x07")


def test_the_window_is_named_by_the_worst_figure() -> None:
    assert draw(logged()).title == "97% work@ 5h · Claude Tracker"
    assert frame(State(), OPENED, NOW, Size(80, 24)).title == "Claude Tracker"


def test_the_newest_alerts_fill_what_is_left_below_a_wide_table() -> None:
    wide = draw(logged(CROSSED), now=after(hours=1), size=(200, 50))
    lines = wide.text.splitlines()
    (row,) = [place for place, line in enumerate(lines) if line.startswith("─ alerts ─")]
    assert "5h passed" in lines[row + 1]
    assert wide.rows[row:] == ()

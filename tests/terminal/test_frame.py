"""The whole screen at many sizes: golden pictures, and that nothing ever exceeds it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wcwidth import wcswidth

from monitor.core.state import NotificationLog, State
from monitor.terminal.frame import Footer, frame
from monitor.terminal.screen import Screen, press
from monitor.terminal.text import Frame, Size, line_width, plain
from monitor.terminal.text import width as width_of
from monitor.terminal.tty import Key
from tests.builders import NOW, after
from tests.terminal import strategies
from tests.terminal.factories import STATES, account, full, state_of

Golden = Callable[[str, str], None]
WIDE = Size(120, 40)


def draw(
    state: State | str, size: tuple[int, int] = WIDE, screen: Screen | None = None, footer: str = ""
) -> Frame:
    state = STATES[state](NOW) if isinstance(state, str) else state
    return frame(state, screen or Screen(), NOW, Size(*size), Footer(metrics=footer))


def after_keys(state: State | str, *keys: str | Key) -> Screen:
    state = STATES[state](NOW) if isinstance(state, str) else state
    screen = Screen()
    for key in keys:
        stroke = key if isinstance(key, Key) else Key(key, key if len(key) == 1 else "")
        screen, _ = press(screen, stroke, state, NOW)
    return screen


@pytest.mark.parametrize(
    ("state", "width", "height"),
    [
        ("twenty", 120, 40),
        ("three", 100, 12),
        ("three", 60, 12),
        ("three", 40, 10),
        ("three", 20, 4),
        ("mixed", 140, 14),
        ("mixed", 100, 14),
        ("mixed", 60, 14),
        ("none", 100, 12),
        ("none", 20, 4),
    ],
)
def test_the_table_at_many_sizes(state: str, width: int, height: int, golden: Golden) -> None:
    shown = draw(state, (width, height), footer="metrics on http://127.0.0.1:15707/metrics")
    golden(f"screen-{state}-{width}x{height}.txt", shown.text)


@pytest.mark.parametrize(("width", "height"), [(120, 40), (40, 16), (20, 4)])
def test_the_details_of_an_account(width: int, height: int, golden: Golden) -> None:
    state = state_of(account(NOW, "user@personal.com", ("5h", 42, "2h")), full(NOW), active=1)
    screen = after_keys(state, "j", " ")
    golden(f"screen-detail-{width}x{height}.txt", draw(state, (width, height), screen).text)


@pytest.mark.parametrize("key", ["a", "e", "d"])
@pytest.mark.parametrize("width", [48, 60, 67, 77])
def test_no_scraps_of_the_table_stand_beside_a_dialog(key: str, width: int) -> None:
    shown = draw("three", (width, 12), after_keys("three", key)).text.splitlines()
    beside = [line for line in shown if line.rstrip().endswith(("│", "┐", "┘"))]
    assert len(beside) > 3
    assert all(line[0] in "│┌└" and width_of(line) == width for line in beside)


PASTED = Key("paste", "sk-ant-sid01-secret")


@pytest.mark.parametrize(
    ("name", "keys", "width", "height"),
    [
        ("help", ["?"], 100, 24),
        ("help", ["?"], 30, 12),
        ("add", ["a", "日", "本", "tab", PASTED], 100, 16),
        ("add", ["a", "日", "本", "tab", PASTED], 20, 4),
        ("edit", ["e"], 60, 14),
        ("delete", ["j", "d"], 100, 16),
        ("delete", ["j", "d"], 20, 4),
    ],
)
def test_dialogs_and_help(
    name: str, keys: list[str | Key], width: int, height: int, golden: Golden
) -> None:
    shown = draw("three", (width, height), after_keys("three", *keys))
    assert "sk-ant" not in shown.text
    golden(f"screen-{name}-{width}x{height}.txt", shown.text)


def test_the_cursor_stands_where_the_next_character_goes() -> None:
    shown = draw("three", (100, 16), after_keys("three", "a", "日", "x"))
    assert shown.cursor is not None
    column, row = shown.cursor
    line = plain(shown.lines[row])
    assert wcswidth(line[: line.index("日x") + 2]) == column
    assert draw("three").cursor is None


def test_twenty_accounts_have_a_row_each() -> None:
    text = draw("twenty").text
    assert all(f"user{number:02}@example.com" in text for number in range(1, 21))


def test_more_accounts_than_fit_scroll_with_the_selection() -> None:
    top = draw("hundred", (80, 10)).text
    assert "user01@" in top
    assert "1 of 100" in top
    bottom = draw("hundred", (80, 10), after_keys("hundred", "G")).text
    assert "user100@" in bottom
    assert "user01@" not in bottom
    assert ">100" in bottom


def title(screen: Screen, state: State | None = None, width: int = 100) -> str:
    return plain(draw(state or STATES["three"](NOW), (width, 12), screen).lines[0])


def test_the_title_shows_the_last_refresh() -> None:
    assert title(Screen()).endswith("Last refresh: 12s ago")
    assert title(Screen(), State()).endswith("Last refresh: --")


def test_the_title_shows_messages_then_what_goes_on_then_what_is_wrong() -> None:
    log = NotificationLog(last_channel="desktop", last_failure="timeout")
    state = replace(STATES["three"](NOW), notifications=log)
    assert "desktop alert failed: timeout" in title(Screen(), state)
    assert "Importing…" in title(after_keys(state, "i"), state)
    assert "Refreshing" in title(after_keys(state, "i").show("Refreshing", NOW), state)
    assert "Refreshing" not in title(Screen().show("Refreshing", after(seconds=-60)), state)


def test_the_title_says_that_alerts_cannot_be_written_down() -> None:
    broken = replace(STATES["three"](NOW), storage_failure="/x/state.db: the disk is full")
    assert "cannot save alerts (disk?)" in title(Screen(), broken)
    assert "written down" not in title(Screen())


@pytest.mark.parametrize(
    ("until", "words"),
    [
        (after(hours=2, minutes=5), "muted until 14:05"),
        (after(hours=20), "muted until Mon 08:00"),
        (NOW, None),
        (None, None),
    ],
)
def test_the_title_says_until_when_alerts_are_muted(
    until: datetime | None, words: str | None
) -> None:
    shown = title(Screen(), replace(STATES["three"](NOW), muted_until=until))
    assert (words or "muted") in shown or words is None
    assert ("muted" in shown) == (words is not None)


def test_a_message_comes_before_the_mute_and_the_mute_before_an_old_failure() -> None:
    log = NotificationLog(last_channel="desktop", last_failure="timeout")
    muted = replace(STATES["three"](NOW), muted_until=after(hours=1), notifications=log)
    assert "muted until 13:00" in title(Screen(), muted)
    assert "Refreshing" in title(Screen().show("Refreshing", NOW), muted)
    assert "desktop alert failed" in title(Screen(), replace(muted, muted_until=NOW))


def test_a_narrow_title_holds_what_it_can() -> None:
    muted = replace(STATES["three"](NOW), muted_until=after(hours=1))
    assert all(len(title(Screen(), muted, width=width)) <= width for width in range(1, 60))


def test_the_help_names_the_key_that_mutes() -> None:
    assert "mute alerts for 1 h" in draw("three", screen=after_keys("three", "?")).text


def test_a_long_message_goes_before_the_name_and_the_last_refresh() -> None:
    text = "The configuration file was changed by hand; press r"
    assert title(Screen().show(text, NOW), width=54).strip() == text


def test_where_metrics_are_is_in_the_help_alone_and_who_polls_stays_in_sight() -> None:
    state, footer = (
        STATES["three"](NOW),
        Footer("attached to monitor (pid 42)", metrics="http://x/metrics"),
    )
    table = frame(state, Screen(), NOW, Size(140, 20), footer).text
    assert table.splitlines()[-2].rstrip().endswith("attached to monitor (pid 42)")
    assert "http://x/metrics" not in table
    assert (
        "http://x/metrics" in frame(state, after_keys(state, "?"), NOW, Size(140, 40), footer).text
    )
    broken = Footer("port 15707 is taken", is_problem=True)
    assert frame(state, Screen(), NOW, Size(140, 20), broken).text.splitlines()[-2] == (
        " port 15707 is taken"
    )


@pytest.mark.parametrize("size", [(60, 12), (40, 6), (20, 6)])
def test_a_message_that_no_title_holds_has_lines_of_its_own(size: tuple[int, int]) -> None:
    text = "No login of Claude Code was found in ~/.claude: run claude, then i"
    shown = draw("three", size, Screen().show(text, NOW, is_error=True)).text
    assert text in " ".join(shown.split())
    assert "user@" in shown


def test_a_message_is_seen_on_the_lowest_screen() -> None:
    assert "No" in draw("three", (20, 1), Screen().show("No keyring", NOW, is_error=True)).text


def test_an_error_of_a_dialog_is_shown_in_it_at_every_size() -> None:
    saving = after_keys("three", "a", "n", "tab", "k", "tab", "o", "enter")
    text = "Keyring is locked: unlock it in the password manager of your desktop, then press Enter"
    screen = saving.settle(text, NOW, is_error=True)
    for size in ((100, 16), (40, 9), (20, 10)):
        shown = draw("three", size, screen).text.replace("│", "")
        assert text in " ".join(shown.split())
    assert "Keyring is locked" in draw("three", (20, 4), screen).text


def test_details_stand_below_the_rows_where_there_is_room_for_both() -> None:
    assert "─ user@personal.com ─" in draw("three", (120, 40)).text
    assert "─ user01@example.com ─" in draw("twenty", (120, 40)).text
    assert "─ user" not in draw("twenty", (120, 30)).text
    assert "─ user" not in draw("three", (80, 18)).text


def test_wide_screens_have_the_details_beside_the_table() -> None:
    lines = draw("twenty", (160, 24)).text.splitlines()
    assert "7d Bar" in lines[1]
    assert lines[1].endswith("─" * 20)
    assert "5h limit" in lines[2]
    assert "user20@example.com" in draw("twenty", (200, 24)).text
    assert "─ user" not in draw("twenty", (159, 24)).text


def test_space_closes_the_details_that_are_open_and_opens_them_again() -> None:
    state = STATES["twenty"](NOW)
    screen, seen = Screen(), []
    for _ in range(3):
        shown = draw(state, (200, 24), screen)
        seen.append("─ user01@example.com ─" in shown.text)
        screen = replace(screen, has_detail=shown.has_detail)
        screen, _ = press(screen, Key(" ", " "), state, NOW)
    assert seen == [True, False, True]


def test_details_are_read_page_by_page_on_a_small_screen() -> None:
    state = state_of(full(NOW))
    screen, seen = after_keys(state, " "), ""
    for _ in range(60):
        shown = draw(state, (20, 4), screen)
        seen += shown.text
        screen, _ = press(replace(screen, page=shown.page), Key("pgdn"), state, NOW)
    assert all(word in seen for word in ("5h  87%", "7d opus  12%", "max_20x", "Token"))


def test_names_cannot_write_on_the_screen() -> None:
    state = state_of(account(NOW, "evil\x1b[2J\x1b]0;t\x07\u202eeman\nx", ("5h", 1, "2h")))
    text = draw(state, screen=after_keys(state, " ")).text
    assert "evileman x" in text
    assert not set(text) & set("\x1b\x07\u202e")


sizes = st.one_of(
    st.tuples(st.integers(1, 300), st.integers(1, 100)),
    st.tuples(st.integers(1, 60), st.integers(1, 12)),
)


openers = st.sampled_from(
    [[], [], ["?"], [" "], ["a"], ["e"], ["d"], ["e", "enter"], ["l"], ["/"], ["o"]]
)


@settings(max_examples=300)
@given(
    state=strategies.states,
    opener=openers,
    keys=st.lists(strategies.keys, max_size=5),
    size=sizes,
    footer=strategies.texts,
    error=st.none() | strategies.texts,
)
def test_a_frame_never_exceeds_the_screen(
    state: State,
    opener: list[str | Key],
    keys: list[Key],
    size: tuple[int, int],
    footer: str,
    error: str | None,
) -> None:
    screen = after_keys(state, *opener, *keys)
    if error is not None:
        screen = screen.settle(error, NOW, is_error=True)
    shown = frame(state, screen, NOW, Size(*size), Footer(footer, is_problem=True))
    width, height = size
    assert len(shown.lines) == height
    for line in shown.lines:
        assert line_width(line) <= width
        assert 0 <= wcswidth(plain(line)) <= width
        plain(line).encode()
    if shown.cursor is not None:
        column, row = shown.cursor
        assert 0 <= column < width
        assert 0 <= row < height

"""The bytes between two frames, as a terminal understands them."""

import pyte
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.state import State
from monitor.terminal.canvas import Picture, Size
from monitor.terminal.diff import Capabilities, repaint
from monitor.terminal.frame import frame
from monitor.terminal.screen import Screen
from monitor.terminal.style import Style, plain, text_line
from tests.builders import NOW, after
from tests.terminal import hostile_texts
from tests.terminal.factories import STATES

CAN = Capabilities(
    enter="",
    leave="",
    styles={Style.HOT: "\x1b[31m"},
    bold="\x1b[1m",
    normal="\x1b[m",
    clear="\x1b[H\x1b[2J",
    clear_to_end_of_line="\x1b[K",
    show_cursor="\x1b[?25h",
    hide_cursor="\x1b[?25l",
    move=lambda column, row: f"\x1b[{row + 1};{column + 1}H",
)
SIZE = Size(100, 12)


def picture(seconds: float = 0, state: str = "three", size: Size = SIZE) -> Picture:
    return frame(STATES[state](NOW), Screen(), after(seconds=seconds), size).picture


def test_the_first_frame_clears_the_screen_and_no_later_one_does() -> None:
    assert CAN.clear.encode() in repaint(None, picture(), SIZE, CAN)
    assert CAN.clear.encode() not in repaint(picture(), picture(1), SIZE, CAN)


def test_a_frame_is_one_synchronized_update() -> None:
    data = repaint(None, picture(), SIZE, CAN)
    assert data.startswith(b"\x1b[?2026h")
    assert data.endswith(b"\x1b[?2026l")


def test_the_same_frame_is_not_written_again() -> None:
    assert repaint(picture(), picture(), SIZE, CAN) == b""


def test_only_lines_that_differ_are_written() -> None:
    data = repaint(picture(), picture(1), SIZE, CAN).decode()
    assert "Last refresh: 13s ago" in data
    assert "37m 59s" in data
    assert "user@personal.com" in data  # 2h 14m has just become 2h 13m
    assert "5h Bar" not in data
    assert len(repaint(picture(1), picture(2), SIZE, CAN)) < 1000


def test_a_line_of_the_full_width_is_not_cleared_at_its_end() -> None:
    size = Size(4, 2)
    full = Picture((text_line("abcd"), text_line("abc")))
    data = repaint(Picture(((), ())), full, size, CAN).decode()
    assert "abcd\x1b[m\x1b[2;1H" in data
    assert "abc\x1b[m\x1b[K" in data


def test_a_cursor_that_moves_is_written_though_no_line_differs() -> None:
    lines = (text_line("abc"),)
    data = repaint(Picture(lines), Picture(lines, (2, 0)), Size(4, 1), CAN)
    assert data.endswith(b"\x1b[1;3H\x1b[?25h\x1b[?2026l")


@settings(max_examples=60)
@given(hostile_texts.states, hostile_texts.states, st.integers(5, 60), st.integers(2, 12))
def test_a_terminal_shows_the_newest_frame_after_any_two(
    first: State, second: State, width: int, height: int
) -> None:
    size = Size(width, height)
    screen = pyte.Screen(width, height)
    stream = pyte.ByteStream(screen)
    old = frame(first, Screen(), NOW, size).picture
    new = frame(second, Screen(), NOW, size).picture
    stream.feed(repaint(None, old, size, CAN))
    stream.feed(repaint(old, new, size, CAN))
    expected = [plain(line).rstrip() for line in new.lines]
    if all(text.isascii() for text in expected):
        assert [str(line).rstrip() for line in screen.display] == expected

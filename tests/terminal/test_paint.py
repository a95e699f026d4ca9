"""What is written to show a frame: the bytes between two frames, and the sequences of many terminals."""

import io
import os
import pty
from collections.abc import Iterator

import blessed
import pyte
import pytest
from blessed.colorspace import RGB_256TABLE
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.state import Display, State, Theme
from monitor.terminal.frame import frame
from monitor.terminal.paint import BACKS, Painter, open_terminal
from monitor.terminal.screen import Screen
from monitor.terminal.text import Back, Frame, Size, Span, Style, plain, text_line
from tests.builders import NOW, after
from tests.terminal import strategies
from tests.terminal.factories import STATES

TERM = blessed.Terminal(kind="xterm-256color", stream=io.StringIO(), force_styling=True)
PAINTER = Painter(TERM)
SIZE = Size(100, 12)


def drawn(seconds: float = 0, state: str = "three", size: Size = SIZE) -> Frame:
    return frame(STATES[state](NOW), Screen(), after(seconds=seconds), size)


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """As the Web Content Accessibility Guidelines define it, from 1 to 21."""

    def luminance(colour: tuple[int, ...]) -> float:
        parts = [part / 255 for part in colour]
        red, green, blue = (
            p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


GROUNDS = {
    Theme.DARK: ((0, 0, 0), (0x1E, 0x1E, 0x1E), BACKS[Back.SELECTED][0]),
    Theme.LIGHT: ((255, 255, 255), (0xFD, 0xF6, 0xE3), BACKS[Back.SELECTED][1]),
}
"""Of usual terminals, and of the selected row."""

COLOUR_OF_TEXT = {Theme.DARK: (229, 229, 229), Theme.LIGHT: (0, 0, 0)}


def shown_colour(sequence: str, theme: Theme) -> tuple[int, ...]:
    """The colour that a sequence stands for in xterm's palette; of eight colours, bold makes bright ones."""
    screen = pyte.Screen(1, 1)
    pyte.Stream(screen).feed(f"{sequence}x")
    cell = screen.buffer[0][0]
    if cell.fg == "default":
        return COLOUR_OF_TEXT[theme]
    names = ("black", "red", "green", "brown", "blue", "magenta", "cyan", "white")
    if (name := cell.fg.removeprefix("bright")) in names:
        number = names.index(name) + 8 * (cell.bold or name != cell.fg)
        return tuple(RGB_256TABLE[number])
    return tuple(bytes.fromhex(cell.fg))


@pytest.mark.parametrize("kind", ["xterm-256color", "xterm-16color", "xterm"])
@pytest.mark.parametrize("theme", [Theme.DARK, Theme.LIGHT])
def test_every_text_is_readable_on_its_ground(kind: str, theme: Theme) -> None:
    term = blessed.Terminal(kind=kind, stream=io.StringIO(), force_styling=True)
    painter = Painter(term, ground=theme)
    looks = {style: painter.look(Span("x", style)) for style in Style if style is not Style.TRACK}
    faint = {
        (style, ground): round(contrast(shown_colour(look, theme), ground), 2)
        for style, look in looks.items()
        if look
        for ground in GROUNDS[theme][: 3 if kind == "xterm-256color" else 1]
        if contrast(shown_colour(look, theme), ground) < 4.5
    }
    assert not faint
    assert sum(map(bool, looks.values())) >= 5
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)


def test_a_new_theme_is_drawn_in_new_colours() -> None:
    painter = Painter(TERM)
    dark = painter.look(Span("x", Style.COOL))
    assert painter.use(Display(Theme.LIGHT))
    light = painter.look(Span("x", Style.COOL))
    assert light != dark
    assert not painter.use(Display(Theme.LIGHT))
    assert painter.use(Display())  # back to the ground that the terminal has
    assert painter.use(Display(), Theme.LIGHT)
    assert painter.look(Span("x", Style.COOL)) == light


def test_a_track_is_a_ground_where_the_terminal_has_one_and_else_a_character() -> None:
    track = Span("░░", Style.TRACK, back=Back.TRACK)
    assert PAINTER.letters(track) == "  "
    assert "48;5;" in PAINTER.look(track)
    assert Painter(TERM, coloured=False).letters(track) == "░░"
    assert PAINTER.letters(Span(" | ", Style.TRACK, back=Back.SELECTED)) == " | "


def test_every_second_bar_has_another_shade() -> None:
    shades = {PAINTER.look(Span("█", Style.FULL, back=back)) for back in (Back.TRACK, Back.STRIPE)}
    assert len(shades) == 2


def test_plain_characters_stand_for_all_that_is_drawn() -> None:
    plain_one = Painter(TERM)
    assert plain_one.use(Display(ascii=True))
    data = plain_one.repaint(None, drawn(state="twenty"), SIZE)
    assert data.isascii()
    assert plain_one.letters(Span("jörg…")) == "jörg~"


def test_the_first_frame_clears_the_screen_and_no_later_one_does() -> None:
    assert TERM.clear.encode() in PAINTER.repaint(None, drawn(), SIZE)
    assert TERM.clear.encode() not in PAINTER.repaint(drawn(), drawn(1), SIZE)


def test_a_frame_is_one_synchronized_update() -> None:
    data = PAINTER.repaint(None, drawn(), SIZE)
    assert data.startswith(b"\x1b[?2026h")
    assert data.endswith(b"\x1b[?2026l")


def test_the_same_frame_is_not_written_again() -> None:
    assert PAINTER.repaint(drawn(), drawn(), SIZE) == b""


def test_only_cells_that_differ_are_written() -> None:
    data = PAINTER.repaint(drawn(1), drawn(2), SIZE).decode()
    assert data.startswith("\x1b[1;94H\x1b[38;5;247m4\x1b[")  # Last refresh: 14s ago
    assert data.endswith("8\b\x1bD8")  # 37m 58s, and 11m 58s below it
    assert len(data) < 40


def test_a_line_of_the_full_width_is_not_cleared_at_its_end() -> None:
    size = Size(4, 2)
    full = Frame((text_line("abcd"), text_line("abc")))
    data = PAINTER.repaint(Frame(((), ())), full, size).decode()
    assert "abcd\x1b[2;1H" in data
    assert "abc\x1b[K" in data


def test_a_cursor_that_moves_is_written_though_no_line_differs() -> None:
    lines = (text_line("abc"),)
    data = PAINTER.repaint(Frame(lines), Frame(lines, cursor=(2, 0)), Size(4, 1))
    assert data.endswith(b"\x1b[1;3H\x1b[?12l\x1b[?25h")


@pytest.mark.parametrize(
    ("before", "later"),
    [
        (("abcd", "abcd"), ("abXY", "abcZ")),
        (("中xe\u0301", ""), ("中ye\u0301", "")),
    ],
)
def test_a_change_at_the_end_of_a_line_stands_in_its_place(
    before: tuple[str, str], later: tuple[str, str]
) -> None:
    old, new = (Frame(tuple(map(text_line, lines))) for lines in (before, later))
    screen = pyte.Screen(4, 2)
    stream = pyte.ByteStream(screen)
    stream.feed(PAINTER.repaint(None, old, Size(4, 2)))
    stream.feed(PAINTER.repaint(old, new, Size(4, 2)))
    alone = pyte.Screen(4, 2)
    pyte.ByteStream(alone).feed(PAINTER.repaint(None, new, Size(4, 2)))
    assert screen.display == alone.display


@settings(max_examples=60)
@given(strategies.states, strategies.states, st.integers(5, 60), st.integers(2, 12))
def test_a_terminal_shows_the_newest_frame_after_any_two(
    first: State, second: State, width: int, height: int
) -> None:
    size = Size(width, height)
    screen = pyte.Screen(width, height)
    stream = pyte.ByteStream(screen)
    old = frame(first, Screen(), NOW, size)
    new = frame(second, Screen(), NOW, size)
    stream.feed(PAINTER.repaint(None, old, size))
    stream.feed(PAINTER.repaint(old, new, size))
    expected = [plain(line).rstrip() for line in new.lines]
    if all(text.isascii() for text in expected):
        assert [str(line).rstrip() for line in screen.display] == expected


@pytest.fixture
def slave() -> Iterator[int]:
    ends = pty.openpty()
    yield ends[1]
    for end in ends:
        os.close(end)


def painter(slave: int, monkeypatch: pytest.MonkeyPatch, term: str, **env: str) -> Painter:
    for name in ("NO_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": term, **env}.items():
        monkeypatch.setenv(name, value)
    return Painter(open_terminal(slave), coloured="NO_COLOR" not in env)


def paint(painter: Painter, style: Style) -> str:
    """What a frame of one character in a style is written as, without what stands around it."""
    old, new = Frame(((),)), Frame(((Span("x", style),),))
    data = painter.repaint(old, new, Size(1, 1)).decode()
    return data.partition("x")[0].removeprefix(painter.term.move_xy(0, 0))


@pytest.mark.parametrize(
    ("term", "hot"),
    [
        ("xterm-256color", "\x1b[38;5;209m"),
        ("xterm-ghostty", "\x1b[38;5;209m"),
        ("no-such-terminal", "\x1b[38;5;209m"),
        ("xterm", "\x1b[31m\x1b[1m"),
        ("linux", "\x1b[31m\x1b[1m"),
        ("vt100", ""),
    ],
)
def test_a_terminal_gets_the_nearest_of_its_own_colours(
    slave: int, monkeypatch: pytest.MonkeyPatch, term: str, hot: str
) -> None:
    assert paint(painter(slave, monkeypatch, term), Style.HOT) == hot
    assert paint(painter(slave, monkeypatch, term, COLORTERM="truecolor"), Style.HOT) == hot
    assert os.environ["COLORTERM"] == "truecolor"


def test_grey_is_left_to_terminals_that_have_one(
    slave: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert paint(painter(slave, monkeypatch, "xterm-256color"), Style.DIM) == "\x1b[38;5;247m"
    assert paint(painter(slave, monkeypatch, "xterm"), Style.DIM) == ""


@pytest.mark.parametrize("term", ["xterm-256color", "tmux-256color", "screen-256color"])
def test_the_window_has_a_title_and_gets_its_own_back(
    slave: int, monkeypatch: pytest.MonkeyPatch, term: str
) -> None:
    one = painter(slave, monkeypatch, term)
    assert one.title("97% work@ 5h") == b"\x1b]2;97% work@ 5h\x1b\\"
    assert ("\x1b[22;" in one.enter, "\x1b[23;" in one.leave) == (True, True)
    assert one.copy("claude") == b"\x1b]52;c;Y2xhdWRl\x1b\\"


@pytest.mark.parametrize("term", ["linux", "vt100", "cons25"])
def test_a_console_is_sent_no_title_and_nothing_to_copy(
    slave: int, monkeypatch: pytest.MonkeyPatch, term: str
) -> None:
    one = painter(slave, monkeypatch, term)
    assert one.title("97%") + one.copy("claude") == b""
    assert "\x1b[22;" not in one.enter


@pytest.mark.parametrize("term", ["xterm-256color", "no-such-terminal"])
def test_no_color_takes_the_colours_and_nothing_else(
    slave: int, monkeypatch: pytest.MonkeyPatch, term: str
) -> None:
    plain_one = painter(slave, monkeypatch, term, NO_COLOR="1")
    assert not any(paint(plain_one, style) for style in Style)
    assert plain_one.enter.startswith("\x1b[?1049h")
    data = plain_one.repaint(None, Frame(((Span("x", bold=True),),)), Size(2, 1))
    assert b"\x1b[1;1H\x1b[1mx\x1b[m" in data


@pytest.mark.parametrize("term", ["xterm-256color", "screen-256color", "linux", "rxvt", "cons25"])
def test_what_the_full_screen_mode_changes_it_changes_back(
    slave: int, monkeypatch: pytest.MonkeyPatch, term: str
) -> None:
    shown = painter(slave, monkeypatch, term)
    pairs = (("\x1b[?1049h", "\x1b[?1049l"), ("\x1b[?25l", "\x1b[?25h"), ("\x1b[?7l", "\x1b[?7h"))
    for on, off in (*pairs, ("\x1b[?2004h", "\x1b[?2004l")):
        assert (on in shown.enter) <= (off in shown.leave)
    assert "\x1b[?2004h" in shown.enter

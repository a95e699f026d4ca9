"""Text in cells: nothing is wider than its place; and styled lines, which are cut, laid over others, scrolled."""

from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth

from monitor.core.sanitize import clean
from monitor.terminal.text import (
    CURSOR,
    Line,
    Size,
    Span,
    Style,
    box,
    clip,
    fit,
    fit_all,
    hang,
    key_bar,
    line_width,
    overlay,
    pad,
    paginate,
    plain,
    scroll_to,
    text_line,
    width,
    wrap,
)
from tests.terminal import strategies

lines = st.lists(
    st.builds(Span, text=strategies.texts.map(clean), style=st.sampled_from(Style)),
    max_size=4,
).map(tuple)


def test_a_line_that_fits_stays_as_it_is() -> None:
    line = (Span("ab", Style.HOT), Span("cd"))
    assert fit(line, 4) == line


def test_a_cut_line_keeps_its_styles_and_ends_in_an_ellipsis() -> None:
    line = (Span("ab", Style.HOT), Span("cd", Style.COOL), Span("ef"))
    assert fit(line, 4) == (Span("ab", Style.HOT), Span("c…", Style.COOL))
    assert plain(fit(line, 2)) == "a…"
    assert plain(fit(line, 0)) == ""


@given(lines, st.integers(0, 60))
def test_a_fitted_line_is_never_wider(line: Line, room: int) -> None:
    assert line_width(fit(line, room)) <= room


@given(strategies.texts)
def test_clean_text_has_a_width_and_can_be_encoded(text: str) -> None:
    assert wcswidth(clean(text)) >= 0
    clean(text).encode()


@given(strategies.texts, st.integers(0, 40))
def test_a_clipped_text_is_never_wider(text: str, room: int) -> None:
    clipped = clip(clean(text), room)
    assert width(clipped) <= room


@given(strategies.texts, st.integers(0, 40))
def test_a_padded_text_has_exactly_its_width(text: str, room: int) -> None:
    assert width(pad(clean(text), room)) == room


@given(strategies.texts, st.integers(1, 40))
def test_wrapped_lines_are_never_wider(text: str, room: int) -> None:
    assert all(width(line) <= room for line in wrap(clean(text), room))


def test_a_cut_is_marked_by_an_ellipsis() -> None:
    assert clip("user@work.com", 8) == "user@wo…"
    assert clip("日本語", 4) == "日…"
    assert clip("user", 1) == "…"
    assert clip("user", 0) == ""


def test_text_is_wrapped_between_words_and_long_words_within() -> None:
    assert wrap("press i or a", 7) == ["press i", "or a"]
    assert wrap("abcdefgh", 3) == ["abc", "def", "gh"]
    assert wrap("", 3) == [""]


def test_text_can_stand_at_the_right() -> None:
    assert pad("42%", 5, right=True) == "  42%"


def test_a_bar_of_keys_leaves_out_what_is_missed_least() -> None:
    keys = (("a", "add", 2), ("m", "mute", 0), ("q", "quit", 9))
    assert plain(key_bar(keys, 40)) == " a add  m mute  q quit"
    assert plain(key_bar(keys, 16)) == " a add  q quit"
    assert plain(key_bar(keys, 3)) == ""


def test_the_end_of_a_long_value_goes_on_below_itself_or_below_the_whole_value() -> None:
    value = (Span("91%  ", Style.HOT), Span("resets today and never again"))
    first, second = hang(Span(" 5h "), value, 24)
    assert (plain(first), plain(second)) == (" 5h 91%  resets today", "         and never again")
    assert first[1] == value[0]
    narrow = [plain(line) for line in hang(Span(" 5h "), value, 18)]
    assert narrow == [" 5h 91% resets", "    today and", "    never again"]


@given(lines, st.integers(20, 80))
def test_no_hanging_line_is_too_long(value: Line, room: int) -> None:
    assert all(line_width(line) <= room for line in hang(Span(" 5h "), value, room))


TEN = [text_line(str(number)) for number in range(10)]


def test_a_line_laid_over_another_hides_what_is_under_it() -> None:
    base = (Span("abcdef", Style.DIM),)
    assert overlay(base, (Span("XY"),), 2) == (
        Span("ab", Style.DIM),
        Span("XY"),
        Span("ef", Style.DIM),
    )
    assert plain(overlay((), (Span("XY"),), 2)) == "  XY"


def test_half_of_a_wide_character_is_a_space() -> None:
    assert plain(overlay((Span("日本語"),), (Span("XY"),), 1)) == " XY 語"


@given(lines, lines, st.integers(0, 40))
def test_laying_over_keeps_the_place_of_all_that_is_seen(base: Line, top: Line, left: int) -> None:
    width = max(line_width(base), left + line_width(top))
    assert line_width(overlay(base, top, left)) == width


def test_a_box_holds_its_lines_and_their_cursor() -> None:
    boxed = box("Title", ((Span("ab"), CURSOR), text_line("abcdefghijk")), 12)
    assert [plain(line) for line in boxed] == [
        "┌─ Title ──┐",
        "│ab        │",
        "│abcdefghi…│",
        "└──────────┘",
    ]
    assert [any(span is CURSOR for span in line) for line in boxed] == [False, True, False, False]


def test_lines_have_the_size_that_they_are_fitted_to() -> None:
    assert fit_all((text_line("abc"),), Size(2, 3)) == (text_line("a…"), (), ())
    assert fit_all((text_line("abc"), text_line("d")), Size(3, 1)) == (text_line("abc"),)


def test_many_lines_are_scrolled_to_one_of_them() -> None:
    assert scroll_to(TEN, 3, 0) == tuple(TEN[:3])
    assert scroll_to(TEN, 3, 5) == tuple(TEN[4:7])
    assert scroll_to(TEN, 3, 9) == tuple(TEN[7:])


def test_a_page_past_the_end_is_the_last_one() -> None:
    assert paginate(TEN, 4, 1) == (tuple(TEN[4:8]), 1)
    assert paginate(TEN, 4, 7) == (tuple(TEN[8:]), 2)

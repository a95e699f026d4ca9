"""Pictures: how one is laid over another, and which part of many lines is shown."""

from hypothesis import given
from hypothesis import strategies as st

from monitor.terminal.text import (
    Line,
    Picture,
    Size,
    Span,
    Style,
    box,
    line_width,
    overlay,
    paginate,
    plain,
    scroll_to,
    text_line,
)
from tests.terminal.test_text import lines

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


def test_a_box_holds_its_picture_and_moves_its_cursor() -> None:
    boxed = box("Title", Picture((text_line("ab"), text_line("abcdefghijk")), (2, 0)), 12)
    assert [plain(line) for line in boxed.lines] == [
        "┌─ Title ──┐",
        "│ab        │",
        "│abcdefghi…│",
        "└──────────┘",
    ]
    assert boxed.cursor == (3, 1)


def test_a_picture_has_the_size_that_it_is_fitted_to() -> None:
    fitted = Picture((text_line("abc"),), (2, 0)).fit(Size(2, 3))
    assert fitted == Picture((text_line("a…"), (), ()), None)
    assert Picture((text_line("abc"),), (2, 0)).fit(Size(3, 1)).cursor == (2, 0)


def test_many_lines_are_scrolled_to_one_of_them() -> None:
    assert scroll_to(TEN, 3, 0) == tuple(TEN[:3])
    assert scroll_to(TEN, 3, 5) == tuple(TEN[4:7])
    assert scroll_to(TEN, 3, 9) == tuple(TEN[7:])


def test_a_page_past_the_end_is_the_last_one() -> None:
    assert paginate(TEN, 4, 1) == (tuple(TEN[4:8]), 1)
    assert paginate(TEN, 4, 7) == (tuple(TEN[8:]), 2)

"""Styled lines: fitting them, and laying one over another."""

from hypothesis import given
from hypothesis import strategies as st

from monitor.terminal import widths
from monitor.terminal.style import Line, Span, Style, fitted, line_width, over, plain
from tests.terminal import hostile_texts

lines = st.lists(
    st.builds(Span, text=hostile_texts.texts.map(widths.clean), style=st.sampled_from(Style)),
    max_size=4,
).map(tuple)


def test_a_line_that_fits_stays_as_it_is() -> None:
    line = (Span("ab", Style.HOT), Span("cd"))
    assert fitted(line, 4) == line


def test_a_cut_line_keeps_its_styles_and_ends_in_an_ellipsis() -> None:
    line = (Span("ab", Style.HOT), Span("cd", Style.COOL), Span("ef"))
    assert fitted(line, 4) == (Span("ab", Style.HOT), Span("c…", Style.COOL))
    assert plain(fitted(line, 2)) == "a…"
    assert plain(fitted(line, 0)) == ""


def test_a_line_laid_over_another_hides_what_is_under_it() -> None:
    base = (Span("abcdef", Style.DIM),)
    assert over(base, (Span("XY"),), 2) == (
        Span("ab", Style.DIM),
        Span("XY"),
        Span("ef", Style.DIM),
    )
    assert plain(over((), (Span("XY"),), 2)) == "  XY"


def test_half_of_a_wide_character_is_a_space() -> None:
    assert plain(over((Span("日本語"),), (Span("XY"),), 1)) == " XY 語"


@given(lines, st.integers(0, 60))
def test_a_fitted_line_is_never_wider(line: Line, room: int) -> None:
    assert line_width(fitted(line, room)) <= room


@given(lines, lines, st.integers(0, 40))
def test_laying_over_keeps_the_place_of_all_that_is_seen(base: Line, top: Line, left: int) -> None:
    width = max(line_width(base), left + line_width(top))
    assert line_width(over(base, top, left)) == width

"""Text in cells: nothing hostile passes, nothing is wider than its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth, wcwidth

from monitor.terminal import widths
from tests.terminal.hostile_texts import texts


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("user@work.com", "user@work.com"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07name", "name"),
        ("\x1b]8;;https://evil.example\x1b\\name\x1b]8;;\x1b\\", "name"),
        ("\x1bPq\x1b\\name", "name"),
        ("\x9b31mname", "name"),
        ("name\x1b", "name"),
        ("name\x1b[", "name"),
        ("two\nlines\tand a tab", "two lines and a tab"),
        ("bell\x07back\b\x00", "bellback"),
        ("\u202eevil\u202c \u2066x\u2069", "evil x"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("half\ud800", "half\ufffd"),
        ("日本語", "日本語"),
        ("e\u0301", "é"),
        ("a\u2028b", "a b"),
    ],
)
def test_what_a_terminal_would_obey_is_taken_out(text: str, shown: str) -> None:
    assert widths.clean(text) == shown


@given(texts)
def test_clean_text_is_printable_and_stays_as_it_is(text: str) -> None:
    shown = widths.clean(text)
    assert wcswidth(shown) >= 0
    assert not set(shown) & set("\x1b\n\r\t\x07\u202e\u2066")
    shown.encode()
    assert len(shown) <= widths.LONGEST


@given(texts, st.integers(0, 40))
def test_a_clipped_text_is_never_wider(text: str, room: int) -> None:
    clipped = widths.clip(widths.clean(text), room)
    assert widths.width(clipped) <= room


@given(texts, st.integers(0, 40))
def test_a_padded_text_has_exactly_its_width(text: str, room: int) -> None:
    assert widths.width(widths.pad(widths.clean(text), room)) == room


@given(texts, st.integers(1, 40))
def test_wrapped_lines_are_never_wider(text: str, room: int) -> None:
    assert all(widths.width(line) <= room for line in widths.wrap(widths.clean(text), room))


def test_a_cut_is_told_by_an_ellipsis() -> None:
    assert widths.clip("user@work.com", 8) == "user@wo…"
    assert widths.clip("日本語", 4) == "日…"
    assert widths.clip("user", 1) == "…"
    assert widths.clip("user", 0) == ""


def test_text_is_wrapped_between_words_and_long_words_within() -> None:
    assert widths.wrap("press i or a", 7) == ["press i", "or a"]
    assert widths.wrap("abcdefgh", 3) == ["abc", "def", "gh"]
    assert widths.wrap("", 3) == [""]


def test_text_can_stand_at_the_right() -> None:
    assert widths.pad("42%", 5, right=True) == "  42%"


def test_characters_known_to_take_one_cell_take_one() -> None:
    known = [
        chr(code)
        for first, last in widths.ONE_CELL
        for code in range(ord(first), ord(last) + 1)
        if widths.shown(chr(code)) == chr(code)
    ]
    assert len(known) > 1000
    assert {max(wcwidth(char), wcswidth(f"a{char}") - 1, 0) for char in known} == {1}

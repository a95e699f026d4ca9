"""Foreign text: nothing of it is obeyed, whoever shows it, and names stay readable."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.sanitize import (
    LONGEST,
    LONGEST_NAME,
    SHOWN_OF_A_NAME,
    clean_uncached,
    one_line,
    ordinary,
    printable,
)

HOSTILE = st.text(
    st.sampled_from(
        "a1;[]PX^_m\x07\x1b\x90\x98\x9b\x9c\x9d\\\r\n\t \u202e\u2066\u200d\u2028\ud800\ufe0f"
    )
)


@pytest.mark.parametrize(
    ("name", "visible"),
    [
        ("a\x1b[31mred\x1b[0m", "ared"),
        ("a\x1b[31", "a"),
        ("a\x1b]0;title\x07b", "ab"),
        ("a\x1b]0;title", "a"),
        ("a\x1bXstring\x1b\\b", "ab"),
        ("a\x98string\x9cb", "ab"),
        ("a\x1b]8;;http://x\x1b\\b", "ab"),
        ("a\x9b31mb\x9d0;t\x9cc", "abc"),
        ("a\u202egnp.exe", "agnp.exe"),
        ("a\u2066b\u2069\u200f\ufeffc", "abc"),
        (" a\r\nb\tc\u2028d  e\u00a0 ", "a b c d e"),
        ("a\x00b\x07\x7f", "ab"),
        ("a\ud800b", "a\ufffdb"),
        ("Zoë 李雷", "Zoë 李雷"),
        ("👩\u200d💻 ☎\ufe0f", "👩💻 ☎"),
        ("x" * 200, "x" * (SHOWN_OF_A_NAME - 1) + "…"),
        ("x " * 200, "x " * 49 + "x…"),
    ],
)
def test_names_are_reduced_to_one_line_of_visible_text(name: str, visible: str) -> None:
    assert one_line(name) == visible


@given(HOSTILE | st.text(st.characters()))
def test_no_text_brings_anything_that_is_obeyed(text: str) -> None:
    for shown in (clean_uncached(text), one_line(text), printable(text), ordinary(text)):
        assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
        shown.encode()
    assert len(clean_uncached(text)) <= LONGEST
    assert len(one_line(text)) <= SHOWN_OF_A_NAME


@given(st.text(st.characters()))
def test_what_is_printable_keeps_its_columns(text: str) -> None:
    assert len(printable(text)) == len(text)


@pytest.mark.parametrize("name", ["", "user@work.com", "Zoë 李雷", "x" * LONGEST_NAME])
def test_an_ordinary_name_stays_as_it_is(name: str) -> None:
    assert ordinary(name) == name


@pytest.mark.parametrize("name", ["a\x1b[31m", "a\nb", "a\u202eb", "x" * 255, None, 7, ["a"]])
def test_any_other_name_is_none(name: object) -> None:
    assert ordinary(name) == ""


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
    assert clean_uncached(text) == shown

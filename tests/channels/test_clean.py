import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.channels.clean import NAME_LENGTH, cleaned, escape_markup


@pytest.mark.parametrize(
    ("name", "visible"),
    [
        ("a\x1b[31mred\x1b[0m", "ared"),
        ("a\x1b]0;title\x07b", "ab"),
        ("a\x1b]8;;http://x\x1b\\b", "ab"),
        ("a\x9b31mb\x9d0;t\x9cc", "abc"),
        ("a\u202egnp.exe", "agnp.exe"),
        ("a\u2066b\u2069\u200f\ufeffc", "abc"),
        ("a\r\nb\tc\u2028d", "a b c d"),
        ("a\x00b\x07\x7f", "ab"),
        ("a\ud800b", "ab"),
        ("Zoë 李雷 👩\u200d💻", "Zoë 李雷 👩\u200d💻"),
        ("x" * 200, "x" * (NAME_LENGTH - 1) + "…"),
    ],
)
def test_names_are_reduced_to_one_line_of_visible_text(name: str, visible: str) -> None:
    assert cleaned(name) == visible


@given(st.text(alphabet="<>&;alt\"' "))
def test_escaped_markup_reads_as_typed(text: str) -> None:
    assert "<" not in escape_markup(text)
    assert html.unescape(escape_markup(text)) == text

"""A line of input and the keys that edit it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.terminal import widths
from monitor.terminal.field import LONGEST, Field, edited, filled
from monitor.terminal.keys import Key
from tests.terminal import hostile_texts


def after(field: Field, *names: str) -> Field:
    for name in names:
        field = edited(field, Key(name, name if len(name) == 1 else ""))
    return field


@pytest.mark.parametrize(
    ("keys", "text", "cursor"),
    [
        ("x", "one twox", 8),
        ("left x", "one twxo", 7),
        ("home x", "xone two", 1),
        ("ctrl+a delete", "ne two", 0),
        ("home backspace", "one two", 0),
        ("delete", "one two", 7),
        ("left left end x", "one twox", 8),
        ("backspace backspace", "one t", 5),
        ("ctrl+w", "one ", 4),
        ("ctrl+w ctrl+w", "", 0),
        ("left ctrl+u", "o", 0),
        ("home right ctrl+k", "o", 1),
        ("right right", "one two", 7),
        ("pgup", "one two", 7),
    ],
)
def test_editing_keys_edit(keys: str, text: str, cursor: int) -> None:
    field = after(filled("Name", "one two"), *keys.split())
    assert (field.text, field.cursor) == (text, cursor)


def test_a_paste_goes_in_at_the_cursor_without_line_ends_and_controls() -> None:
    field = after(filled("Name", "ab"), "left")
    field = edited(field, Key("paste", "1\x1b[31m2\x07\n"))
    assert field.text == "a12 b"


def test_a_paste_that_is_too_long_is_not_taken() -> None:
    field = filled("Name", "x" * (LONGEST - 3))
    assert edited(field, Key("paste", "abcd")) == field


def test_a_name_of_the_settings_that_holds_controls_is_shown_with_dots() -> None:
    assert filled("Name", "a\x1b[2J\u202e").view(20) == ("a·[2J·", 6)


def test_wide_characters_move_the_cursor_by_their_cells() -> None:
    assert filled("Name", "日本").view(10) == ("日本", 4)
    assert after(filled("Name", "日本"), "left").view(10) == ("日本", 2)


def test_a_long_text_is_shown_around_the_cursor() -> None:
    field = filled("Name", "abcdefghij")
    assert field.view(5) == ("ghij", 4)
    assert after(field, "home").view(5) == ("abcde", 0)


def test_a_masked_text_is_neither_shown_nor_in_the_repr() -> None:
    field = edited(Field("Session key", masked=True), Key("paste", "sk-ant-sid01"))
    assert field.view(40) == ("•" * 12, 12)
    assert "sk-ant" not in repr(field)


@given(st.lists(hostile_texts.keys, max_size=12), st.integers(1, 20))
def test_the_cursor_stays_in_the_text_and_in_the_view(keys: list[Key], room: int) -> None:
    field = Field("Name")
    for key in keys:
        field = edited(field, key)
    shown, cursor = field.view(room)
    assert 0 <= field.cursor <= len(field.text)
    assert widths.width(shown) <= room
    assert 0 <= cursor <= room

"""Dialogs: the keys that edit a line of input, and what a form accepts."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.alerts.rules import AlertKind, Override, RuleBook
from monitor.core.commands import AddAccount, EditAccount
from monitor.core.model import Account, AuthMethod, Secret
from monitor.terminal.dialogs import (
    Field,
    Form,
    add_form,
    edit,
    edit_form,
    submit,
    type_into,
)
from monitor.terminal.text import CURSOR, line_width, plain, width
from monitor.terminal.tty import Key
from tests.terminal import strategies


def view(field: Field, room: int) -> tuple[str, int]:
    """The text that is in sight, and the cell of the cursor in it."""
    line = field.view(room)
    return plain(line), line_width(line[: [span is CURSOR for span in line].index(True)])


def after(field: Field, *names: str) -> Field:
    for name in names:
        field = edit(field, Key(name, name if len(name) == 1 else ""))
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
    field = after(Field("Name", "one two"), *keys.split())
    assert (field.text, len(field.before)) == (text, cursor)


def test_a_paste_goes_in_at_the_cursor_without_line_ends_and_controls() -> None:
    field = after(Field("Name", "ab"), "left")
    field = edit(field, Key("paste", "1\x1b[31m2\x07\n"))
    assert field.text == "a12 b"


def test_a_paste_that_is_too_long_is_not_taken() -> None:
    field = Field("Name", "x" * (2000 - 3))
    assert edit(field, Key("paste", "abcd")) == field


def test_a_name_of_the_settings_that_holds_controls_is_shown_with_dots() -> None:
    assert view(Field("Name", "a\x1b[2J\u202e"), 20) == ("a·[2J·", 6)


def test_wide_characters_move_the_cursor_by_their_cells() -> None:
    assert view(Field("Name", "日本"), 10) == ("日本", 4)
    assert view(after(Field("Name", "日本"), "left"), 10) == ("日本", 2)


def test_a_long_text_is_shown_around_the_cursor() -> None:
    field = Field("Name", "abcdefghij")
    assert view(field, 5) == ("ghij", 4)
    assert view(after(field, "home"), 5) == ("abcde", 0)


def test_a_masked_text_is_neither_shown_nor_in_the_repr() -> None:
    field = edit(Field("Session key", is_masked=True), Key("paste", "sk-ant-sid01"))
    assert view(field, 40) == ("•" * 12, 12)
    assert "sk-ant" not in repr(field)


@given(st.lists(strategies.keys, max_size=12), st.integers(1, 20))
def test_the_cursor_stays_in_the_text_and_in_the_view(keys: list[Key], room: int) -> None:
    field = Field("Name")
    for key in keys:
        field = edit(field, key)
    shown, cursor = view(field, room)
    assert width(shown) <= room
    assert 0 <= cursor <= room


OAUTH = Account("user@work.com", "org-1")
SESSION = Account("key@web.com", "org-2", AuthMethod.SESSION_KEY)
TAB, BACKTAB = Key("tab"), Key("backtab")


def filled_in(form: Form, *keys: str | Key) -> Form:
    for key in keys:
        form = type_into(form, Key("paste", key) if isinstance(key, str) else key)
    return form


def test_a_filled_form_is_a_command_with_the_key_as_a_secret() -> None:
    form = filled_in(add_form(), " new@web.com ", TAB, "sk-ant-sid01\n", TAB, "org-9")
    form, command = submit(form, [])
    assert command == AddAccount("new@web.com", Secret("sk-ant-sid01"), "org-9")
    assert form.is_saving
    assert "sk-ant" not in repr(form) + repr(command)


def test_what_is_missing_is_named_and_focused() -> None:
    form, command = submit(filled_in(add_form(), "new@web.com"), [])
    assert command is None
    assert (form.focused.label, form.error) == ("Session key", "Session key is still missing")
    form, _ = submit(add_form(), [])
    assert (form.focus, form.error) == (0, "Give the account a name")


def test_typing_takes_the_error_away() -> None:
    form, _ = submit(add_form(), [])
    assert filled_in(form, "x").error == ""


def test_a_name_is_unique() -> None:
    form = filled_in(add_form(), "user@work.com", TAB, "key", TAB, "org")
    form, command = submit(form, ["user@work.com"])
    assert command is None
    assert form.error == "An account with this name already exists"


RULES = RuleBook(overrides={"user@work.com": Override((0.5, 0.975), frozenset({AlertKind.PACE}))})
ALERTS = ["Label", "Thresholds", "Silent", "Reserve"]


def test_of_an_imported_account_name_label_and_alerts_are_edited() -> None:
    form = edit_form(OAUTH, RULES)
    assert [field.label for field in form.fields] == ["Name", *ALERTS]
    assert [field.text for field in form.fields] == ["user@work.com", "", "50, 97.5", "pace", ""]
    _, command = submit(filled_in(form, "!", TAB, "work"), ["user@work.com"])
    override = RULES.overrides["user@work.com"]
    assert command == EditAccount(
        "user@work.com", "user@work.com!", "org-1", None, "work", override, 0
    )


def test_an_edited_account_keeps_its_name_and_its_key_where_nothing_was_type_into() -> None:
    _, command = submit(edit_form(SESSION, RULES), ["key@web.com"])
    assert command == EditAccount("key@web.com", "key@web.com", "org-2", None, "", Override(), 0)


def test_an_edited_account_gets_the_new_key_that_was_type_into() -> None:
    _, command = submit(filled_in(edit_form(SESSION, RULES), TAB, "sk-new"), ["key@web.com"])
    assert command == EditAccount(
        "key@web.com", "key@web.com", "org-2", Secret("sk-new"), "", Override(), 0
    )


@pytest.mark.parametrize(
    ("thresholds", "silent", "override"),
    [
        ("", "", Override()),
        (
            "90 80%, 100",
            "reset, pace",
            Override((0.8, 0.9, 1.0), frozenset({AlertKind.RESET, AlertKind.PACE})),
        ),
        ("none", "", Override(())),
    ],
)
def test_what_is_typed_of_the_alerts_is_different_for_this_account(
    thresholds: str, silent: str, override: Override
) -> None:
    _, command = submit(
        filled_in(edit_form(OAUTH, RuleBook()), TAB, TAB, thresholds, TAB, silent), []
    )
    assert isinstance(command, EditAccount)
    assert command.override == override


@pytest.mark.parametrize(
    ("thresholds", "silent", "words", "focus"),
    [
        ("high", "", "thresholds are percentages from 1 to 100, or none", 2),
        ("80, 101", "", "thresholds are percentages from 1 to 100, or none", 2),
        ("nan", "", "thresholds are percentages from 1 to 100, or none", 2),
        ("80", "pase", "pase is not a rule: threshold, limit, reset", 3),
    ],
)
def test_wrong_thresholds_and_rules_are_named_and_focused(
    thresholds: str, silent: str, words: str, focus: int
) -> None:
    form = filled_in(edit_form(OAUTH, RuleBook()), TAB, TAB, thresholds, TAB, silent)
    form, command = submit(form, [])
    assert (command, form.focus, form.error.startswith(words)) == (None, focus, True)


@pytest.mark.parametrize(("typed", "reserve"), [("15", 0.15), ("2.5 %", 0.025), ("", 0)])
def test_the_reserve_is_a_percentage(typed: str, reserve: float) -> None:
    form = filled_in(edit_form(replace(OAUTH, reserve=0.3), RuleBook()), BACKTAB)
    assert form.focused.text == "30"
    _, command = submit(filled_in(form, Key("ctrl+u"), typed), [])
    assert isinstance(command, EditAccount)
    assert command.reserve == reserve


def test_a_wrong_reserve_is_named_and_focused() -> None:
    form, command = submit(filled_in(edit_form(OAUTH, RuleBook()), BACKTAB, "120"), [])
    assert (command, form.focused.label) == (None, "Reserve")
    assert form.error == "the reserve is a percentage from 0 to 100"
    form, command = submit(filled_in(edit_form(OAUTH, RuleBook()), BACKTAB, "0.15"), [])
    assert (command, form.error) == (None, "the reserve is a percentage: 15 or 0.15%?")
    form = edit_form(replace(OAUTH, reserve=0.0015), RuleBook())
    _, command = submit(form, [])
    assert isinstance(command, EditAccount) and command.reserve == 0.0015


def test_tab_goes_round_the_fields() -> None:
    assert [filled_in(add_form(), *[TAB] * n).focus for n in range(4)] == [0, 1, 2, 0]
    assert filled_in(add_form(), BACKTAB).focus == 2

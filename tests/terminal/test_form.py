"""The dialogs that are typed into."""

from monitor.core.model import Account, AuthMethod, Secret
from monitor.terminal.commands import Add, Edit
from monitor.terminal.form import Form, add_form, edit_form, submitted, typed
from monitor.terminal.keys import Key

OAUTH = Account("user@work.com", "org-1")
SESSION = Account("key@web.com", "org-2", AuthMethod.SESSION_KEY)
TAB, BACKTAB = Key("tab"), Key("backtab")


def filled_in(form: Form, *keys: str | Key) -> Form:
    for key in keys:
        form = typed(form, Key("paste", key) if isinstance(key, str) else key)
    return form


def test_a_filled_form_is_an_order_with_the_key_as_a_secret() -> None:
    form = filled_in(add_form(), " new@web.com ", TAB, "sk-ant-sid01\n", TAB, "org-9")
    form, order = submitted(form, [])
    assert order == Add("new@web.com", Secret("sk-ant-sid01"), "org-9")
    assert form.saving
    assert "sk-ant" not in repr(form) + repr(order)


def test_what_is_missing_is_said_and_focused() -> None:
    form, order = submitted(filled_in(add_form(), "new@web.com"), [])
    assert order is None
    assert (form.focused.label, form.error) == ("Session key", "Session key is still missing")
    form, _ = submitted(add_form(), [])
    assert (form.focus, form.error) == (0, "Give the account a name")


def test_typing_takes_the_error_away() -> None:
    form, _ = submitted(add_form(), [])
    assert filled_in(form, "x").error == ""


def test_a_name_is_unique() -> None:
    form = filled_in(add_form(), "user@work.com", TAB, "key", TAB, "org")
    form, order = submitted(form, ["user@work.com"])
    assert order is None
    assert form.error == "There is an account of this name already"


def test_an_imported_account_has_only_its_name_to_edit() -> None:
    form = edit_form(OAUTH)
    assert [field.label for field in form.fields] == ["Name"]
    _, order = submitted(filled_in(form, "!"), ["user@work.com"])
    assert order == Edit("user@work.com", "user@work.com!", None, "org-1")


def test_an_edited_account_keeps_its_name_and_its_key_where_nothing_was_typed() -> None:
    _, order = submitted(edit_form(SESSION), ["key@web.com"])
    assert order == Edit("key@web.com", "key@web.com", None, "org-2")


def test_an_edited_account_gets_the_new_key_that_was_typed() -> None:
    _, order = submitted(filled_in(edit_form(SESSION), TAB, "sk-new"), ["key@web.com"])
    assert order == Edit("key@web.com", "key@web.com", Secret("sk-new"), "org-2")


def test_tab_goes_round_the_fields() -> None:
    assert [filled_in(add_form(), *[TAB] * n).focus for n in range(4)] == [0, 1, 2, 0]
    assert filled_in(add_form(), BACKTAB).focus == 2

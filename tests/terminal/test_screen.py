"""What each key does to the screen, and which command it gives."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.commands import (
    AddAccount,
    Command,
    ImportLogins,
    Refresh,
    RemoveAccount,
    ToggleMute,
    UseAccount,
)
from monitor.core.model import Secret
from monitor.core.state import State
from monitor.terminal.dialogs import Confirmation, Form
from monitor.terminal.screen import HELP, Copy, Pane, Quit, Redraw, Screen, press
from monitor.terminal.tty import Key
from tests.builders import NOW, after
from tests.terminal import strategies
from tests.terminal.factories import STATES

THREE = STATES["three"](NOW)
TWENTY = STATES["twenty"](NOW)
EMPTY = State()
KEY_OF = {"space": " "}


def pressed(
    screen: Screen, *names: str, state: State = THREE
) -> tuple[Screen, Command | Quit | Redraw | Copy | None]:
    """The screen after these keys, and the last one's command."""
    command = None
    for name in (KEY_OF.get(name, name) for name in names):
        screen, command = press(screen, Key(name, name if len(name) == 1 else ""), state, NOW)
    return screen, command


def selection(*names: str, state: State = THREE) -> str | None:
    return pressed(Screen(), *names, state=state)[0].selection(list(state.accounts))


@pytest.mark.parametrize(
    ("keys", "account"),
    [
        ("", "user@personal.com"),
        ("j", "user@work.com"),
        ("down down", "user@client.com"),
        ("j j j j", "user@client.com"),
        ("k", "user@personal.com"),
        ("j up", "user@personal.com"),
        ("G", "user@client.com"),
        ("end home", "user@personal.com"),
        ("G g", "user@personal.com"),
        ("pgdn", "user@client.com"),
        ("pgdn pgup", "user@personal.com"),
    ],
)
def test_keys_move_the_selection_within_the_accounts(keys: str, account: str) -> None:
    assert selection(*keys.split()) == account


def test_a_page_is_ten_accounts() -> None:
    assert selection("pgdn", state=TWENTY) == "user11@example.com"


@pytest.mark.parametrize(
    ("keys", "command"),
    [
        ("r", Refresh()),
        ("m", ToggleMute()),
        ("j R", Refresh("user@work.com")),
        ("i", ImportLogins(brief=True)),
        ("j s", UseAccount("user@work.com")),
        ("j enter", UseAccount("user@work.com")),
        ("j d y", RemoveAccount("user@work.com")),
        ("j x Y", RemoveAccount("user@work.com")),
        ("q", Quit()),
        ("ctrl+c", Quit()),
        ("ctrl+l", Redraw()),
        ("space q", Quit()),
        ("z", None),
        ("paste", None),
        ("f5", None),
    ],
)
def test_keys_give_commands(keys: str, command: Command | Quit | Redraw | Copy | None) -> None:
    assert pressed(Screen(), *keys.split())[1] == command


ON_THE_PAGE = {
    " ": "Space", "up": "↑", "down": "↓", "pgup": "PgUp", "pgdn": "PgDn", "home": "Home", "end": "End",
    "enter": "Enter", "esc": "Esc", "ctrl+c": "Ctrl+C", "ctrl+l": "Ctrl+L",
}  # fmt: skip


def test_every_key_that_does_something_is_on_the_page_of_keys() -> None:
    named = [*ON_THE_PAGE, "tab", "backtab", "left", "delete", "paste", *map(chr, range(33, 127))]
    opened = replace(
        Screen(selected="user@work.com", place=1, key_at=NOW, is_hinted=True),
        pane=Pane.DETAIL,
        page=1,
    )
    acting = [key for key in named if pressed(opened, key) != (opened, None)]
    words = (
        " ".join(f"{key} {meaning}" for key, meaning in HELP).replace(";", " ").replace(",", " ")
    )
    assert set(acting) >= set("rRsiaedxm?qjkgG")
    assert {ON_THE_PAGE.get(key, key) for key in acting} <= set(words.split())


@pytest.mark.parametrize("key", ["n", "esc", "enter", "q", "d", "space"])
def test_nothing_but_yes_deletes(key: str) -> None:
    screen, command = pressed(Screen(), "d", key)
    assert command is None
    assert screen.dialog is None


def test_the_question_is_of_the_selected_account() -> None:
    assert pressed(Screen(), "j", "d")[0].dialog == Confirmation("user@work.com")


@pytest.mark.parametrize("key", ["R", "s", "e", "d", "space"])
def test_without_an_account_its_keys_say_how_to_get_one(key: str) -> None:
    screen, command = pressed(Screen(), key, state=EMPTY)
    assert command is None
    note = screen.current_message(NOW)
    assert note is not None
    assert "press i" in note.text


def test_the_selection_follows_its_account_into_a_new_order() -> None:
    screen, _ = pressed(Screen(), "j")
    turned = replace(THREE, accounts=dict(reversed(list(THREE.accounts.items()))))
    assert screen.selection(list(turned.accounts)) == "user@work.com"
    assert (
        pressed(screen, "j", state=turned)[0].selection(list(turned.accounts))
        == "user@personal.com"
    )


def test_the_selection_stays_in_its_place_once_its_account_is_gone() -> None:
    screen, _ = pressed(Screen(), "j")
    fewer = {name: a for name, a in THREE.accounts.items() if name != "user@work.com"}
    assert screen.selection(list(fewer)) == "user@client.com"
    assert screen.selection(list(EMPTY.accounts)) is None


def test_space_opens_and_closes_the_details() -> None:
    assert pressed(Screen(), "space")[0].pane is Pane.DETAIL
    assert pressed(Screen(), "space", "space")[0].pane is Pane.NONE
    assert pressed(Screen(), "space", "esc")[0].pane is Pane.NONE


def test_the_selection_moves_under_open_details_and_the_page_keys_turn_them() -> None:
    screen, _ = pressed(Screen(), "space", "pgdn", "pgdn", "pgup")
    assert (screen.page, screen.selection(list(THREE.accounts))) == (1, "user@personal.com")
    screen, _ = pressed(screen, "j")
    assert (screen.page, screen.selection(list(THREE.accounts))) == (0, "user@work.com")


def test_help_turns_its_pages_and_any_other_key_closes_it() -> None:
    screen, _ = pressed(Screen(), "?", "j", "space", "k")
    assert (screen.pane, screen.page) == (Pane.HELP, 1)
    screen, command = pressed(screen, "q")
    assert (screen.pane, command) == (Pane.NONE, None)


def test_a_form_takes_every_key_as_text() -> None:
    screen, command = pressed(Screen(), "a", "q", "?", "space", "d", "tab", "s", "tab", "i", "m")
    assert command is None
    assert isinstance(screen.dialog, Form)
    assert [field.text for field in screen.dialog.fields] == ["q? d", "s", "im"]


def filled_form() -> tuple[Screen, Command | Quit | Redraw | Copy | None]:
    screen, _ = pressed(Screen(), "a", "n", "tab", "k", "tab", "o")
    return press(screen, Key("enter"), THREE, NOW)


def test_a_form_is_saved_and_closed_when_that_has_worked() -> None:
    screen, command = filled_form()
    assert command == AddAccount("n", Secret("k"), "o")
    assert screen.busy == "Saving…"
    screen = screen.settle("Added n", NOW)
    assert (screen.dialog, screen.busy) == (None, "")
    assert screen.message is not None


def test_a_form_that_could_not_be_saved_keeps_what_was_typed() -> None:
    screen = filled_form()[0].settle("The keyring is locked", NOW, is_error=True)
    assert isinstance(screen.dialog, Form)
    assert screen.dialog.error == "The keyring is locked"
    assert [field.text for field in screen.dialog.fields] == ["n", "k", "o"]
    assert press(screen, Key("enter"), THREE, NOW)[1] == AddAccount("n", Secret("k"), "o")


def test_a_form_is_not_saved_twice_and_can_be_left_meanwhile() -> None:
    screen, _ = filled_form()
    assert press(screen, Key("enter"), THREE, NOW) == (screen, None)
    assert pressed(screen, "esc")[0].dialog is None


@pytest.mark.parametrize("key", ["i", "s", "a", "d", "e"])
def test_one_slow_command_at_a_time(key: str) -> None:
    busy, _ = pressed(Screen(), "i")
    screen, command = pressed(busy, key)
    assert command is None
    assert screen.dialog is None
    note = screen.current_message(NOW)
    assert note is not None
    assert note.text == "Importing… one moment"


def test_a_refresh_does_not_end_what_is_going_on() -> None:
    busy, _ = pressed(Screen(), "i")
    assert pressed(busy, "r")[1] == Refresh()
    assert busy.show("Refreshing", NOW).busy == "Importing…"


def test_messages_expire_and_errors_later() -> None:
    assert Screen().show("done", NOW).current_message(after(seconds=5)) is not None
    assert Screen().show("done", NOW).current_message(after(seconds=7)) is None
    assert Screen().show("no", NOW, is_error=True).current_message(after(seconds=7)) is not None


@pytest.mark.parametrize("state", [THREE, EMPTY], ids=["accounts", "none"])
def test_alerts_are_muted_with_and_without_accounts(state: State) -> None:
    assert pressed(Screen(), "m", state=state) == (Screen(key_at=NOW), ToggleMute())


@given(strategies.screens, st.lists(strategies.keys, max_size=12), strategies.states)
def test_no_key_raises_whatever_the_state(screen: Screen, keys: list[Key], state: State) -> None:
    for key in keys:
        screen, _ = press(screen, key, state, NOW)
    assert screen.selection(list(state.accounts)) in {None, *state.accounts}

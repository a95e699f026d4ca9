"""What each key does: `press(screen, key, state, now) -> (screen, order)`. Pure."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from monitor.core.state import State
from monitor.terminal.commands import Import, Mute, Order, Quit, Redraw, Refresh, Remove, Slow, Use
from monitor.terminal.form import Form, add_form, edit_form, submitted, typed
from monitor.terminal.keys import Key
from monitor.terminal.screen import Pane, Question, Screen, said

Pressed = tuple[Screen, Order | None]

_PAGE: Final = 10
_STEPS: Final = {"j": 1, "down": 1, "k": -1, "up": -1, "pgdn": _PAGE, "pgup": -_PAGE}
_ENDS: Final = {"g": 0, "home": 0, "G": -1, "end": -1}
_ON_ACCOUNT: Final = frozenset(("R", "s", "enter", "e", "d", "x", " "))


def press(screen: Screen, key: Key, state: State, now: datetime) -> Pressed:
    """The screen after a key, and what the program is to do."""
    if key.name == "ctrl+l":
        return screen, Redraw()
    match screen.dialog:
        case Form() as form:
            return _press_in_form(screen, form, key, state)
        case Question(account):
            return _answer(screen, account, key, now)
    if screen.pane is Pane.HELP:
        return _press_in_help(screen, key), None
    if key.name in _STEPS or key.name in _ENDS:
        return _press_move(screen, key, state), None
    if key.name in _ON_ACCOUNT:
        return _press_on_account(screen, key, state, now)
    return _press_anywhere(screen, key, now)


def _press_in_form(screen: Screen, form: Form, key: Key, state: State) -> Pressed:
    if key.name == "esc":
        return replace(screen, dialog=None), None
    if form.saving:
        return screen, None
    if key.name != "enter":
        return replace(screen, dialog=typed(form, key)), None
    form, order = submitted(form, state.accounts)
    return replace(screen, dialog=form, busy="Saving…" if order else screen.busy), order


def _answer(screen: Screen, account: str, key: Key, now: datetime) -> Pressed:
    """Only a plain yes deletes."""
    screen = replace(screen, dialog=None)
    if key.name in ("y", "Y"):
        return replace(screen, busy="Deleting…"), Remove(account)
    return said(screen, f"{account} stays", now), None


def _press_in_help(screen: Screen, key: Key) -> Screen:
    """Any key that does not turn a page closes it."""
    if key.name in _STEPS or key.name == " ":
        return _turned(screen, key)
    return replace(screen, pane=Pane.NONE, page=0)


def _press_move(screen: Screen, key: Key, state: State) -> Screen:
    """The selection moves; over an open detail pane, the page keys turn its pages."""
    if screen.pane is Pane.DETAIL and key.name in ("pgdn", "pgup"):
        return _turned(screen, key)
    names = list(state.accounts)
    selected = screen.selection(state)
    if selected is None:
        return screen
    last = len(names) - 1
    place = _ENDS[key.name] % len(names) if key.name in _ENDS else names.index(selected)
    place = min(max(place + _STEPS.get(key.name, 0), 0), last)
    return replace(screen, selected=names[place], place=place, page=0)


def _turned(screen: Screen, key: Key) -> Screen:
    back = _STEPS.get(key.name, 1) < 0
    return replace(screen, page=max(screen.page + (-1 if back else 1), 0))


def _press_on_account(screen: Screen, key: Key, state: State, now: datetime) -> Pressed:
    name = screen.selection(state)
    if name is None:
        return said(screen, "No account yet: press i to import, or a to add one", now), None
    match key.name:
        case "R":
            return screen, Refresh(name)
        case "s" | "enter":
            return _slow(screen, Use(name), "Marking…", now)
        case "e":
            return _opened(screen, edit_form(state.accounts[name].account), now)
        case "d" | "x":
            return _opened(screen, Question(name), now)
    pane = Pane.NONE if screen.pane is Pane.DETAIL else Pane.DETAIL
    return replace(screen, pane=pane, page=0), None


def _press_anywhere(screen: Screen, key: Key, now: datetime) -> Pressed:
    match key.name:
        case "q" | "ctrl+c":
            return screen, Quit()
        case "r":
            return screen, Refresh()
        case "m":
            return screen, Mute()
        case "i":
            return _slow(screen, Import(), "Importing…", now)
        case "a":
            return _opened(screen, add_form(), now)
        case "?":
            return replace(screen, pane=Pane.HELP, page=0), None
        case "esc":
            return replace(screen, pane=Pane.NONE, page=0, message=None), None
    return screen, None


def _slow(screen: Screen, order: Slow, doing: str, now: datetime) -> Pressed:
    """One slow order at a time."""
    if screen.busy:
        return _waiting(screen, now), None
    return replace(screen, busy=doing, message=None), order


def _opened(screen: Screen, dialog: Form | Question, now: datetime) -> Pressed:
    return (_waiting(screen, now) if screen.busy else replace(screen, dialog=dialog)), None


def _waiting(screen: Screen, now: datetime) -> Screen:
    return said(screen, f"{screen.busy} one moment", now)

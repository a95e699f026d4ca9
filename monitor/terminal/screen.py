"""The screen's own model: what is selected, what is open, what was said. Pure; `press` says what keys do to it."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from monitor.core.state import State
from monitor.terminal.form import Form

NOTE_STAYS: Final = timedelta(seconds=6)
ERROR_STAYS: Final = timedelta(seconds=20)


class Pane(StrEnum):
    """What is open beside the table."""

    NONE = "none"
    DETAIL = "detail"
    HELP = "help"


@dataclass(frozen=True, slots=True)
class Message:
    """One line for the user, until it expires."""

    text: str
    until: datetime
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """Whether the account is really to be deleted."""

    account: str


@dataclass(frozen=True, slots=True)
class Screen:
    """The selection is an account's name, so that it survives a new order; `place` serves once the name is gone.

    `page` counts the open pane's screenfuls from 0; `busy` says which order is still being carried out.
    """

    selected: str | None = None
    place: int = 0
    pane: Pane = Pane.NONE
    page: int = 0
    dialog: Form | Question | None = None
    message: Message | None = None
    busy: str = ""

    def selection(self, state: State) -> str | None:
        """The name of the selected account; None where there is no account."""
        if self.selected in state.accounts:
            return self.selected
        names = list(state.accounts)
        return names[min(self.place, len(names) - 1)] if names else None

    def note(self, now: datetime) -> Message | None:
        """The message that is still to be seen."""
        return self.message if self.message and now < self.message.until else None


def said(screen: Screen, text: str, now: datetime) -> Screen:
    """The screen with a message."""
    return replace(screen, message=Message(text, now + NOTE_STAYS))


def complained(screen: Screen, text: str, now: datetime) -> Screen:
    """The screen with an error."""
    return replace(screen, message=Message(text, now + ERROR_STAYS, is_error=True))


def done(screen: Screen, text: str, now: datetime) -> Screen:
    """The slow order was carried out: its message is told, and its dialog is closed."""
    saved = isinstance(screen.dialog, Form) and screen.dialog.saving
    return said(replace(screen, busy="", dialog=None if saved else screen.dialog), text, now)


def failed(screen: Screen, text: str, now: datetime) -> Screen:
    """The slow order failed; a dialog stays open for another try, with all that was typed."""
    screen, form = replace(screen, busy=""), screen.dialog
    if isinstance(form, Form) and form.saving:
        return replace(screen, dialog=replace(form, saving=False, error=text))
    return complained(screen, text, now)

"""The screen's own model: what is selected, what is open, which message is shown. Pure.

`bindings.press` is how keys change it.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from monitor.core.state import State
from monitor.terminal.dialogs import Form, Question

_MESSAGE_STAYS: Final = timedelta(seconds=6)
_ERROR_STAYS: Final = timedelta(seconds=20)


class Pane(StrEnum):
    """The part that is open beside the table."""

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
class Screen:
    """The selection is an account's name, so that it survives a new order; `place` serves once the name is gone.

    `page` counts the open pane's screenfuls from 0; `busy` names the command that is still being carried out.
    `badge` stands beside the program's name.
    """

    selected: str | None = None
    place: int = 0
    pane: Pane = Pane.NONE
    page: int = 0
    dialog: Form | Question | None = None
    message: Message | None = None
    busy: str = ""
    badge: str = ""

    def selection(self, state: State) -> str | None:
        """The name of the selected account; None where there is no account."""
        if self.selected in state.accounts:
            return self.selected
        names = list(state.accounts)
        return names[min(self.place, len(names) - 1)] if names else None

    def current_message(self, now: datetime) -> Message | None:
        """The message, until it expires."""
        return self.message if self.message and now < self.message.until else None


def show(screen: Screen, text: str, now: datetime) -> Screen:
    """The screen with a message."""
    return replace(screen, message=Message(text, now + _MESSAGE_STAYS))


def show_error(screen: Screen, text: str, now: datetime) -> Screen:
    """The screen with an error, which stays longer."""
    return replace(screen, message=Message(text, now + _ERROR_STAYS, is_error=True))


def finish(screen: Screen, text: str, now: datetime) -> Screen:
    """The screen once the slow command was carried out: its answer is shown, and its dialog is closed."""
    is_saved = isinstance(screen.dialog, Form) and screen.dialog.saving
    return show(replace(screen, busy="", dialog=None if is_saved else screen.dialog), text, now)


def fail(screen: Screen, text: str, now: datetime) -> Screen:
    """The screen once the slow command failed; a form stays open for another try, with all that was typed."""
    screen, form = replace(screen, busy=""), screen.dialog
    if isinstance(form, Form) and form.saving:
        return replace(screen, dialog=replace(form, saving=False, error=text))
    return show_error(screen, text, now)

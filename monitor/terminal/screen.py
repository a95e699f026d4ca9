"""The screen's own model: what is selected, listed and open, and which message and alerts are shown. Pure.

`bindings.press` is how keys change it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from monitor.core.alerts.rules import Alert
from monitor.core.alerts.text import is_critical
from monitor.core.state import LOG_LENGTH, LoggedAlert, State
from monitor.terminal.dialogs import Filter, Form, Question
from monitor.terminal.fleet_line import Order, listed

_MESSAGE_STAYS: Final = timedelta(seconds=6)
_LONG_STAYS: Final = timedelta(seconds=20)
_ALERT_STAYS: Final = timedelta(seconds=30)
_READING: Final = timedelta(seconds=2)
"""A key that was pressed so soon after an alert was meant for something else."""

_KEPT_UNSEEN: Final = timedelta(days=1)


class Pane(StrEnum):
    """The part that is open beside the table."""

    NONE = "none"
    DETAIL = "detail"
    HELP = "help"
    LOG = "log"


@dataclass(frozen=True, slots=True)
class Message:
    """One line for the user, until it expires."""

    text: str
    until: datetime
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Screen:
    """The selection is an account's name, so that it survives a new order; `place` serves once the name is gone.

    Details are open where there is room, unless they were closed (`is_closed`); `has_detail` says that they are shown.
    `page` counts the open pane's screenfuls from 0; `busy` names the command that is still being carried out.
    `badge` stands beside the program's name. `order` and `pattern` say which accounts are listed. Alerts are news
    after `opened_at`, `key_at` and `cleared_at`: when the table was opened, when a key was last pressed, and when
    somebody looked at the log or closed the line; and since they were `pushed`, where they were sent here again.
    """

    selected: str | None = None
    place: int = 0
    pane: Pane = Pane.NONE
    has_detail: bool = False
    is_closed: bool = False
    page: int = 0
    dialog: Form | Question | Filter | None = None
    message: Message | None = None
    busy: str = ""
    badge: str = ""
    order: Order = Order.SETTINGS
    pattern: str = ""
    opened_at: datetime | None = None
    key_at: datetime | None = None
    cleared_at: datetime | None = None
    pushed: Mapping[Alert, datetime] = field(default_factory=dict)
    is_hinted: bool = False

    def since(self, now: datetime) -> "Screen":
        """The screen for a clock that may have been set back: what is to come has not been seen."""
        if self.opened_at is None or self.opened_at <= now:
            return self
        return replace(self, opened_at=now, key_at=None, cleared_at=None, pushed={})

    def names(self, state: State, now: datetime) -> tuple[str, ...]:
        """The names of the accounts that are listed, in their order."""
        return listed(state, self.order, self.pattern, now)

    def selection(self, names: Sequence[str]) -> str | None:
        """The name of the selected one of the accounts that are listed; None where none is."""
        if self.selected in names:
            return self.selected
        return names[min(self.place, len(names) - 1)] if names else None

    def unseen(self, state: State, now: datetime) -> list[LoggedAlert]:
        """The alerts that nobody has looked at here: those since the table was opened, and any that was never sent."""
        found = []
        for entry in state.log:
            since = self.pushed.get(entry.alert, entry.fired_at)
            is_new = self.opened_at is None or since >= self.opened_at
            is_unsent = not entry.is_sent and now - entry.fired_at < _KEPT_UNSEEN
            if (self.cleared_at is None or since > self.cleared_at) and (is_new or is_unsent):
                found.append(entry)
        return found

    def announced(self, state: State, now: datetime) -> list[LoggedAlert]:
        """The alerts of the line at the top, the most urgent first: for half a minute, critical ones until a key.

        Of a window only the newest: one that is open again is full no more.
        """
        newest = {(e.alert.account, e.alert.window): e for e in self.unseen(state, now)}
        found = []
        for entry in newest.values():
            since = self.pushed.get(entry.alert, entry.fired_at)
            was_read = self.key_at is not None and self.key_at - since >= _READING
            if now - since < _ALERT_STAYS or (is_critical(entry.alert) and not was_read):
                found.append(entry)
        return sorted(found, key=lambda e: (not is_critical(e.alert), -e.fired_at.timestamp()))

    def push(self, alerts: Sequence[Alert], now: datetime) -> "Screen":
        """The screen that shows these alerts of the log as if they were decided now."""
        newest = {**self.pushed, **dict.fromkeys(alerts, now)}
        return replace(self, pushed=dict([*newest.items()][-LOG_LENGTH:]))

    def current_message(self, now: datetime) -> Message | None:
        """The message, until it expires."""
        return self.message if self.message and now < self.message.until else None

    def show(
        self, text: str, now: datetime, *, is_error: bool = False, is_long: bool = False
    ) -> "Screen":
        """The screen with a message; an error, and what somebody may want to copy by hand, stays longer."""
        stays = _LONG_STAYS if is_error or is_long else _MESSAGE_STAYS
        return replace(self, message=Message(text, now + stays, is_error))

    def settle(self, answer: str, now: datetime, *, is_error: bool = False) -> "Screen":
        """The screen once the slow command has been carried out, or has failed, with its answer.

        A form that is saved is closed; of one that could not be, all that was typed stays for another try.
        """
        screen, form = replace(self, busy=""), self.dialog
        if isinstance(form, Form) and form.saving:
            if is_error:
                return replace(screen, dialog=replace(form, saving=False, error=answer))
            screen = replace(screen, dialog=None)
        return screen.show(answer, now, is_error=is_error)

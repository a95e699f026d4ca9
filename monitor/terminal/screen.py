"""The state of the screen (what is selected, listed and open), and how each key changes it. Pure.

`press(screen, key, state, now) -> (screen, command)`; the help names the same keys.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from monitor.core.alerts.rules import Alert
from monitor.core.alerts.text import is_critical
from monitor.core.commands import (
    Command,
    ImportLogins,
    Refresh,
    RemoveAccount,
    ToggleMute,
    UseAccount,
)
from monitor.core.errors import command
from monitor.core.model import AccountState
from monitor.core.ranking import NO_END, applicable, choose
from monitor.core.state import LOG_LENGTH, LoggedAlert, State
from monitor.credentials.folders import config_dir
from monitor.terminal.dialogs import (
    Confirmation,
    Field,
    Filter,
    Form,
    add_form,
    edit,
    edit_form,
    submit,
    type_into,
)
from monitor.terminal.table import ALERTED, BEST
from monitor.terminal.tty import MOUSE, Key

HELP: Final = (
    ("j k ↓ ↑", "move; also g G, Home End, PgUp PgDn, the mouse"),
    ("Space", "details of the selected account"),
    ("l", "log of the last 50 alerts"),
    ("o", "order of the rows: settings, room, reset, fullest"),
    ("/", "filter the rows by name, label or plan"),
    ("c", "copy the command that starts Claude Code with it"),
    ("r  R", "refresh all accounts; the selected one"),
    ("s  Enter", "mark it as the active account (*)"),
    ("i  a", "import Claude Code's logins; add one by session key"),
    ("e  d  x", "edit the account; delete it"),
    ("m", "mute alerts for 1 h; again to unmute"),
    ("?  Esc", "this page; close what is open"),
    ("q  Ctrl+C", "quit; Ctrl+Z suspends, Ctrl+L redraws"),
    ("*", "marked by you with s; changes nothing else"),
    ("Logged In", "Claude Code uses this account now"),
    (BEST, "the account to use next"),
    (ALERTED, "an alert that you have not looked at: l, Esc"),
    ("Live", "fetched within the last 2 minutes"),
    ("~0%", "reset as expected, not yet confirmed"),
    ("--", "no such limit, or nothing known yet"),
)
TABLE_KEYS: Final = (
    ("j/k", "move", 3),
    ("Space", "details", 7),
    ("l", "log", 5),
    ("r", "refresh", 6),
    ("c", "copy command", 4),
    ("o", "order", 3),
    ("/", "filter", 2),
    ("s", "mark", 1),
    ("i", "import", 5),
    ("a", "add", 4),
    ("e", "edit", 2),
    ("d", "delete", 1),
    ("m", "mute", 0),
    ("?", "help", 8),
    ("q", "quit", 9),
)
"""Each key, what it does, and its rank: where there is no room, the lowest is left out first."""

PAGE_KEYS: Final = (("Space", "more", 1), ("q", "close", 2))
EMPTY_KEYS: Final = (("i", "import", 2), ("a", "add", 1), ("?", "help", 3), ("q", "quit", 4))

_NO_ACCOUNT: Final = "No account yet: press i to import, or a to add one"
_PAGE: Final = 10
_STEPS: Final = {
    "j": 1, "down": 1, "k": -1, "up": -1, "wheeldown": 1, "wheelup": -1, "pgdn": _PAGE, "pgup": -_PAGE,
}  # fmt: skip
_ENDS: Final = {"g": 0, "home": 0, "G": -1, "end": -1}
_ON_ACCOUNT: Final = frozenset(("R", "s", "enter", "e", "d", "x", "c", " "))
_ONE_AT_A_TIME: Final = frozenset(("s", "enter", "i", "a", "e", "d", "x", "/"))
"""Keys that start a slow command, or open what may start one."""

_MESSAGE_STAYS: Final = timedelta(seconds=6)
_LONG_STAYS: Final = timedelta(seconds=20)
_ALERT_STAYS: Final = timedelta(seconds=30)
_READING: Final = timedelta(seconds=2)
"""A key that is pressed so soon after an alert was meant for something else."""

_KEPT_UNSEEN: Final = timedelta(days=1)


class Pane(StrEnum):
    """The part that is open beside the table."""

    NONE = "none"
    DETAIL = "detail"
    HELP = "help"
    LOG = "log"


class Order(StrEnum):
    """An order of the rows, in words."""

    SETTINGS = "order of the settings"
    ROOM = "most room first"
    RESET = "next reset first"
    WORST = "fullest first"


@dataclass(frozen=True, slots=True)
class FlashMessage:
    """One line for the user, until it expires."""

    text: str
    until: datetime
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Screen:
    """The selection is an account's name, so that it survives a new order; `place` is used once the name is gone.

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
    dialog: Form | Confirmation | Filter | None = None
    message: FlashMessage | None = None
    busy: str = ""
    badge: str = ""
    order: Order = Order.SETTINGS
    pattern: str = ""
    opened_at: datetime | None = None
    key_at: datetime | None = None
    cleared_at: datetime | None = None
    pushed: Mapping[Alert, datetime] = field(default_factory=dict)
    is_hinted: bool = False

    def follow_clock(self, now: datetime) -> "Screen":
        """Adapt to a clock that was set back: what lies in the future has not been seen."""
        if self.opened_at is None or self.opened_at <= now:
            return self
        return replace(self, opened_at=now, key_at=None, cleared_at=None, pushed={})

    def names(self, state: State, now: datetime) -> tuple[str, ...]:
        """Return the accounts that have every word of the pattern in their name, label or plan, in the chosen order."""
        words = self.pattern.casefold().split()
        names = [
            name
            for name, account in state.accounts.items()
            if all(
                word in f"{name} {account.account.label or ''} {account.plan or ''}".casefold()
                for word in words
            )
        ]
        match self.order:
            case Order.ROOM:
                ranking = choose(state, now).ranking
                ranks = {candidate.account: n for n, candidate in enumerate(ranking)}
                names.sort(key=lambda name: ranks.get(name, len(ranks)))
            case Order.RESET:
                names.sort(key=lambda name: _next_reset(state.accounts[name], now))
            case Order.WORST:
                names.sort(key=lambda name: _fullest(state.accounts[name], now))
        return tuple(names)

    def selection(self, names: Sequence[str]) -> str | None:
        """Return which of these accounts is selected; None where there are none."""
        if self.selected in names:
            return self.selected
        return names[min(self.place, len(names) - 1)] if names else None

    def unseen(self, state: State, now: datetime) -> list[LoggedAlert]:
        """Return the alerts not looked at here: those since the table was opened, and any that was never sent."""
        found = []
        for entry in state.log:
            since = self.pushed.get(entry.alert, entry.fired_at)
            is_new = self.opened_at is None or since >= self.opened_at
            is_unsent = not entry.is_sent and now - entry.fired_at < _KEPT_UNSEEN
            if (self.cleared_at is None or since > self.cleared_at) and (is_new or is_unsent):
                found.append(entry)
        return found

    def alerts_to_announce(self, state: State, now: datetime) -> list[LoggedAlert]:
        """Return the alerts for the line at the top, the most urgent first: for 30 s, critical ones until a key.

        Of each window only the newest counts: one that is open again is no longer full.
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
        """Announce these alerts of the log as if they had fired now."""
        newest = {**self.pushed, **dict.fromkeys(alerts, now)}
        return replace(self, pushed=dict([*newest.items()][-LOG_LENGTH:]))

    def current_message(self, now: datetime) -> FlashMessage | None:
        """Return the message, unless it has expired."""
        return self.message if self.message and now < self.message.until else None

    def show(
        self, text: str, now: datetime, *, is_error: bool = False, is_long: bool = False
    ) -> "Screen":
        """Show a message; an error, and what somebody may want to copy by hand, stays longer."""
        stays = _LONG_STAYS if is_error or is_long else _MESSAGE_STAYS
        return replace(self, message=FlashMessage(text, now + stays, is_error))

    def settle(self, answer: str, now: datetime, *, is_error: bool = False) -> "Screen":
        """Show the answer of the slow command that has ended or failed.

        A form that is saved is closed; one that could not be saved keeps all that was typed.
        """
        screen, form = replace(self, busy=""), self.dialog
        if isinstance(form, Form) and form.is_saving:
            if is_error:
                return replace(screen, dialog=replace(form, is_saving=False, error=answer))
            screen = replace(screen, dialog=None)
        return screen.show(answer, now, is_error=is_error)


def _next_reset(account: AccountState, now: datetime) -> datetime:
    ends = (window.resets_at for window in applicable(account, now))
    return min((at for at in ends if at is not None), default=NO_END)


def _fullest(account: AccountState, now: datetime) -> float:
    """Return a sort key: the fullest account comes first, those of which nothing is known last."""
    return min((-window.utilization for window in applicable(account, now)), default=1.0)


@dataclass(frozen=True, slots=True)
class Quit:
    """Leave the table."""


@dataclass(frozen=True, slots=True)
class Redraw:
    """Draw the whole screen again; something else wrote on it."""


@dataclass(frozen=True, slots=True)
class Copy:
    """Put the text into the clipboard of whoever looks at the terminal."""

    text: str


Pressed = tuple[Screen, Command | Quit | Redraw | Copy | None]


def press(screen: Screen, key: Key, state: State, now: datetime) -> Pressed:
    """Return the screen after a key, and what the program is to do."""
    screen = replace(screen, key_at=now)
    if key.name in MOUSE and screen.dialog is not None:
        return screen, None
    if key.name == "click":  # a second one closes the details, or opens them
        if not key.text:
            return screen, None
        if key.text == screen.selected:
            return _toggle_detail(screen), None
        return replace(screen, selected=key.text, page=0), None
    if key.name == "ctrl+l":
        return screen, Redraw()
    match screen.dialog:
        case Form() as form:
            return _press_in_form(screen, form, key, state)
        case Confirmation(account):
            screen = replace(screen, dialog=None)
            if key.name in ("y", "Y"):  # only a plain yes deletes
                return replace(screen, busy="Deleting…"), RemoveAccount(account)
            return screen.show(f"kept {account}", now), None
        case Filter(field):
            return _press_in_filter(screen, field, key, state, now), None
    if screen.pane in (Pane.HELP, Pane.LOG):
        if key.name in _STEPS or key.name == " ":
            return _turn_page(screen, key), None
        return replace(screen, pane=Pane.NONE, page=0), None
    if key.name in _STEPS or key.name in _ENDS:
        return _move(screen, key, screen.names(state, now)), None
    if screen.busy and key.name in _ONE_AT_A_TIME:
        return screen.show(f"{screen.busy} one moment", now), None
    if key.name not in _ON_ACCOUNT:
        return _press_anywhere(screen, key, now)
    name = screen.selection(screen.names(state, now))
    if name is None:
        lack = "No account matches: Esc shows all" if state.accounts else _NO_ACCOUNT
        return screen.show(lack, now), None
    return _press_on_account(screen, key, state.accounts[name], state, now)


def _press_in_form(screen: Screen, form: Form, key: Key, state: State) -> Pressed:
    if key.name == "esc":
        return replace(screen, dialog=None), None
    if form.is_saving:
        return screen, None
    if key.name != "enter":
        return replace(screen, dialog=type_into(form, key)), None
    form, command = submit(form, state.accounts)
    return replace(screen, dialog=form, busy="Saving…" if command else screen.busy), command


def _press_in_filter(screen: Screen, field: Field, key: Key, state: State, now: datetime) -> Screen:
    """Filter the rows while the pattern is typed."""
    match key.name:
        case "enter":
            return replace(screen, dialog=None)
        case "esc":
            return replace(screen, dialog=None, pattern="")
        case "up" | "down":
            return _move(screen, key, screen.names(state, now))
    field = edit(field, key)
    return replace(screen, dialog=Filter(field), pattern=field.text)


def _move(screen: Screen, key: Key, names: Sequence[str]) -> Screen:
    """Move the selection; over an open detail pane, the page keys turn its pages."""
    if _shows_detail(screen) and key.name in ("pgdn", "pgup"):
        return _turn_page(screen, key)
    selected = screen.selection(names)
    if selected is None:
        return screen
    place = _ENDS[key.name] % len(names) if key.name in _ENDS else names.index(selected)
    place = min(max(place + _STEPS.get(key.name, 0), 0), len(names) - 1)
    return replace(screen, selected=names[place], place=place, page=0)


def _turn_page(screen: Screen, key: Key) -> Screen:
    back = _STEPS.get(key.name, 1) < 0
    return replace(screen, page=max(screen.page + (-1 if back else 1), 0))


def _press_on_account(
    screen: Screen, key: Key, account: AccountState, state: State, now: datetime
) -> Pressed:
    name = account.account.name
    match key.name:
        case "R":
            return screen.show(f"Refreshing {name}…", now), Refresh(name)
        case "s" | "enter":
            return replace(screen, busy="Marking…", message=None), UseAccount(name)
        case "e":
            return replace(screen, dialog=edit_form(account.account, state.policy.alerts)), None
        case "d" | "x":
            return replace(screen, dialog=Confirmation(name)), None
        case "c":
            folder = config_dir(account)
            if folder is None:
                problem = f"{account.account.title}: no login of Claude Code is known here"
                return screen.show(problem, now, is_error=True), None
            text = command(folder)  # shown as well: not every terminal takes it
            return screen.show(f"Copied: {text}", now, is_long=True), Copy(text)
    return _toggle_detail(screen), None


def _toggle_detail(screen: Screen) -> Screen:
    is_closed = _shows_detail(screen)
    pane = Pane.NONE if is_closed else Pane.DETAIL
    return replace(screen, pane=pane, is_closed=is_closed, has_detail=not is_closed, page=0)


def _shows_detail(screen: Screen) -> bool:
    return screen.pane is Pane.DETAIL or (screen.pane is Pane.NONE and screen.has_detail)


def _press_anywhere(screen: Screen, key: Key, now: datetime) -> Pressed:
    match key.name:
        case "q" | "ctrl+c":
            return screen, Quit()
        case "r":
            return screen.show("Refreshing…", now), Refresh()
        case "m":
            return screen, ToggleMute()
        case "i":
            return replace(screen, busy="Importing…", message=None), ImportLogins(brief=True)
        case "a":
            return replace(screen, dialog=add_form()), None
        case "/":
            return replace(screen, dialog=Filter(Field("", screen.pattern))), None
        case "?":
            return replace(screen, pane=Pane.HELP, page=0), None
        case "l":
            return replace(screen, pane=Pane.LOG, page=0, cleared_at=now), None
        case "o":
            orders = list(Order)
            order = orders[(orders.index(screen.order) + 1) % len(orders)]
            return replace(screen, order=order).show(f"Order: {order}", now), None
        case "esc":
            closed = replace(screen, pane=Pane.NONE, page=0, message=None, cleared_at=now)
            if screen.pane is Pane.DETAIL:
                return replace(closed, is_closed=True), None
            return replace(closed, pattern=""), None
    if key.text and key.name != "paste" and not screen.is_hinted:
        return replace(screen.show("? for help", now), is_hinted=True), None
    return screen, None

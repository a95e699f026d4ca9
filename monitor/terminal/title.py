"""The first line of the screen: the name, what is to be said, and how old the newest numbers are. Pure."""

from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final

from monitor.core import format
from monitor.core.state import State
from monitor.terminal import widths
from monitor.terminal.canvas import Size
from monitor.terminal.screen import Message, Screen
from monitor.terminal.style import Line, Span, Style, line_width, text_line

NAME: Final = "Claude Tracker"


@dataclass(frozen=True, slots=True)
class View:
    """What is to be drawn, and of which moment."""

    state: State
    screen: Screen
    now: datetime
    tz: tzinfo | None
    size: Size
    footer: str

    @property
    def selection(self) -> str | None:
        return self.screen.selection(self.state)

    @property
    def long_note(self) -> list[Line]:
        """The message in lines of their own, where the title has no room for it; else none."""
        note = self.screen.note(self.now)
        if note is None or self.size.height < 4 or line_width(note_line(note)) < self.size.width:
            return []
        parts = widths.wrap(widths.clean(note.text), max(self.size.width - 1, 1))
        return [text_line(f" {part}", note_style(note)) for part in parts[: self.size.height - 2]]


def title(view: View, body: Size) -> Line:
    """The name and what is to be said at the left, the last refresh at the right, as far as there is room."""
    note = _said(view)
    name, short = (Span(f" {text}", Style.TITLE, bold=True) for text in (NAME, NAME.split()[0]))
    lefts = [(name, Span("  "), *note), (Span(" "), *note)] if note else [(name,), (short,)]
    for left in lefts:
        for right in _last_refresh(view, body.height):
            gap = body.width - line_width(left) - widths.width(right) - 1
            if gap >= 2:
                return *left, Span(" " * gap), Span(right, Style.DIM)
    return next((left for left in lefts if line_width(left) <= body.width), lefts[-1])


def _last_refresh(view: View, height: int) -> list[str]:
    """In ever fewer words; before it the place in a table that is longer than `height`."""
    at = view.state.last_success_at
    ago = format.NOTHING if at is None else f"{format.age(view.now - at)} ago"
    texts = [f"Last refresh: {ago}", ago]
    names = list(view.state.accounts)
    if view.selection is None or len(names) < height:
        return texts
    place = f"{names.index(view.selection) + 1} of {len(names)}"
    return [*(f"{place} · {text}" for text in texts), *texts]


def _said(view: View) -> Line:
    """The newest message, else what is going on, else why no alerts come."""
    note = view.screen.note(view.now)
    if note is not None and not view.long_note:
        return note_line(note)
    if view.screen.busy:
        return text_line(view.screen.busy, Style.NOTICE)
    muted_until = view.state.muted_until
    if muted_until is not None and view.now < muted_until:
        return text_line(
            f"muted until {format.clock(muted_until, view.now, view.tz)}", Style.NOTICE
        )
    if view.state.ledger_failure is not None:
        return text_line("alerts cannot be written down", Style.PROBLEM)
    log = view.state.notifications
    if log.last_failure:
        channel = f"{log.last_channel} alert" if log.last_channel else "Alert"
        return text_line(widths.clean(f"{channel} failed: {log.last_failure}"), Style.PROBLEM)
    return ()


def note_line(note: Message) -> Line:
    return text_line(widths.clean(note.text), note_style(note))


def note_style(note: Message) -> Style:
    return Style.PROBLEM if note.is_error else Style.NOTICE

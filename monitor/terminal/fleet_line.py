"""The accounts together: what each is called in short, which are listed in which order, and the line that sums them up.

Pure.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from monitor.core import format
from monitor.core.exhaustion import SOON
from monitor.core.model import SEVEN_DAYS, AccountState, Window
from monitor.core.ranking import NO_END, Choice, Confidence, applicable, choose
from monitor.core.sanitize import clean
from monitor.core.state import State
from monitor.terminal.text import Line, Span, Style, line_width

LASTS: Final = timedelta(seconds=15)
"""So long a sum holds at most: figures grow old."""


class Order(StrEnum):
    """An order of the rows, in words."""

    SETTINGS = "order of the settings"
    ROOM = "most room first"
    RESET = "next reset first"
    WORST = "fullest first"


def listed(state: State, order: Order, pattern: str, now: datetime) -> tuple[str, ...]:
    """The names of the accounts that have every word of the pattern in their name, label or plan, in this order."""
    words = pattern.casefold().split()
    names = [
        name
        for name, account in state.accounts.items()
        if all(
            word in f"{name} {account.account.label or ''} {account.plan or ''}".casefold()
            for word in words
        )
    ]
    match order:
        case Order.SETTINGS:
            return tuple(names)
        case Order.ROOM:
            ranks = {candidate.account: n for n, candidate in enumerate(choose(state, now).ranking)}
            return tuple(sorted(names, key=lambda name: ranks.get(name, len(ranks))))
        case Order.RESET:
            return tuple(sorted(names, key=lambda name: _next_reset(state.accounts[name], now)))
        case Order.WORST:
            return tuple(sorted(names, key=lambda name: _fullest(state.accounts[name], now)))


def _next_reset(account: AccountState, now: datetime) -> datetime:
    ends = (window.resets_at for window in applicable(account, now))
    return min((at for at in ends if at is not None), default=NO_END)


def _fullest(account: AccountState, now: datetime) -> float:
    """Sorts the fullest account first, and last those of which nothing is known."""
    return min((-window.utilization for window in applicable(account, now)), default=1.0)


def short_names(state: State) -> dict[str, str]:
    """Name each account where room is short: by its label, `finn@` where no other is called so, or its name."""
    beginnings = Counter(name.partition("@")[0] for name in state.accounts)
    short = {}
    for name, account in state.accounts.items():
        start, at, _ = name.partition("@")
        is_unique = at and start and beginnings[start] == 1
        short[name] = clean(account.account.label or (f"{start}@" if is_unique else name))
    return short


@dataclass(frozen=True, slots=True)
class Fleet:
    """All accounts at one moment. `worst` is the fullest window of any, with its account's name."""

    choice: Choice
    free: int
    full: int
    in_need: int
    week_left: float | None
    worst: tuple[str, Window] | None

    @property
    def best(self) -> str | None:
        """The account to use next; None where there is none, or no other to choose from."""
        return self.choice.account if self.choice.usable and len(self.choice.ranking) > 1 else None


def fleet(state: State, now: datetime) -> tuple[Fleet, datetime]:
    """Sum the accounts up, and say until when that holds, unless the state changes.

    Free is one that has room in all limits that stop its work, as far as is known.
    """
    choice = choose(state, now)
    standings = [candidate.standing for candidate in choice.ranking]
    windows = [
        (name, window)
        for name, account in state.accounts.items()
        for window in applicable(account, now)
    ]
    weeks = [
        1 - min(max(window.utilization, 0), 1) for _, window in windows if window.key == SEVEN_DAYS
    ]
    found = Fleet(
        choice,
        free=sum(standing <= Confidence.OLD for standing in standings),
        full=standings.count(Confidence.FULL),
        in_need=sum(account.login_required for account in state.accounts.values()),
        week_left=sum(weeks) / len(weeks) if weeks else None,
        worst=max(windows, key=lambda each: each[1].utilization, default=None),
    )
    return found, min([now + LASTS, *(w.resets_at for _, w in windows if w.resets_at)])


def fleet_line(state: State, found: Fleet, now: datetime, room: int) -> Line:
    """`7 of 20 free · 3 full · next free finn@ 13:04 · week left 41%`, as much of it as these cells hold."""
    names = short_names(state)
    parts = [Span(f"{found.free} of {len(state.accounts)} free", Style.GOOD)]
    if found.full:
        parts.append(Span(f"{found.full} full", Style.PROBLEM))
    if found.in_need:
        parts.append(
            Span(f"{found.in_need} need{'s' * (found.in_need == 1)} a login", Style.NOTICE)
        )
    if found.best is not None:
        parts.append(Span(f"use {names[found.best]}", Style.GOOD, bold=True))
    frees = [(c.free_at, c.account) for c in found.choice.ranking if c.free_at is not None]
    if frees:
        at, name = min(frees)
        parts.append(Span(f"next free {names[name]} {format.clock(at, now)}"))
    if state.pool and state.pool.exhausted_at and state.pool.exhausted_probability >= SOON:
        at = state.pool.exhausted_at
        parts.append(Span(f"all full about {format.clock(at, now)}", Style.PROBLEM))
    if found.week_left is not None:
        parts.append(Span(f"week left {format.percent(found.week_left)}"))
    line: Line = (Span(" "),)
    for part in parts:
        longer = (*line, *((Span(" · ", Style.DIM),) if len(line) > 1 else ()), part)
        if line_width(longer) <= room:
            line = longer
    return line


def window_title(state: State, found: Fleet) -> str:
    """The title of the terminal's window: the worst figure first, as a tab shows only its beginning."""
    if found.worst is None:
        return "Claude Tracker"
    name, window = found.worst
    figure = format.percent(window.utilization, confirmed=window.confirmed)
    return f"{figure} {short_names(state)[name]} {clean(window.key)} · Claude Tracker"

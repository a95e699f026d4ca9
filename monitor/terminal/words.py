"""The words of the Status column, with how to fix a failure, and the line about all accounts. Pure."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from monitor.core import format
from monitor.core.errors import Cause, Reason, describe, explain
from monitor.core.exhaustion import SOON
from monitor.core.model import (
    EXTRA,
    SEVEN_DAYS,
    AccountState,
    AccountStatus,
    AuthMethod,
    Down,
    Storage,
    Window,
)
from monitor.core.ranking import Choice, Confidence, applicable, candidate_of, choose
from monitor.core.sanitize import clean
from monitor.core.state import State
from monitor.terminal.text import Line, Span, Style, clip, line_width, width

_FAILURES: Final = {
    Reason.SCOPE: (
        "Token can't read usage — run claude, then /login",
        "Log in: claude /login",
        "No scope",
    ),
    Reason.TIMEOUT: ("Timeout",),
    Reason.CONNECTION: ("No network",),
    Reason.SERVER: ("Anthropic server error", "API error"),
    Reason.SCHEMA: ("Unexpected API answer", "Bad answer"),
    Reason.BLOCKED: ("Something else answered", "Blocked"),
    Reason.REFUSED: ("The API does not allow it", "Not allowed"),
    Reason.CHALLENGE: (
        "Cloudflare asks for a browser — import with i",
        "Cloudflare — import, i",
        "Cloudflare",
    ),
}
_FULL: Final = 0.999999
"""A window of this utilization may be full; the ranking then says whether it is."""

_SUM_LASTS: Final = timedelta(seconds=15)
"""The sum of all accounts is made again after this time: figures grow old."""

_LEAST_CELLS: Final = 16
"""The least that is shown of a problem's beginning; less would leave its reader guessing."""

_BRIEFER: Final[dict[Cause | None, tuple[str, ...]]] = {
    Cause.WAITING: ("Waiting for Claude Code", "Run claude", "Waiting"),
    Cause.LOGIN_ENDED: ("Login ended — claude /login", "claude /login", "Log in"),
    Cause.LOGGED_OUT: ("Logged out — claude /login", "Logged out", "Log in"),
    Cause.EXPIRED: ("The token has expired", "Expired"),
    Cause.NO_LIMITS: ("No figures in the answer", "No figures"),
    Cause.ALIEN: ("Something else answered", "Blocked"),
    Cause.WRONG_ORGANIZATION: ("org_id is wrong", "Wrong org_id"),
    Cause.NO_HOST: ("No network",),
    Cause.UNREACHED: ("No connection",),
    Cause.UNTRUSTED: ("Certificate not trusted", "Untrusted TLS"),
    Cause.NO_TLS: ("No TLS there", "No TLS"),
    Cause.PROXY_DOWN: ("Proxy not reached", "No proxy"),
    Cause.PROXY_LOGIN: ("Proxy wants a login", "Proxy login"),
    Cause.PROXY_REFUSED: ("Proxy refused", "Proxy"),
    Cause.PROXY_ODD: ("No such proxy", "Proxy"),
    Cause.SOCKS: ("SOCKS not supported", "SOCKS"),
    Cause.LATE: ("Timeout",),
    Cause.NOT_HTTP: ("No HTTP there", "No HTTP"),
    Cause.CUT: ("Connection lost", "Cut off"),
    Cause.UNSENT: ("Request not possible", "Not sent"),
    Cause.FORBIDDEN: ("The API does not allow it", "Not allowed"),
}
"""Shorter words than the whole sentence, which names the folder."""


@dataclass(frozen=True, slots=True)
class StatusWords:
    """One condition in phrases from the longest to the shortest, and its style."""

    phrases: tuple[str, ...]
    style: Style

    def within(self, room: int) -> str:
        """Return the longest phrase that these cells hold, else the shortest one clipped."""
        fitting = (phrase for phrase in self.phrases if width(phrase) <= room)
        return next(fitting, clip(self.phrases[-1], room))

    def width(self, level: int) -> int:
        """Return the cells of a phrase: level 0 is the longest; the shortest stands for all later levels."""
        return width(self.phrases[min(level, len(self.phrases) - 1)])


def status_words(state: State, account: AccountState, now: datetime) -> StatusWords:
    """Put the account's condition at `now` into words."""
    age = format.age(now - (account.last_success_at or now))
    if account.down is not None:
        phrases = failure_phrases(account, account.down, now)
        last = account.last_success_at
        if last is not None and now - last >= format.WORTH_TELLING:
            # While polls fail, even the shortest words have the age of the numbers: else they look current.
            *fuller, fewest = phrases
            aged = [each for p in fuller for each in (f"{p}, {age} old", f"{p}, {age}")]
            phrases = (*aged, f"{fewest}, {age} old")
        return StatusWords(phrases, Style.PROBLEM)
    status = account.status(now)
    if state.logged_in == account.account.name:
        phrase = f"Logged In, {age} old" if status is AccountStatus.STALE else "Logged In"
        style = Style.GOOD
    elif status is AccountStatus.STALE:
        phrase, style = f"{age} ago", Style.NOTICE
    elif status is AccountStatus.LIVE:
        phrase, style = "Live", Style.PLAIN
    else:
        phrase, style = format.NOTHING, Style.DIM
    money = _money(account, now)
    if money:
        return StatusWords((f"{money}, {phrase}", money), style)
    # A window can be locked whatever its percentage.
    locked = [window.key for window in account.windows(now) if window.locked_reason is not None]
    if locked:
        return StatusWords((f"{phrase}, {clean(' '.join(locked))} locked", phrase), style)
    is_full = any(window.utilization >= _FULL for window in account.windows(now))
    if is_full and (candidate := candidate_of(state, account, now)).confidence is Confidence.FULL:
        at = candidate.free_at
        until = f" until {format.clock(at, now)}" if at is not None else ""
        return StatusWords((f"{phrase}, full{until}", f"{phrase}, full", phrase), style)
    models = [w.key for w in account.windows(now) if w.utilization >= _FULL and w.key != EXTRA]
    if models:
        words = clean(" and ".join(models)).replace("_", " ")
        return StatusWords((f"{phrase}, {words} full", phrase), style)
    return StatusWords((phrase,), style)


def _money(account: AccountState, now: datetime) -> str:
    """Say how much money was spent, where an account has no other limit."""
    extra = account.usage.extra_usage if account.usage else None
    is_all = [window.key for window in account.windows(now)] == [EXTRA]
    if not is_all or extra is None or extra.used is None or extra.limit is None:
        return ""
    currency = clean(extra.currency)
    return f"{format.money(extra.used, currency)} of {format.money(extra.limit, currency)}"


def failure_phrases(account: AccountState, down: Down, now: datetime) -> tuple[str, ...]:
    """Put a failure and how to fix it into ever fewer words."""
    failure = down.failure
    match failure.reason:
        case Reason.AUTH if account.account.auth_method is AuthMethod.SESSION_KEY:
            return "Key refused — press e for a new one", "Key refused: press e", "press e: new key"
        case Reason.CREDENTIALS:
            problem = sentence(explain(failure)[0])
            last = _BRIEFER.get(failure.cause, (clip(problem, _LEAST_CELLS), "No access"))
            return tuple(filter(None, (sentence(describe(failure)), problem, *last)))
        case _ if failure.cause in _BRIEFER:
            is_far = failure.reason in (Reason.CONNECTION, Reason.TIMEOUT)
            shorter = [sentence(explain(failure)[0])] if is_far else []
            return sentence(describe(failure)), *shorter, *_BRIEFER[failure.cause]
        case Reason.AUTH if account.account.storage in (Storage.SYSTEMD, Storage.COMMAND):
            # Claude Code renews neither what systemd gives nor what a program prints.
            return "Token refused — renew it at its source", "Token refused", "Refused"
        case Reason.AUTH:
            return "Expired — run claude", "Run claude", "Expired"
        case Reason.RATE_LIMITED:
            until = format.clock(account.backoff_until or account.next_poll_at, now)
            return f"Rate limited until {until}", f"Limited to {until}", f"Wait {until}"
        case Reason.SERVER if failure.detail:
            words = _FAILURES[failure.reason]
            return f"{words[0]} ({clean(failure.detail)})", *words
        case reason:
            return _FAILURES[reason]


def sentence(text: str) -> str:
    """Clean the text, and begin it with a capital letter."""
    text = clean(text).strip()
    return text[:1].upper() + text[1:]


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
    full: int
    in_need: int
    week_left: float | None
    worst: tuple[str, Window] | None

    @property
    def best(self) -> str | None:
        """The account to use next; None where there is none, or no other to choose from."""
        return self.choice.account if self.choice.usable and len(self.choice.ranking) > 1 else None


def fleet(state: State, now: datetime) -> tuple[Fleet, datetime]:
    """Sum the accounts up; the instant is that until which the sum stays true, unless the state changes."""
    choice = choose(state, now)
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
        full=sum(candidate.is_full for candidate in choice.ranking),
        in_need=sum(account.login_required for account in state.accounts.values()),
        week_left=sum(weeks) / len(weeks) if weeks else None,
        worst=max(windows, key=lambda each: each[1].utilization, default=None),
    )
    return found, min([now + _SUM_LASTS, *(w.resets_at for _, w in windows if w.resets_at)])


def fleet_line(state: State, found: Fleet, now: datetime, room: int, spare: int = 0) -> Line:
    """Draw `7 of 20 free · 3 full · next free finn@ 13:04 · week left 41%`, as much of it as these cells hold.

    How many are free later is only said where that leaves `spare` cells.
    """
    names = short_names(state)
    parts = [Span(f"{found.choice.free} of {len(state.accounts)} free", Style.GOOD)]
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
    pool = state.fresh_pool(now)
    if pool and pool.exhausted_at and pool.exhausted_probability >= SOON:
        parts.append(Span(f"all full about {format.clock(pool.exhausted_at, now)}", Style.PROBLEM))
    if found.week_left is not None:
        parts.append(Span(f"week left {format.percent(found.week_left)}"))
    later = pool and pool.later(now) and Span(f"free {pool.words(now)}")
    line: Line = (Span(" "),)
    for part in (*parts, *([later] if later else [])):
        longer = (*line, *((Span(" · ", Style.DIM),) if len(line) > 1 else ()), part)
        if line_width(longer) <= room - spare * (part is later):
            line = longer
    return line


def window_title(state: State, found: Fleet) -> str:
    """Return the title of the terminal's window: the worst figure first, as a tab shows only its beginning."""
    if found.worst is None:
        return "Claude Tracker"
    name, window = found.worst
    figure = format.percent(window.utilization, confirmed=window.confirmed)
    return f"{figure} {short_names(state)[name]} {clean(window.key)} · Claude Tracker"

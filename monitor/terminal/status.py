"""What the Status column says of an account: its condition in words, and what to do about a failure. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final

from monitor.core import format
from monitor.core.errors import Cause, Failure, Reason, describe, explain
from monitor.core.model import Account, AccountState, AuthMethod, Down, Status, Storage
from monitor.core.sanitize import clean
from monitor.core.state import State
from monitor.terminal.text import Style, clip, width

_FAILURES: Final = {
    Reason.SCOPE: (
        "No scope to read usage — log in by claude /login",
        "Log in: claude /login",
        "No scope",
    ),
    Reason.TIMEOUT: ("Timeout",),
    Reason.CONNECTION: ("No network",),
    Reason.SERVER: ("Anthropic has an error", "API error"),
    Reason.SCHEMA: ("Answer not understood", "Bad answer"),
    Reason.CHALLENGE: (
        "Cloudflare asks for a browser — import with i",
        "Cloudflare — import, i",
        "Cloudflare",
    ),
}
_TELLING: Final = 16
"""Cells of a detail's beginning that still say something."""

_TOKEN_DEAD: Final = ("Expired — run claude", "Run claude", "Expired")
_GIVEN_DEAD: Final = ("Token refused — renew it where it is from", "Token refused", "Refused")
"""Claude Code renews neither what systemd gives nor what a program prints."""

_SHORTER: Final = {
    Cause.WAITING: ("Waiting for Claude Code", "Run claude", "Waiting"),
    Cause.LOGIN_ENDED: ("Login ended — claude /login", "claude /login", "Log in"),
    Cause.LOGGED_OUT: ("Logged out — claude /login", "Logged out", "Log in"),
    Cause.EXPIRED: ("The token has expired", "Expired"),
}
"""What is left in less room of a sentence that says in full where to do what."""

_KEY_DEAD: Final = ("Key refused — press e for a new one", "Key refused — e", "New key: e")


@dataclass(frozen=True, slots=True)
class StatusWords:
    """One condition in phrases from the fullest to the shortest, and its style."""

    phrases: tuple[str, ...]
    style: Style

    def within(self, room: int) -> str:
        """The fullest phrase that these cells hold, else the shortest one clipped."""
        fitting = (phrase for phrase in self.phrases if width(phrase) <= room)
        return next(fitting, clip(self.phrases[-1], room))

    def width(self, level: int) -> int:
        """The cells of a phrase: level 0 is the fullest; the shortest stands for all levels after it."""
        return width(self.phrases[min(level, len(self.phrases) - 1)])


def status_words(
    state: State, account: AccountState, now: datetime, tz: tzinfo | None = None
) -> StatusWords:
    """The account's condition at `now`; clock times are told in `tz`."""
    if isinstance(account.health, Down):
        phrases = failure_phrases(account, account.health, now, tz)
        return StatusWords(_with_age(phrases, account, now), Style.PROBLEM)
    phrase, style = _condition(state, account, now)
    return StatusWords((*_with_lock(phrase, account, now), phrase), style)


def _condition(state: State, account: AccountState, now: datetime) -> tuple[str, Style]:
    status = account.status(now)
    if state.logged_in == account.account.name:
        stale = f" {_age(account, now)}" if status is Status.STALE else ""
        return f"Logged In{stale}", Style.GOOD
    if status is Status.STALE:
        return f"{_age(account, now)} ago", Style.NOTICE
    return ("Live", Style.PLAIN) if status is Status.LIVE else (format.NOTHING, Style.DIM)


def _with_lock(phrase: str, account: AccountState, now: datetime) -> Iterator[str]:
    """A window can be locked whatever its percentage."""
    locked = [w.key for w in account.windows(now) if w.locked_reason is not None]
    if locked:
        yield f"{phrase}, {clean(' '.join(locked))} locked"


def _with_age(phrases: tuple[str, ...], account: AccountState, now: datetime) -> tuple[str, ...]:
    """Numbers that stay while polls fail have an age, in the fewest words too: without it they look current."""
    last = account.last_success_at
    if last is None or now - last < format.WORTH_TELLING:
        return phrases
    age = _age(account, now)
    *fuller, fewest = phrases
    told = (each for p in fuller for each in (f"{p}, {age} old", f"{p}, {age}"))
    return *told, f"{fewest}, {age} old"


def _age(account: AccountState, now: datetime) -> str:
    return format.age(now - (account.last_success_at or now))


def failure_phrases(
    account: AccountState, down: Down, now: datetime, tz: tzinfo | None
) -> tuple[str, ...]:
    """A failure and what to do about it, in ever fewer words."""
    failure = down.failure
    match failure.reason:
        case Reason.AUTH:
            return _refused(account.account, failure)
        case Reason.RATE_LIMITED:
            until = format.clock(account.backoff_until or account.next_poll_at, now, tz)
            return f"Rate limited until {until}", f"Limited to {until}", f"Wait {until}"
        case Reason.CREDENTIALS:
            return _explained(failure)
        case reason:
            return _FAILURES[reason]


def _refused(account: Account, failure: Failure) -> tuple[str, ...]:
    """Whom the token waits for: with the folder where there is room."""
    if account.auth_method is AuthMethod.SESSION_KEY:
        return _KEY_DEAD
    if failure.cause in _SHORTER:
        return sentence(describe(failure)), *_SHORTER[failure.cause]
    is_the_users = account.storage in (Storage.SYSTEMD, Storage.COMMAND)
    return _GIVEN_DEAD if is_the_users else _TOKEN_DEAD


def _explained(failure: Failure) -> tuple[str, ...]:
    """The whole sentence, then what is wrong without what to do, then the beginning of that."""
    wrong = sentence(explain(failure)[0])
    phrases = sentence(describe(failure)), wrong, clip(wrong, _TELLING), "No access"
    return tuple(filter(None, phrases))


def sentence(text: str) -> str:
    """A detail cleaned, and with a capital letter as a status has."""
    text = clean(text).strip()
    return text[:1].upper() + text[1:]

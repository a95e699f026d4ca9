"""Which account to use now, and why: the most room, the soonest reset, and of equals the login in use. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from monitor.core import format
from monitor.core.model import AccountState
from monitor.core.ranking import (
    Candidate,
    Confidence,
    applicable,
    candidate_of,
    ranked,
)
from monitor.core.sanitize import clean
from monitor.core.state import State


@dataclass(frozen=True, slots=True)
class Choice:
    """The account to use now, or (not `usable`) the one that is free first; None where nothing is known of any."""

    account: str | None
    usable: bool
    reasons: tuple[str, ...]
    free_at: datetime | None = None
    ranking: tuple[Candidate, ...] = ()


def choose(state: State, now: datetime) -> Choice:
    """The best account of the state, and all of them from the best to the worst."""
    found = [candidate_of(state, account, now) for account in state.accounts.values()]
    ranking = tuple(ranked(found))
    if not ranking:
        return Choice(
            None,
            False,
            ("there are no accounts yet: `monitor accounts import` takes over a login",),
        )
    if all(candidate.room is None for candidate in ranking):
        reason = "nothing is known of any account yet"
        return Choice(None, False, (reason, *_named_doubts(ranking)), ranking=ranking)
    best = ranking[0]
    usable = best.standing is not Confidence.FULL
    reasons = _reasons_for(ranking, state, now) if usable else _reasons_when_full(ranking, now)
    return Choice(best.account, usable, (*reasons, *best.reasons), best.free_at, ranking)


def _reasons_for(ranking: Sequence[Candidate], state: State, now: datetime) -> Iterator[str]:
    """Why the first one is the best: what is used of it, and what it has before the next one."""
    best = ranking[0]
    yield from _used(state.accounts[best.account], now)
    others = [c for c in ranking[1:] if c.standing is not Confidence.FULL]
    if len(ranking) > 1 and not others:
        yield "all others are full" if len(ranking) > 2 else "the other one is full"
    elif others and others[0].standing is best.standing:
        yield _advantage(best, others, now)
    elif others:
        yield "less is known of the others" if len(others) > 1 else "less is known of the other one"


def _used(account: AccountState, now: datetime) -> Iterator[str]:
    parts = [
        f"{w.key} {format.percent(w.utilization, confirmed=w.confirmed)}"
        for w in applicable(account, now)
    ]
    if parts:
        yield f"{', '.join(parts)} used"


def _advantage(best: Candidate, others: Sequence[Candidate], now: datetime) -> str:
    """The first thing in which it is before all that are known as well as it is."""
    peers = [candidate for candidate in others if candidate.standing is best.standing]
    equals = [peer for peer in peers if peer.percent_left == best.percent_left]
    if not equals:
        return "the most room"
    if best.window and best.window.resets_at and best.lapses_at < equals[0].lapses_at:
        soon = format.duration(best.window.resets_at - now)
        return f"as much room as any, and its {best.window.key} resets first, in {soon}"
    if best.logged_in:
        return "as much room as any, and Claude Code is logged in there"
    return "as much room as any"


def _reasons_when_full(ranking: Sequence[Candidate], now: datetime) -> Iterator[str]:
    best = ranking[0]
    yield "every account is full" if len(ranking) > 1 else "the only account is full"
    if best.free_at is None:
        yield "when that ends is not known"
    else:
        first = "it is free" if len(ranking) == 1 else f"{clean(best.account)} is free first,"
        yield f"{first} in {format.duration(best.free_at - now)}"


def _named_doubts(ranking: Sequence[Candidate]) -> Iterator[str]:
    for candidate in ranking[:3]:
        if candidate.reasons:
            yield f"{clean(candidate.account)}: {', '.join(candidate.reasons)}"

"""Which account to use now, and why: the most room, the login in use where that is as good, the soonest reset. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from monitor.core import words
from monitor.core.candidates import (
    AS_GOOD,
    Candidate,
    Standing,
    applicable,
    candidate_of,
    ranked,
)
from monitor.core.model import AccountState
from monitor.core.state import State
from monitor.core.visible import clean


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
    usable = best.standing is not Standing.FULL
    reasons = _praise(ranking, state, now) if usable else _consolation(ranking, now)
    return Choice(best.account, usable, (*reasons, *best.reasons), best.free_at, ranking)


def _praise(ranking: Sequence[Candidate], state: State, now: datetime) -> Iterator[str]:
    """Why the first one is the best: what is used of it, and what it has before the next one."""
    best = ranking[0]
    yield from _used(state.accounts[best.account], now)
    others = [c for c in ranking[1:] if c.standing is not Standing.FULL]
    if len(ranking) > 1 and not others:
        yield "all others are full" if len(ranking) > 2 else "the other one is full"
    elif others and others[0].standing is best.standing:
        yield _advantage(best, others, now)
    elif others:
        yield "less is known of the others" if len(others) > 1 else "less is known of the other one"


def _used(account: AccountState, now: datetime) -> Iterator[str]:
    parts = [
        f"{w.key} {words.percent(w.utilization, confirmed=w.confirmed)}"
        for w in applicable(account, now)
    ]
    if parts:
        yield f"{', '.join(parts)} used"


def _advantage(best: Candidate, others: Sequence[Candidate], now: datetime) -> str:
    peers = [candidate for candidate in others if candidate.standing is best.standing]
    most = max(peer.room or 0.0 for peer in peers)
    if (best.room or 0.0) > most + AS_GOOD:
        return "the most room"
    if best.logged_in:
        return "about as much room as any, and Claude Code is logged in there"
    if best.window and best.lapses_at < min(peer.lapses_at for peer in peers):
        soon = words.duration(best.lapses_at - now)
        return f"about as much room as any, and its {best.window.key} resets first, in {soon}"
    return "about as much room as any"


def _consolation(ranking: Sequence[Candidate], now: datetime) -> Iterator[str]:
    best = ranking[0]
    yield "every account is full" if len(ranking) > 1 else "the only account is full"
    if best.free_at is None:
        yield "when that ends is not known"
    else:
        first = "it is free" if len(ranking) == 1 else f"{clean(best.account)} is free first,"
        yield f"{first} in {words.duration(best.free_at - now)}"


def _named_doubts(ranking: Sequence[Candidate]) -> Iterator[str]:
    for candidate in ranking[:3]:
        if candidate.reasons:
            yield f"{clean(candidate.account)}: {', '.join(candidate.reasons)}"

"""Mirrors the leader's state in followers: lines of JSON that the leader sends, and the state that they lead to.

Left out is what no follower shows: the alert machine's memory, the alert rules, and the argv of a token's program,
which may be private.
"""

import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from monitor.core.alerts.rules import RuleBook
from monitor.core.codec import decode, encode
from monitor.core.commands import WatchState, encode_request
from monitor.core.errors import TrackerError
from monitor.core.model import AccountState
from monitor.core.state import LoggedAlert, State
from monitor.ipc.client import stream
from monitor.ipc.protocol import SILENT_SECS, render_lines
from monitor.system.aio import Daemon

_OTHER_VERSION: Final = (
    "the running monitor is of another version, whose state cannot be read: restart it"
)


@dataclass(frozen=True, slots=True)
class StateDelta:
    """The state without its accounts, and those accounts that have changed; or all of them, of a `whole` one.

    `log` is None where it has not changed.
    """

    state: State
    accounts: tuple[AccountState, ...]
    whole: bool = False
    log: tuple[LoggedAlert, ...] | None = None


def encode_delta(before: State | None, after: State) -> str:
    """Make the line that leads from one state, or from any between the two, to the other; from None it is whole."""
    whole = before is None or list(before.accounts) != list(after.accounts)
    known: Mapping[str, AccountState] = {} if before is None or whole else before.accounts
    accounts = tuple(
        replace(new, account=replace(new.account, token_command=()), alerts={}, conditions={})
        for name, new in after.accounts.items()
        if new is not known.get(name)
    )
    rules = after.policy.alerts
    # Of the rules only what the form of an account shows.
    policy = replace(after.policy, alerts=RuleBook(rules.thresholds, overrides=rules.overrides))
    state = replace(after, policy=policy, accounts={}, conditions={}, restored={}, log=())
    log = None if before is not None and not whole and after.log is before.log else after.log
    delta = StateDelta(state, accounts, whole, log)
    return json.dumps(encode(StateDelta, delta), separators=(",", ":"))


class Deltas:
    """Makes each line once for all who follow: most of them have seen the same state."""

    def __init__(self) -> None:
        self._newest = State()
        self._encoded: list[tuple[State | None, bytes]] = []

    def lines(self, seen: State | None, newest: State) -> bytes:
        """Return the lines that lead from the state that was `seen` to the newest one."""
        if newest is seen:
            return b""
        if newest is not self._newest:
            self._newest, self._encoded = newest, []
        known = next((lines for state, lines in self._encoded if state is seen), None)
        if known is None:
            known = render_lines(encode_delta(seen, newest))
            self._encoded.append((seen, known))
        return known


def apply_line(line: bytes, before: State) -> State:
    """Return the state after a line. Raises TrackerError for a line of another version."""
    try:
        delta = decode(StateDelta, json.loads(line))
    except (ValueError, RecursionError):
        raise TrackerError(_OTHER_VERSION) from None
    known: Mapping[str, AccountState] = {} if delta.whole else before.accounts
    changed = {account.account.name: account for account in delta.accounts}
    log = before.log if delta.log is None else delta.log
    return replace(delta.state, accounts={**known, **changed}, log=log)


def read_state(path: str, limit_secs: float = SILENT_SECS) -> State | None:
    """Return the leader's state at this moment, blocking; None where nobody listens. Raises TrackerError."""
    lines = stream(path, encode_request(WatchState()), first_secs=limit_secs)
    return None if lines is None else apply_line(next(lines, b""), State())


async def mirror_state(path: str, silent_secs: float = SILENT_SECS) -> AsyncGenerator[State, None]:
    """Yield the leader's state, and each newer one, until the leader ends; nothing where nobody listens.

    Raises SilentLeaderError where nothing is heard of it, another TrackerError where it refuses, or is not to be
    trusted.
    """

    def begin() -> tuple[Iterator[bytes], bytes | None]:
        lines = stream(path, encode_request(WatchState()), silent_secs) or iter(())
        return lines, next(lines, None)

    lines, line = await Daemon(begin).future
    state = State()
    while line is not None:
        state = apply_line(line, state)
        yield state
        line = await Daemon(lambda: next(lines, None)).future

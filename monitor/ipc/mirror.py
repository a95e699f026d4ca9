"""The leader's state in another process: what the leader sends of it, and the mirror that a follower makes of that.

Left out is what nobody looks at elsewhere: the alert machine's memory, the alert rules, and the argv of a token's
program, which may be private.
"""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, Self

from monitor.core.alerts.rules import RuleBook
from monitor.core.codec import decode, encode
from monitor.core.commands import WatchState, encode_request
from monitor.core.errors import TrackerError
from monitor.core.model import AccountState
from monitor.core.state import LoggedAlert, State
from monitor.ipc.client import connect, stream
from monitor.ipc.protocol import SILENT_SECS, parse_code, refusal, render_request
from monitor.system.aio import Daemon, Observable

LINE_BYTES: Final = 32 * 1024 * 1024
"""More than any state takes; what is longer is none."""

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


def encode_state(state: State) -> str:
    """Make the line of a whole state."""
    return _line(
        StateDelta(_shared(state), tuple(state.accounts.values()), whole=True, log=state.log)
    )


def encode_change(before: State, after: State) -> str:
    """Make the line that leads from one state, or from any between the two, to the other."""
    if list(before.accounts) != list(after.accounts):
        return encode_state(after)
    changed = (new for name, new in after.accounts.items() if new is not before.accounts[name])
    log = None if after.log is before.log else after.log
    return _line(StateDelta(_shared(after), tuple(changed), log=log))


def apply_line(line: bytes, before: State) -> State:
    """Return the state that a line leads to. Raises TrackerError where it is none of ours."""
    try:
        delta = decode(StateDelta, json.loads(line))
    except (ValueError, RecursionError):
        raise TrackerError(_OTHER_VERSION) from None
    known: Mapping[str, AccountState] = {} if delta.whole else before.accounts
    changed = {account.account.name: account for account in delta.accounts}
    log = before.log if delta.log is None else delta.log
    return replace(delta.state, accounts={**known, **changed}, log=log)


def _shared(state: State) -> State:
    rules = state.policy.alerts
    book = RuleBook(
        rules.thresholds, overrides=rules.overrides
    )  # what the form of an account shows
    policy = replace(state.policy, alerts=book)
    return replace(state, policy=policy, accounts={}, conditions={}, restored={}, log=())


def _line(delta: StateDelta) -> str:
    accounts = tuple(
        replace(a, account=replace(a.account, token_command=()), alerts={}, conditions={})
        for a in delta.accounts
    )
    return json.dumps(encode(StateDelta, replace(delta, accounts=accounts)), separators=(",", ":"))


def read_state(path: str, limit_secs: float = SILENT_SECS) -> State | None:
    """Return the leader's state at this moment, blocking; None where nobody listens. Raises TrackerError."""
    lines = stream(path, encode_request(WatchState()), first_secs=limit_secs)
    return None if lines is None else apply_line(next(lines, b""), State())


class StateView(Observable[State]):
    """One state to look at, whoever keeps it: follows one view after another, and between two shows the last state."""

    def __init__(self) -> None:
        super().__init__(State())
        self._view: Observable[State] | None = None
        self._ready = asyncio.Event()

    @property
    def state(self) -> State:
        if self._view is not None:
            self._state = self._view.state
        return self._state

    async def ready(self) -> None:
        """Wait until there has been anything to see."""
        await self._ready.wait()

    @asynccontextmanager
    async def follow(self, view: Observable[State]) -> AsyncIterator[None]:
        """Show this view for the time of the block."""
        self._view = view
        self._ready.set()
        follower = asyncio.create_task(self._follow(view), name="state view")
        self._show(view.state)
        try:
            yield
        finally:
            follower.cancel()
            self._state, self._view = view.state, None

    async def _follow(self, view: Observable[State]) -> None:
        while True:
            self._show(await view.changed())


class LeaderGone(Exception):  # noqa: N818 - it is no error, but the turn of another process
    """The leader has ended; or it is `silent`: it lives and is stopped, or does not get round to us."""

    def __init__(self, *, silent: bool = False) -> None:
        super().__init__("the leader is silent" if silent else "the leader is gone")
        self.silent = silent


class StateMirror(Observable[State]):
    """The leader's newest state; made by `connect`."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, silent_secs: float
    ) -> None:
        super().__init__(State())
        self._reader = reader
        self._writer = writer
        self._beat_secs = silent_secs / 3

    @classmethod
    async def connect(cls, path: str, silent_secs: float = SILENT_SECS) -> Self | None:
        """Return a mirror that has a state already; None where nobody listens.

        Raises LeaderGone where nothing comes, TrackerError where the leader refuses, or is not to be trusted.
        """
        call = Daemon(lambda: connect(path, time.monotonic() + silent_secs))
        try:
            connection = await asyncio.shield(call.future)
        except asyncio.CancelledError:  # it may still be answered
            call.future.add_done_callback(_hang_up)
            raise
        except TimeoutError:
            raise LeaderGone(silent=True) from None
        if connection is None:
            return None
        mirror = cls(*await asyncio.open_connection(sock=connection, limit=LINE_BYTES), silent_secs)
        try:
            mirror._writer.write(render_request(encode_request(WatchState())))
            if code := parse_code((await mirror._line()).rstrip(b"\n")):
                raise refusal(code, await mirror._rest())
            mirror._state = apply_line(await mirror._next(), State())
        except BaseException:
            mirror.close()
            raise
        return mirror

    async def follow(self) -> None:
        """Mirror every change until the leader has gone, which is raised as LeaderGone."""
        try:
            while True:
                self._show(apply_line(await self._next(), self._state))
        finally:
            self.close()

    def close(self) -> None:
        """Watch no more; the state stays."""
        self._writer.transport.abort()

    async def _next(self) -> bytes:
        """Return the next line that is no heart-beat. Raises LeaderGone."""
        while not (line := await self._line()).strip():
            pass
        return line

    async def _line(self) -> bytes:
        """Return the next line. The leader is silent when three waits bring nothing: one may be our being stopped."""
        for _ in range(3):
            try:
                async with asyncio.timeout(self._beat_secs):
                    return await self._reader.readuntil(b"\n")
            except TimeoutError:
                continue
            except (asyncio.IncompleteReadError, OSError):
                raise LeaderGone from None
            except asyncio.LimitOverrunError:
                raise TrackerError("what answers is no running monitor") from None
        raise LeaderGone(silent=True)

    async def _rest(self) -> bytes:
        with contextlib.suppress(OSError):
            async with asyncio.timeout(self._beat_secs):
                return await self._reader.read()
        return b""


def _hang_up(answered: "asyncio.Future[socket.socket | None]") -> None:
    if answered.exception() is None and (connection := answered.result()):
        connection.close()

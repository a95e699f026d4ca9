"""Elects the one process that polls: this one leads where nobody else does, and follows the leader otherwise.

Only what a follower needs is imported before there is an election to win.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from monitor.core.commands import Command, encode_request
from monitor.core.errors import SilentLeaderError, TrackerError
from monitor.core.state import State
from monitor.ipc.client import order
from monitor.ipc.lock import Lock, holder
from monitor.ipc.mirror import mirror_state
from monitor.system.aio import Daemon, Observable, wait_for_either

if TYPE_CHECKING:  # it brings all that polls
    from monitor.app.leader import Leader

LOOK_SECS: Final = 0.1
"""Between two looks whether the lock is free, or its holder answers."""

REFUSED_SECS: Final = 1.0
"""The wait after a leader that refuses us, or settings that are wrong: somebody has to mend that."""

KEEP_SECS: Final = 30.0
"""Between two looks whether the lock is still ours."""

COMMAND_SECS: Final = 60.0
"""Limit of a command that has the leader ask the keyring or the API; its own limits end first."""

MainTask = asyncio.Future[None]
"""The task that the process exists for, and ends with: the table, or a service's wait for a signal."""


class Election:
    """Won by one process of the user at a time. `make_leader` makes the leader, once this is the process."""

    def __init__(
        self,
        lock: str,
        socket: str,
        make_leader: "Callable[[str], Awaitable[Leader]]",
        keep_secs: float = KEEP_SECS,
    ) -> None:
        self._keep_secs = keep_secs
        self._lock = Lock(lock)
        self._socket = socket
        self._make_leader = make_leader
        self._leader: Leader | None = None
        self._is_following = False
        self._status = ""
        self._has_begun = False

    @property
    def leads(self) -> bool:
        """True if this process polls."""
        return self._leader is not None

    @property
    def is_well(self) -> bool:
        """True if somebody polls, and metrics are served where this process is to serve them."""
        return self._is_following if self._leader is None else not self._leader.metrics.failure

    @property
    def status(self) -> str:
        """The foot of the table: where the figures come from, or where metrics are."""
        if self._leader is not None:
            metrics = self._leader.metrics
            return metrics.failure or metrics.url
        return self._status

    async def execute(self, command: Command) -> str:
        """Have the process that polls execute a command; its answer is for the user. Raises TrackerError."""
        if self._leader is not None:
            return await self._leader.execute(command)
        request = encode_request(command)
        answer = None
        if self._is_following:
            answer = await Daemon(lambda: order(self._socket, request, COMMAND_SECS)).future
        if answer is None:
            raise TrackerError("no monitor polls at this moment: try again in a second")
        return answer

    async def lead_or_follow(self, main_task: MainTask, view: Observable[State]) -> None:
        """Follow whoever leads until the main task ends, and lead once nobody does.

        Raises TrackerError only at the start.
        """
        await self._until_end(main_task, lambda: self._follow(main_task, view))

    async def lead_or_wait(self, main_task: MainTask, stand_by: Callable[[str], None]) -> None:
        """Lead as soon as nobody else does, until the main task ends; `stand_by` hears who else does."""

        async def wait() -> None:
            words = f"{self._who()} is polling; standing by"
            if words != self._status:
                self._status, self._has_begun = words, True
                stand_by(words)
            await wait_for_either(main_task, asyncio.sleep(LOOK_SECS))

        await self._until_end(main_task, wait)

    async def _until_end(
        self, main_task: MainTask, otherwise: Callable[[], Awaitable[None]]
    ) -> None:
        try:
            while not main_task.done():
                if self._lock.acquire():
                    await self._lead(main_task)
                else:
                    await otherwise()
            await main_task
        finally:
            main_task.cancel()
            await asyncio.gather(main_task, return_exceptions=True)
            self._lock.release()

    async def _lead(self, main_task: MainTask) -> None:
        """Lead until the main task ends, or the lock is ours no more."""
        making = asyncio.ensure_future(self._make_leader(self._socket))
        try:
            await wait_for_either(main_task, making)
        except TrackerError as error:
            self._lock.release()
            if not self._has_begun:
                raise
            # A person may be editing the settings: others may poll for a moment.
            self._status = f"cannot take over polling: {error}"
            await wait_for_either(main_task, asyncio.sleep(REFUSED_SECS))
            return
        if main_task.done():
            return
        leader = self._leader = making.result()
        self._has_begun = True
        try:
            await leader.run(lambda: wait_for_either(main_task, self._lock_lost()))
        finally:
            self._leader, self._status = None, ""
            self._lock.release()

    async def _lock_lost(self) -> None:
        """Wait until the lock's folder was cleared, as at a logout: another process may take a new lock there."""
        while self._lock.keep():  # noqa: ASYNC110 - nobody says when it happens
            await asyncio.sleep(self._keep_secs)

    async def _follow(self, main_task: MainTask, view: Observable[State]) -> None:
        """Follow until the leader is gone or the main task ends; the last state stays in sight."""
        who = self._who()

        async def follow() -> None:
            async for state in mirror_state(self._socket):
                if not self._is_following:
                    self._status = f"attached to {who}"
                    self._is_following = self._has_begun = True
                view.show(state)

        try:
            await wait_for_either(main_task, follow())
            if self._is_following:
                self._status = f"{who} has ended"
            else:
                self._status = self._status or f"{who} is starting up"
                await wait_for_either(main_task, asyncio.sleep(LOOK_SECS))
        except SilentLeaderError:
            self._status = f"{who} does not answer"
        except TrackerError as error:  # one of another version, or of another user
            self._status = str(error)
            await wait_for_either(main_task, asyncio.sleep(REFUSED_SECS))
        finally:
            self._is_following = False

    def _who(self) -> str:
        pid = holder(self._lock.path)
        return "another monitor" if pid is None else f"monitor (pid {pid})"

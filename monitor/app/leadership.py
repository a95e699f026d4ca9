"""A process's place among the others of its user: it polls where nobody else does, and else watches who does.

Only what a viewer needs is imported before there is an office to hold.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from monitor.core.codec_v1 import parse_change, parse_state
from monitor.core.errors import TrackerError
from monitor.ipc.command_proxy import Switch
from monitor.ipc.follower import LeaderGone, RemoteCommands, StateMirror
from monitor.ipc.lock import Lock, holder
from monitor.ipc.state_view import StateView
from monitor.system.aio import first

if TYPE_CHECKING:
    from monitor.app.leader import Leader

LOOK_SECS: Final = 0.1
"""Between two looks whether the lock is free, or its holder answers."""

REFUSED_SECS: Final = 1.0
"""After an owner that does not let us watch, or settings that do not let us take over: somebody has to mend that."""

KEEP_SECS: Final = 30.0
"""Between two looks whether the lock is still ours."""

MainTask = asyncio.Future[None]
"""What the process is for, and ends with: the table, or a service's wait for a signal."""


class Election:
    """Held by one process of the user at a time. `elect` makes the owner, once this is the process."""

    def __init__(
        self,
        lock: str,
        socket: str,
        make_leader: "Callable[[str], Leader]",
        keep_secs: float = KEEP_SECS,
    ) -> None:
        self._keep_secs = keep_secs
        self._lock = Lock(lock)
        self._lock_path = lock
        self._socket = socket
        self._make_leader = make_leader
        self._owner: Leader | None = None
        self._watched = ""
        self._has_begun = False

    @property
    def polls(self) -> bool:
        """Whether it is held by this process."""
        return self._owner is not None

    @property
    def words(self) -> str:
        """For the foot of the table: where the figures come from, and where metrics are."""
        if self._owner is not None:
            exporting = self._owner.exporting
            return exporting.failure or (exporting.url and f"metrics on {exporting.url}")
        return self._watched

    async def lead_or_follow(self, main_task: MainTask, outlook: StateView, switch: Switch) -> None:
        """Until `front` ends: watch the owner, and be it once nobody else is. Only at the start raises TrackerError."""

        async def watch() -> None:
            await self._watch(main_task, outlook, switch)

        await self._until(main_task, watch, switch)

    async def lead_or_wait(self, main_task: MainTask, stands_by: Callable[[str], None]) -> None:
        """Until `front` ends: be the owner, as soon as nobody else is; `stands_by` is told who else is."""

        async def wait() -> None:
            words = f"{self._who()} polls; this one takes over when that ends"
            if words != self._watched:
                self._watched, self._has_begun = words, True
                stands_by(words)
            await first(main_task, asyncio.sleep(LOOK_SECS))

        await self._until(main_task, wait, Switch())

    async def _until(
        self, main_task: MainTask, otherwise: Callable[[], Awaitable[None]], switch: Switch
    ) -> None:
        try:
            while not main_task.done():
                if self._lock.acquire():
                    await self._hold(main_task, switch)
                else:
                    await otherwise()
            await main_task
        finally:
            main_task.cancel()
            await asyncio.gather(main_task, return_exceptions=True)
            self._lock.release()

    async def _hold(self, main_task: MainTask, switch: Switch) -> None:
        """Until `front` ends, or the lock is ours no more."""
        try:
            owner = self._owner = self._make_leader(self._socket)
        except TrackerError as error:
            await self._back_off(main_task, error)
            return
        self._has_begun = True
        with switch.turned_to(owner.controls):
            await owner.run(first(main_task, self._lost()))
        self._owner, self._watched = None, ""
        self._lock.release()

    async def _back_off(self, main_task: MainTask, error: TrackerError) -> None:
        """Leave it to others for a moment: a person may be at the settings. At the start, it is for them to see now."""
        self._lock.release()
        if not self._has_begun:
            raise error
        self._watched = f"this one cannot take over: {error}"
        await first(main_task, asyncio.sleep(REFUSED_SECS))

    async def _lost(self) -> None:
        """Until somebody has cleared the lock's folder, as a logout does: another process may have one there now."""
        while self._lock.keep():  # noqa: ASYNC110 - nobody says when it happens
            await asyncio.sleep(self._keep_secs)

    async def _watch(self, main_task: MainTask, outlook: StateView, switch: Switch) -> None:
        """Until the owner is gone or `front` ends; what was seen last stays in sight."""
        who = self._who()
        try:
            mirror = await StateMirror.of(self._socket, parse_state, change=parse_change)
            if mirror is None:
                self._watched = self._watched or f"{who} is starting, or polls once"
                await first(main_task, asyncio.sleep(LOOK_SECS))
                return
            self._watched, self._has_begun = f"watching {who}, which polls", True
            with switch.turned_to(RemoteCommands(self._socket)):
                async with outlook.follow(mirror):
                    with contextlib.closing(mirror):
                        await first(main_task, mirror.follow())
        except LeaderGone as gone:
            self._watched = f"{who} does not answer" if gone.silent else f"{who} has ended"
        except TrackerError as error:  # one of another version, or of another user
            self._watched = str(error)
            await first(main_task, asyncio.sleep(REFUSED_SECS))

    def _who(self) -> str:
        pid = holder(self._lock_path)
        return "another monitor" if pid is None else f"monitor (pid {pid})"

"""The table as a running program: draws the newest state, takes keys, and leaves the terminal as it was.

Nothing in here waits for the terminal, so a stalled one holds up neither the poller nor the exporter.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from monitor.core.alerts.rules import Alert
from monitor.core.commands import Command, Refresh, ToggleMute
from monitor.core.errors import ChannelError, ChannelReason, TrackerError
from monitor.core.state import State, Theme
from monitor.system.aio import Observable
from monitor.system.clock import Clock
from monitor.terminal.frame import Footer, frame
from monitor.terminal.screen import Copy, Quit, Redraw, Screen, press
from monitor.terminal.table import RenderCache
from monitor.terminal.text import Frame, Size
from monitor.terminal.tty import Key, Tty

LAST_WRITE_SECONDS: Final = 1.0
"""A stalled terminal keeps us no longer from leaving."""

LAST_COMMAND_SECONDS: Final = 2.0
"""Nor does a command that is being carried out."""

Execute = Callable[[Command], Awaitable[str]]
"""Carries a command out and returns one line for the user, or raises TrackerError."""


class Program:
    """One run of the table on one terminal.

    SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCONT and SIGWINCH are its own meanwhile.
    """

    def __init__(
        self,
        view: Observable[State],
        clock: Clock,
        execute: Execute,
        tty: Tty,
        footer: Callable[[], Footer],
        screen: Screen | None = None,
    ) -> None:
        self._view = view
        self._clock = clock
        self._execute = execute
        self._tty = tty
        self._footer = footer
        self._screen = replace(screen or Screen(), opened_at=clock.now())
        self._cache = RenderCache()
        self._in_sight = False
        self._shown: tuple[Size, Frame] | None = None
        self._commands: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Show the table until the user quits, a signal ends it or the terminal is closed.

        A bug passes through once the terminal is restored.
        """
        views = [self._spawn(work) for work in (self._tick(), self._follow(), self._listen())]
        with self._signals():
            try:
                self._tty.enter()
                self._in_sight = True
                self._draw()
                await self._ended
            finally:
                self._in_sight = False
                await self._leave(views)

    async def _leave(self, views: list[asyncio.Task[None]]) -> None:
        """Restore the terminal first; then what the user asked for gets a moment to end well."""
        self._end()
        for task in views:
            task.cancel()
        await asyncio.gather(*views, return_exceptions=True)
        self._tty.leave()
        await self._tty.close(LAST_WRITE_SECONDS)
        commands = list(self._commands)
        if commands:
            _, late = await asyncio.wait(commands, timeout=LAST_COMMAND_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.wait(commands)
        for task in commands:
            if not task.cancelled():
                task.result()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task whose failure ends the program, with that failure."""
        task = asyncio.create_task(work)
        task.add_done_callback(self._check_end)
        return task

    def _check_end(self, task: asyncio.Task[None]) -> None:
        self._commands.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._end(error)

    def _end(self, error: BaseException | None = None) -> None:
        if self._ended.done():
            return
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)

    async def _tick(self) -> None:
        """Draw as each second begins: the countdowns move, nothing is polled for it."""
        while True:
            await self._clock.sleep(1 - self._clock.now().microsecond / 1e6)
            self._draw()

    async def _follow(self) -> None:
        """Draw as the state changes."""
        while True:
            await self._view.wait_for_change()
            self._draw()

    def _now(self) -> datetime:
        """Return the corrected time, which all instants of the state go by."""
        return self._clock.now() + self._view.state.clock_offset

    def _draw(self) -> bool:
        """Draw the newest state; return False where a stalled terminal takes nothing, which then gets the next one."""
        if self._ended.done():
            return False
        size, painter = self._tty.size(), self._tty.painter
        if painter.use(self._view.state.policy.display):
            self._shown = None
        now = self._now()
        self._screen = self._screen.follow_clock(now)
        new = frame(self._view.state, self._screen, now, size, self._footer(), self._cache)
        self._screen = replace(self._screen, page=new.page, has_detail=new.has_detail)
        before, old = self._shown or (size, None)
        data = painter.repaint(old if before == size else None, new, size)
        if old is None or new.title != old.title:
            data += painter.title(new.title)
        is_taken = not data or self._tty.offer(data)
        if is_taken:
            self._shown = size, new
        return is_taken

    async def show(self, alerts: Sequence[Alert], sequence: bytes) -> None:
        """Show the line of alerts, then write the sequence. Raises ChannelError where the line cannot be shown."""
        if not self._in_sight or {entry.alert for entry in self._view.state.log}.isdisjoint(alerts):
            raise ChannelError(ChannelReason.UNAVAILABLE, "the table is not on a screen")
        self._screen = self._screen.push(alerts, self._now())
        if not self._draw() or not await self._tty.drain(LAST_WRITE_SECONDS):
            raise ChannelError(ChannelReason.UNAVAILABLE, "the terminal takes no output")
        self._tty.write(sequence)

    def _redraw(self) -> None:
        """Draw the whole screen, since what is on it is not known."""
        self._shown = None
        self._draw()

    async def _listen(self) -> None:
        with contextlib.suppress(EOFError):
            while True:
                for key in await self._tty.keys():
                    self._press(key)
                self._draw()
        self._end()  # the terminal is gone

    def _press(self, key: Key) -> None:
        if key.name == "ground":
            if self._tty.painter.use(self._view.state.policy.display, Theme(key.text)):
                self._redraw()
            return
        if key.name == "click":
            row, rows = int(key.text), self._shown[1].rows if self._shown else ()
            key = Key("click", (rows[row] if row < len(rows) else None) or "")
        self._screen, command = press(self._screen, key, self._view.state, self._now())
        match command:
            case None:
                return
            case Quit():
                self._end()
            case Redraw():
                self._redraw()
            case Copy(text):
                self._tty.write(self._tty.painter.copy(text))
            case _:
                self._commands.add(self._spawn(self._carry_out(command)))

    async def _carry_out(self, command: Command) -> None:
        """Carry a command out; toggles take turns, so that the last answer belongs to the last key."""
        is_quick = isinstance(command, Refresh | ToggleMute)
        async with self._turn if isinstance(command, ToggleMute) else contextlib.nullcontext():
            try:
                answer, is_error = await self._execute(command), False
            except TrackerError as error:
                answer, is_error = str(error), True
            update = self._screen.show if is_quick else self._screen.settle
            self._screen = update(answer, self._now(), is_error=is_error)
        self._draw()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        reactions: dict[signal.Signals, Callable[[], object]] = {
            signal.SIGINT: self._end,
            signal.SIGTERM: self._end,
            signal.SIGHUP: self._end,
            signal.SIGTSTP: self._suspend,
            signal.SIGCONT: self._resume,
            signal.SIGWINCH: self._draw,
        }
        loop = asyncio.get_running_loop()
        for number, reaction in reactions.items():
            loop.add_signal_handler(number, reaction)
        try:
            yield
        finally:
            for number in reactions:
                loop.remove_signal_handler(number)

    def _suspend(self) -> None:
        """Restore the terminal at Ctrl-Z, and stop the whole job until it is continued."""
        if self._ended.done():
            return
        self._in_sight = False
        self._tty.leave()
        loop = asyncio.get_running_loop()
        loop.remove_signal_handler(signal.SIGTSTP)
        os.kill(0, signal.SIGTSTP)
        loop.add_signal_handler(signal.SIGTSTP, self._suspend)
        self._resume()

    def _resume(self) -> None:
        if not self._ended.done():
            self._tty.enter()
            self._in_sight = True
            self._redraw()

"""The table as a running program: draws the newest state, takes keys, and leaves the terminal as it was.

Nothing in here waits for the terminal, so a stalled one holds up neither the poller nor the exporter.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from typing import Any, Final, Protocol

from monitor.core.errors import TrackerError
from monitor.core.model import Secret
from monitor.core.state import State
from monitor.system.clock import Clock
from monitor.terminal.bindings import press
from monitor.terminal.canvas import Picture, Size
from monitor.terminal.commands import (
    Add,
    Edit,
    Import,
    Mute,
    Order,
    Quick,
    Quit,
    Redraw,
    Refresh,
    Remove,
    Slow,
    Use,
)
from monitor.terminal.diff import repaint
from monitor.terminal.frame import frame
from monitor.terminal.keys import PASTE_START, Key, parse_keys
from monitor.terminal.screen import Screen, complained, done, failed, said
from monitor.terminal.tty import Device, terminal_path

LAST_WRITE_SECONDS: Final = 1.0
"""How long a stalled terminal may keep us from leaving."""

LAST_ORDER_SECONDS: Final = 2.0
"""How long an order that is being carried out may keep us from leaving."""

_REST_OF_KEY_SECONDS: Final = 0.1
_REST_OF_PASTE_SECONDS: Final = 2.0


class View(Protocol):
    """What is shown: the newest state, and the moment of its next change."""

    @property
    def state(self) -> State: ...
    async def changed(self) -> object: ...


class Controls(Protocol):
    """What the keys can have done. Each answers with one line for the user, or raises TrackerError."""

    async def refresh(self, account: str | None) -> str: ...
    async def mute(self) -> str: ...
    async def import_logins(self) -> str: ...
    async def add(self, name: str, session_key: Secret, org_id: str) -> str: ...
    async def edit(
        self, name: str, new_name: str, session_key: Secret | None, org_id: str
    ) -> str: ...
    async def remove(self, name: str) -> str: ...
    async def use(self, name: str) -> str: ...


def _patience(unread: bytes) -> float | None:
    """How long the rest of an unfinished key is waited for."""
    if not unread:
        return None
    return _REST_OF_PASTE_SECONDS if unread.startswith(PASTE_START) else _REST_OF_KEY_SECONDS


Footer = Callable[[], str]
"""The words at the bottom of the table, asked for whenever it is drawn."""


def _no_footer() -> str:
    return ""


async def run(view: View, clock: Clock, controls: Controls, *, footer: Footer = _no_footer) -> None:
    """Show the table until the user quits, a signal ends it or the terminal is closed.

    SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCONT and SIGWINCH are its own meanwhile. Raises TrackerError where the
    terminal cannot be opened; a bug passes through once the terminal is restored.
    """
    await Program(view, clock, controls, Device(terminal_path()), footer).run()


class Program:
    """One run of the table on one terminal."""

    def __init__(
        self,
        view: View,
        clock: Clock,
        controls: Controls,
        device: Device,
        footer: Footer = _no_footer,
    ) -> None:
        self._view = view
        self._clock = clock
        self._controls = controls
        self._device = device
        self._footer = footer
        self._loop = asyncio.get_running_loop()
        self._screen = Screen()
        self._shown: tuple[Size, Picture] | None = None
        self._orders: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()
        self._ended: asyncio.Future[None] = self._loop.create_future()

    async def run(self) -> None:
        views = [self._spawn(work) for work in (self._tick(), self._follow(), self._listen())]
        with self._signals():
            try:
                self._device.enter()
                self._device.listen()
                self._draw()
                await self._ended
            finally:
                await self._leave(views)

    async def _leave(self, views: list[asyncio.Task[None]]) -> None:
        """The terminal first; then what the user asked for gets a moment to end well."""
        self._end()
        for task in views:
            task.cancel()
        await asyncio.gather(*views, return_exceptions=True)
        self._device.leave()
        await self._device.output.drained(LAST_WRITE_SECONDS)
        self._device.close()
        orders = list(self._orders)
        if orders:
            _, late = await asyncio.wait(orders, timeout=LAST_ORDER_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.wait(orders)
        for task in orders:
            if not task.cancelled():
                task.result()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task whose failure ends the program, with that failure."""
        task = asyncio.create_task(work)
        task.add_done_callback(self._note_end)
        return task

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self._orders.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._end(error)

    def _end(self, error: BaseException | None = None) -> None:
        if self._ended.done():
            return
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)

    # What is seen

    async def _tick(self) -> None:
        """Draw as each second begins: the countdowns move, nothing is polled for it."""
        while True:
            await self._clock.sleep(1 - self._clock.now().microsecond / 1e6)
            self._draw()

    async def _follow(self) -> None:
        """Draw as the state changes."""
        while True:
            await self._view.changed()
            self._draw()

    def _draw(self) -> None:
        """Show the newest state; a stalled terminal goes without, and then gets the newest one."""
        if self._ended.done():
            return
        size = self._device.size()
        new = frame(self._view.state, self._screen, self._clock.now(), size, footer=self._footer())
        self._screen = replace(self._screen, page=new.page)
        same = self._shown is not None and self._shown[0] == size
        old = self._shown[1] if self._shown and same else None
        data = repaint(old, new.picture, size, self._device.capabilities)
        if not data or self._device.output.offer(data):
            self._shown = size, new.picture

    def _redraw(self) -> None:
        """Draw all of it: what is on the screen is not known."""
        self._shown = None
        self._draw()

    # What is typed

    async def _listen(self) -> None:
        unread = b""
        while True:
            data, final = await self._input(unread)
            if not data and not final:
                self._end()  # the terminal is gone
            keys, unread = parse_keys(unread + data, final=final)
            for key in keys:
                self._press(key)
            self._draw()

    async def _input(self, unread: bytes) -> tuple[bytes, bool]:
        """The next piece of input; or nothing and True, once the rest of `unread` has failed to come."""
        try:
            return await asyncio.wait_for(self._device.input.get(), _patience(unread)), False
        except TimeoutError:
            return b"", True

    def _press(self, key: Key) -> None:
        self._screen, order = press(self._screen, key, self._view.state, self._clock.now())
        if order is not None:
            self._obey(order)

    def _obey(self, order: Order) -> None:
        match order:
            case Quit():
                self._end()
            case Redraw():
                self._redraw()
            case Refresh() | Mute():
                self._orders.add(self._spawn(self._ask(order)))
            case _:
                self._orders.add(self._spawn(self._carry_out(order)))

    async def _ask(self, order: Quick) -> None:
        """One after another, so that the last answer to be read is that to the last key."""
        async with self._turn:
            try:
                answer = await self._answer(order)
            except TrackerError as error:
                self._screen = complained(self._screen, str(error), self._clock.now())
            else:
                self._screen = said(self._screen, answer, self._clock.now())
        self._draw()

    async def _carry_out(self, order: Slow) -> None:
        try:
            answer = await self._answer(order)
        except TrackerError as error:
            self._screen = failed(self._screen, str(error), self._clock.now())
        else:
            self._screen = done(self._screen, answer, self._clock.now())
        self._draw()

    def _answer(self, order: Quick | Slow) -> Coroutine[Any, Any, str]:
        match order:
            case Refresh(account):
                return self._controls.refresh(account)
            case Mute():
                return self._controls.mute()
            case Import():
                return self._controls.import_logins()
            case Add(name, session_key, org_id):
                return self._controls.add(name, session_key, org_id)
            case Edit(name, new_name, new_key, org_id):
                return self._controls.edit(name, new_name, new_key, org_id)
            case Remove(name):
                return self._controls.remove(name)
            case Use(name):
                return self._controls.use(name)

    # What comes from outside

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        reactions: dict[signal.Signals, Callable[[], None]] = {
            signal.SIGINT: self._end,
            signal.SIGTERM: self._end,
            signal.SIGHUP: self._end,
            signal.SIGTSTP: self._suspend,
            signal.SIGCONT: self._resume,
            signal.SIGWINCH: self._draw,
        }
        for number, reaction in reactions.items():
            self._loop.add_signal_handler(number, reaction)
        try:
            yield
        finally:
            for number in reactions:
                self._loop.remove_signal_handler(number)

    def _suspend(self) -> None:
        """Ctrl-Z: give the terminal back, and stop, with all of the job, until it is continued."""
        if self._ended.done():
            return
        self._device.leave()
        self._loop.remove_signal_handler(signal.SIGTSTP)
        os.kill(0, signal.SIGTSTP)
        self._loop.add_signal_handler(signal.SIGTSTP, self._suspend)
        self._resume()

    def _resume(self) -> None:
        if not self._ended.done():
            self._device.enter()
            self._redraw()

"""One state to look at, whoever keeps it: this process's own store, or a mirror of the owner's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from monitor.core.state import State


class View(Protocol):
    """A state, and the moment of its next change."""

    @property
    def state(self) -> State: ...

    async def changed(self) -> State:
        """The state after the next change."""


class StateView:
    """Turned to one view after another; between two of them it still shows what was seen last."""

    def __init__(self) -> None:
        self._state = State()
        self._view: View | None = None
        self._changed = asyncio.Event()
        self._turned = asyncio.Event()

    @property
    def state(self) -> State:
        if self._view is not None:
            self._state = self._view.state
        return self._state

    async def changed(self) -> State:
        """The state after the next change, which may be that another view is looked at."""
        await self._changed.wait()
        return self.state

    async def ready(self) -> None:
        """Wait until there has been anything to see."""
        await self._turned.wait()

    @asynccontextmanager
    async def follow(self, view: View) -> AsyncIterator[None]:
        """Show this view for the time of the block."""
        self._view = view
        self._turned.set()
        follower = asyncio.create_task(self._follow(view), name="outlook")
        self._note()
        try:
            yield
        finally:
            follower.cancel()
            self._state, self._view = view.state, None

    async def _follow(self, view: View) -> None:
        while True:
            await view.changed()
            self._note()

    def _note(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

"""The only mutable state: one reference to a `State`, changed by `dispatch` and nothing else.

Views wait for `changed()` and then render the newest state, however many changes they missed;
effects are queued and each is delivered once.
"""

import asyncio

from monitor.core.effects import Effect
from monitor.core.events import Event
from monitor.core.state import State
from monitor.core.update import update


class Store:
    """Holds the state. `dispatch` is synchronous, hence atomic between awaits."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._changed = asyncio.Event()
        self._effects: asyncio.Queue[Effect] = asyncio.Queue()

    @property
    def state(self) -> State:
        return self._state

    def dispatch(self, event: Event) -> None:
        """Fold the event in, queue its effects and wake every waiter."""
        self._state, effects = update(self._state, event)
        for effect in effects:
            self._effects.put_nowait(effect)
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self) -> State:
        """The state after the next change."""
        await self._changed.wait()
        return self._state

    async def next_effect(self) -> Effect:
        """The oldest effect that nobody has taken yet."""
        return await self._effects.get()

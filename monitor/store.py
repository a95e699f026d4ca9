"""The only mutable state: one reference to a `State`, changed by `dispatch` and nothing else.

Views wait for `changed()` and then render the newest state, however many changes they missed;
effects are queued and each is delivered once.
"""

import asyncio
from collections.abc import Callable, Sequence

from monitor.core.effects import Effect
from monitor.core.events import Event
from monitor.core.state import State
from monitor.core.update import update
from monitor.system.aio import Observable

Record = Callable[[State, State, Sequence[Effect], Callable[[Effect], None]], None]
"""Has written what an event has led to, from the states before and after and the effects; waits for nothing.

Calls the last argument with each effect that is really new, once it is written or has waited long enough.
"""


class Store(Observable[State]):
    """Holds the state. `dispatch` is synchronous, hence atomic between awaits."""

    def __init__(self, state: State, record: Record | None = None) -> None:
        super().__init__(state)
        self._record = record
        self._effects: asyncio.Queue[Effect] = asyncio.Queue()

    def dispatch(self, event: Event) -> None:
        """Fold the event in, wake every waiter, and have its effects queued once they are written down."""
        before = self._state
        self._state, effects = update(before, event)
        if self._record is not None:
            self._record(before, self._state, effects, self._effects.put_nowait)
        else:
            for effect in effects:
                self._effects.put_nowait(effect)
        self._show(self._state)

    async def next_effect(self) -> Effect:
        """The oldest effect that nobody has taken yet."""
        return await self._effects.get()

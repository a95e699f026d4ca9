"""The only mutable state: one reference to a `State`, changed by `dispatch` and nothing else.

Views wait for `changed()` and then render the newest state, however many changes they missed;
effects are queued and each is delivered once.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from monitor.core.effects import Effect
from monitor.core.errors import TrackerError
from monitor.core.events import Event, LedgerFailed
from monitor.core.state import State
from monitor.core.update import update

Record = Callable[[State, State, Sequence[Effect]], Sequence[Effect]]
"""Writes down what an event has led to, before anybody sees it: the states before and after, and the effects.

Returns the effects that are really new. Raises TrackerError while something is left unwritten.
"""

Keep = Callable[[State, State], None]
"""Keeps what a successor needs, from the states before and after, before anything else is done; raises nothing."""

_log = logging.getLogger(__name__)


class Store:
    """Holds the state. `dispatch` is synchronous, hence atomic between awaits."""

    def __init__(
        self, state: State, record: Record | None = None, keep: Keep | None = None
    ) -> None:
        self._state = state
        self._record = record
        self._keep = keep
        self._changed = asyncio.Event()
        self._effects: asyncio.Queue[Effect] = asyncio.Queue()

    @property
    def state(self) -> State:
        return self._state

    def dispatch(self, event: Event) -> None:
        """Fold the event in, have it written down, queue its effects and wake every waiter."""
        after, effects = update(self._state, event)
        if self._record is not None:
            after, effects = self._recorded(self._record, after, effects, event.at)
        if self._keep is not None:
            self._keep(self._state, after)
        self._state = after
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

    def _recorded(
        self, record: Record, after: State, effects: tuple[Effect, ...], at: datetime
    ) -> tuple[State, tuple[Effect, ...]]:
        """What cannot be written is told all the same, once: this state remembers that it was."""
        try:
            effects, failure = tuple(record(self._state, after, effects)), None
        except TrackerError as error:
            failure = str(error)
        if failure != after.ledger_failure:
            _log.warning(failure or "the alert ledger can be written again")
            after, _ = update(after, LedgerFailed(at, failure))
        return after, effects

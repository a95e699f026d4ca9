"""The only mutable state: one reference to a `State`, changed by `dispatch` and nothing else.

Views wait for `wait_for_change()` and then render the newest state, however many changes they missed.
"""

from collections.abc import Callable, Sequence

from monitor.core.alerts.rules import Alert
from monitor.core.events import Event
from monitor.core.state import State
from monitor.core.update import update
from monitor.system.aio import Observable

Record = Callable[[State, State, Sequence[Alert]], None]
"""Has written, and sent, what an event has led to: the states before and after, and the alerts. Waits for nothing."""


class Store(Observable[State]):
    """Holds the state. `dispatch` is synchronous, hence atomic between awaits."""

    def __init__(self, state: State, record: Record | None = None) -> None:
        super().__init__(state)
        self._record = record

    def dispatch(self, event: Event) -> None:
        """Fold the event in, have what it led to written, and wake every waiter."""
        before = self._state
        self._state, alerts = update(before, event)
        if self._record is not None:
            self._record(before, self._state, alerts)
        self.show(self._state)

"""One try on one channel, within its limit, and on the next one where it fails. Knows no channel by name."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

from monitor.core.alerts.rules import Urgency
from monitor.core.effects import Alert, AlertKind
from monitor.core.events import Notified
from monitor.core.notify import ChannelError
from monitor.notify.channel import Channel, Outcome
from monitor.notify.waiting import done_within
from monitor.system.clock import Clock

MARGIN_SECS: Final = 1.0
"""So much longer than its own limit a channel may take: it then ends what it began, and says so in its own words."""

LIMIT_SECS: Final = 5.0 + MARGIN_SECS
REST_SECS: Final = 60.0
GRACE_SECS: Final = 1.0
"""What is cancelled has so long to end what it began."""

_log = logging.getLogger(__name__)


class Sender:
    """Dispatches a `Notified` for each try. `limits` are in seconds, by channel; `limit` is that of all others.

    A channel that did not answer within its limit rests for a while: it is then asked last.
    """

    def __init__(
        self,
        dispatch: Callable[[Notified], None],
        clock: Clock,
        limit: float = LIMIT_SECS,
        limits: Mapping[str, float] | None = None,
    ) -> None:
        self._dispatch = dispatch
        self._clock = clock
        self._limit = limit
        self._limits = limits or {}
        self._rests_until: dict[str, float] = {}

    async def first_of(
        self, channels: Sequence[Channel], alerts: Sequence[Alert], urgency: Urgency
    ) -> Outcome:
        """The outcome of the first channel that works; where none does, all failures in one."""
        failures = []
        for channel in self._in_order(channels):
            outcome = await self.tell(channel, alerts, urgency)
            if outcome.failure is None:
                return outcome
            failures.append(outcome)
        words = ", ".join(f"{outcome.channel}: {outcome.words}" for outcome in failures)
        return Outcome("", failures[-1].failure if failures else "unavailable", words)

    async def tell(self, channel: Channel, alerts: Sequence[Alert], urgency: Urgency) -> Outcome:
        """What became of a try on this channel; never raises but for a cancellation."""
        outcome = Outcome(channel.name, "interrupted", "interrupted: the program is ending")
        try:
            outcome = await self._outcome(channel, alerts, urgency)
        finally:
            self._report(outcome, alerts)
        return outcome

    def _in_order(self, channels: Sequence[Channel]) -> list[Channel]:
        now = self._clock.monotonic()
        return sorted(channels, key=lambda c: self._rests_until.get(c.name, now) > now)

    async def _outcome(
        self, channel: Channel, alerts: Sequence[Alert], urgency: Urgency
    ) -> Outcome:
        limit = self._limits.get(channel.name, self._limit)
        try:
            await self._limited(channel.tell(alerts, urgency), limit)
        except TimeoutError:
            return _failed(channel, "timeout", f"no answer within {limit:g} s")
        except ChannelError as error:
            return _failed(channel, error.reason, error.detail)
        except Exception as error:  # noqa: BLE001 - a bug in one channel keeps no other from telling
            _log.exception("a bug in the channel %s", channel.name)
            return _failed(channel, "error", f"a bug, {type(error).__name__}; the log has more")
        return Outcome(channel.name, None, "told")

    async def _limited(self, telling: Coroutine[Any, Any, None], limit: float) -> None:
        """What the telling raises, also where it has to be cancelled and then has more to say than TimeoutError."""
        task = asyncio.create_task(telling)
        try:
            await done_within(self._clock, limit, task)
        finally:
            await done_within(self._clock, GRACE_SECS, task)
        if not task.done() or task.cancelled():
            raise TimeoutError
        task.result()

    def _report(self, outcome: Outcome, alerts: Sequence[Alert]) -> None:
        now = self._clock.monotonic()
        if outcome.failure is None:
            self._rests_until.pop(outcome.channel, None)
        else:
            _log.warning("channel %s: %s", outcome.channel, outcome.words)
        if outcome.failure == "timeout":
            self._rests_until[outcome.channel] = now + REST_SECS
        kind = alerts[0].kind if len(alerts) == 1 else AlertKind.SUMMARY
        self._dispatch(Notified(self._clock.now(), outcome.channel, kind, outcome.failure))


def _failed(channel: Channel, reason: str, detail: str) -> Outcome:
    return Outcome(channel.name, reason, f"{reason}: {detail}")

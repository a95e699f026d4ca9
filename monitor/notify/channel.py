"""One way to send alerts as the rest of the program sees it, and one attempt on it within its limit."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from monitor.core.alerts.rules import Urgency
from monitor.core.effects import Alert, AlertKind
from monitor.core.errors import ChannelError, ChannelReason
from monitor.core.events import Notified
from monitor.system.aio import done_within
from monitor.system.clock import Clock

MARGIN_SECS: Final = 1.0
"""So much longer than its own limit a channel may take: it then ends what it began, and gives its own reason."""

LIMIT_SECS: Final = 5.0 + MARGIN_SECS
REST_SECS: Final = 60.0
GRACE_SECS: Final = 1.0
"""What is cancelled has so long to end what it began."""

_log = logging.getLogger(__name__)


class Channel(Protocol):
    """One way to send alerts. `name` is the word of the settings and metrics."""

    @property
    def name(self) -> str: ...

    async def send(self, alerts: Sequence[Alert], urgency: Urgency) -> None:
        """Send one alert, or several in one message. Returns once they were delivered. Raises ChannelError."""

    def close(self) -> None:
        """Let go of whatever it holds; it may be used again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an attempt on one channel; `failure` is None where it was sent, `detail` is for people."""

    channel: str
    failure: ChannelReason | None
    detail: str


class Sender:
    """Dispatches a `Notified` for each attempt. `limits` are in seconds, by channel; others have `LIMIT_SECS`.

    A channel that did not answer within its limit rests for a while: it is then tried last.
    """

    def __init__(
        self, dispatch: Callable[[Notified], None], clock: Clock, limits: Mapping[str, float]
    ) -> None:
        self._dispatch = dispatch
        self._clock = clock
        self._limits = limits
        self._rests_until: dict[str, float] = {}

    async def send_by_first(
        self, channels: Sequence[Channel], alerts: Sequence[Alert], urgency: Urgency
    ) -> Outcome:
        """The outcome of the first channel that works; where none does, all failures in one."""
        now = self._clock.monotonic()
        failures: list[Outcome] = []
        for channel in sorted(channels, key=lambda c: self._rests_until.get(c.name, now) > now):
            outcome = await self.send(channel, alerts, urgency)
            if outcome.failure is None:
                return outcome
            failures.append(outcome)
        detail = ", ".join(f"{outcome.channel}: {outcome.detail}" for outcome in failures)
        return Outcome("", failures[-1].failure if failures else ChannelReason.UNAVAILABLE, detail)

    async def send(self, channel: Channel, alerts: Sequence[Alert], urgency: Urgency) -> Outcome:
        """Try this channel; raises nothing but a cancellation."""
        interrupted = ChannelError(ChannelReason.INTERRUPTED, "the program is ending")
        outcome = _failed(channel, interrupted)
        try:
            outcome = await self._attempt(channel, alerts, urgency)
        finally:
            self._report(outcome, alerts)
        return outcome

    async def _attempt(
        self, channel: Channel, alerts: Sequence[Alert], urgency: Urgency
    ) -> Outcome:
        limit = self._limits.get(channel.name, LIMIT_SECS)
        try:
            await self._limited(channel.send(alerts, urgency), limit)
        except TimeoutError:
            late = ChannelError(ChannelReason.TIMEOUT, f"no answer within {limit:g} s")
            return _failed(channel, late)
        except ChannelError as error:
            return _failed(channel, error)
        except Exception as error:  # noqa: BLE001 - a bug in one channel keeps no other from sending
            _log.exception("a bug in the channel %s", channel.name)
            detail = f"a bug, {type(error).__name__}; the log has more"
            return _failed(channel, ChannelError(ChannelReason.ERROR, detail))
        return Outcome(channel.name, None, "sent")

    async def _limited(self, sending: Coroutine[Any, Any, None], limit: float) -> None:
        """Raises what the sending raises, also where it is cancelled and then has more to say than TimeoutError."""
        task = asyncio.create_task(sending)
        try:
            await done_within(self._clock, limit, task)
        finally:
            await done_within(self._clock, GRACE_SECS, task)
        if not task.done() or task.cancelled():
            raise TimeoutError
        task.result()

    def _report(self, outcome: Outcome, alerts: Sequence[Alert]) -> None:
        if outcome.failure is None:
            self._rests_until.pop(outcome.channel, None)
        else:
            _log.warning("channel %s: %s", outcome.channel, outcome.detail)
        if outcome.failure is ChannelReason.TIMEOUT:
            self._rests_until[outcome.channel] = self._clock.monotonic() + REST_SECS
        kind = alerts[0].kind if len(alerts) == 1 else AlertKind.SUMMARY
        self._dispatch(Notified(self._clock.now(), outcome.channel, kind, outcome.failure))


def _failed(channel: Channel, error: ChannelError) -> Outcome:
    return Outcome(channel.name, error.reason, f"{error.reason}: {error.detail}")

"""The channels as the rest of the program sees them, and one attempt to send by one of them within its limit."""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from monitor.core.alerts.rules import Alert, AlertKind, Urgency
from monitor.core.alerts.text import Message, format_alerts
from monitor.core.errors import ChannelError, ChannelReason
from monitor.core.events import Notified
from monitor.core.model import Secret
from monitor.system.aio import wait_or_cancel
from monitor.system.clock import Clock

LIMIT_SECS: Final = 5.0
MARGIN_SECS: Final = 1.0
"""A channel may take so much longer than its own limit: it then cleans up, and gives its own reason."""

REST_SECS: Final = 60.0
GRACE_SECS: Final = 1.0
"""A channel that is cancelled has so long to clean up."""

NOTIFICATIONS_OFF: Final = (
    "notifications are off: see notifications.enabled and notifications.channels"
)
ReadSecret = Callable[[], Awaitable[Secret]]
"""Reads a channel's secret. Raises ChannelError where there is none now."""

ANY: Final = "*"
"""The name of the only queue where the first channel that works is enough."""

_log = logging.getLogger(__name__)


class Channel(Protocol):
    """One way to send alerts. `name` is the word of the settings and metrics, `limit_secs` its own limit."""

    name: str
    limit_secs: float = LIMIT_SECS

    async def send(self, message: Message, alerts: Sequence[Alert]) -> None:
        """Send one alert, or several in one message. Returns once they were delivered. Raises ChannelError."""

    def close(self) -> None:
        """Close whatever it holds, mostly nothing; it may be used again."""
        return


@dataclass(frozen=True, slots=True)
class SendResult:
    """The result of an attempt on one channel; `failure` is None where it was sent, `detail` is for people."""

    channel: str
    failure: ChannelReason | None
    detail: str


def never_quiet(_: datetime) -> None:
    """Say that there are no quiet hours."""


@dataclass(frozen=True, slots=True)
class ChannelSet:
    """The channels by the names of the settings, in order of preference; without any, nothing is sent.

    Each name stands for several channels, of which the first that works is enough: `desktop` and what replaces it.
    With `fan_out` each name sends an alert, else the first that works. `quiet_until` returns the end of the quiet hours
    that an instant is in, else None.
    """

    chains: Mapping[str, Sequence[Channel]] = field(default_factory=dict)
    fan_out: bool = False
    quiet_until: Callable[[datetime], datetime | None] = never_quiet

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Return all of them in order, each name once."""
        return tuple({c.name: c for c in itertools.chain(*self.chains.values())}.values())

    @property
    def queues(self) -> tuple[str, ...]:
        """Return the names of the queues in which an alert may wait to be sent."""
        return tuple(self.chains) if self.fan_out else (ANY,)

    def route(self, wanted: Collection[str] | None) -> dict[str, tuple[Channel, ...]]:
        """Return an alert's channels by queue: those that its rule names, or all where none of these exists."""
        chains = {n: c for n, c in self.chains.items() if wanted is None or n in wanted}
        chains = chains or dict(self.chains)
        if self.fan_out:
            return {name: tuple(chain) for name, chain in chains.items()}
        return {ANY: tuple({c.name: c for c in itertools.chain(*chains.values())}.values())}


class Sender:
    """Dispatches a `Notified` for each attempt.

    A channel that did not answer within its limit rests for a while: it is then tried last.
    """

    def __init__(self, dispatch: Callable[[Notified], None], clock: Clock) -> None:
        self._dispatch = dispatch
        self._clock = clock
        self._rests_until: dict[str, float] = {}

    async def send_by_first(
        self, channels: Sequence[Channel], alerts: Sequence[Alert], urgency: Urgency
    ) -> SendResult:
        """Try the channels in turn; return the outcome of the first that works, else all failures in one."""
        now, message = self._clock.monotonic(), format_alerts(alerts, urgency)
        failures: list[SendResult] = []
        for channel in sorted(channels, key=lambda c: self._rests_until.get(c.name, now) > now):
            outcome = await self.send(channel, message, alerts)
            if outcome.failure is None:
                return outcome
            failures.append(outcome)
        detail = ", ".join(f"{outcome.channel}: {outcome.detail}" for outcome in failures)
        return SendResult("", failures[-1].failure, detail)

    async def send(self, channel: Channel, message: Message, alerts: Sequence[Alert]) -> SendResult:
        """Try this channel; raises nothing but a cancellation."""
        error: ChannelError | None = ChannelError(
            ChannelReason.INTERRUPTED, "the program is ending"
        )
        limit = channel.limit_secs + MARGIN_SECS
        try:
            await self._send_within(channel.send(message, alerts), limit)
            error = None
        except TimeoutError:
            error = ChannelError(ChannelReason.TIMEOUT, f"no answer within {limit:g} s")
        except ChannelError as failed:
            error = failed
        except Exception as bug:  # noqa: BLE001 - a bug in one channel keeps no other from sending
            _log.exception("a bug in the channel %s", channel.name)
            detail = f"a bug, {type(bug).__name__}; the log has more"
            error = ChannelError(ChannelReason.ERROR, detail)
        finally:
            outcome = SendResult(channel.name, None, "sent")
            if error is not None:
                outcome = SendResult(channel.name, error.reason, f"{error.reason}: {error.detail}")
            self._report(outcome, alerts)
        return outcome

    async def _send_within(self, sending: Coroutine[Any, Any, None], limit: float) -> None:
        """Raises what the sending raises, also at the limit, where its own reason says more than TimeoutError."""
        task = asyncio.create_task(sending)
        try:
            await wait_or_cancel(self._clock, limit, task)
        finally:
            await wait_or_cancel(self._clock, GRACE_SECS, task)
        if not task.done() or task.cancelled():
            raise TimeoutError
        task.result()

    def _report(self, outcome: SendResult, alerts: Sequence[Alert]) -> None:
        if outcome.failure is None:
            self._rests_until.pop(outcome.channel, None)
        else:
            _log.warning("channel %s: %s", outcome.channel, outcome.detail)
        if outcome.failure is ChannelReason.TIMEOUT:
            self._rests_until[outcome.channel] = self._clock.monotonic() + REST_SECS
        kind = alerts[0].kind if len(alerts) == 1 else AlertKind.SUMMARY
        self._dispatch(
            Notified(self._clock.now(), outcome.channel, kind, outcome.failure, tuple(alerts))
        )


async def send_to_each(
    channels: ChannelSet, alert: Alert, dispatch: Callable[[Notified], None], clock: Clock
) -> list[SendResult]:
    """Send the alert by every channel, whether others fail or not."""
    sender, message = Sender(dispatch, clock), format_alerts([alert])
    try:
        return [await sender.send(c, message, [alert]) for c in channels.channels]
    finally:
        for channel in channels.channels:
            channel.close()

"""Tells each alert on the first channel that works, and reports what became of it. Knows no channel by name."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from monitor.clock import Clock
from monitor.core.effects import Alert, Effect
from monitor.core.events import Notified
from monitor.core.notify import ChannelError

LIMIT_SECS: Final = 5.0
REST_SECS: Final = 60.0
GRACE_SECS: Final = 1.0

_log = logging.getLogger(__name__)


class Channel(Protocol):
    """One way to be told."""

    @property
    def name(self) -> str: ...

    async def tell(self, alert: Alert) -> None:
        """Returns once the alert was told. Raises ChannelError."""

    def close(self) -> None:
        """Let go of whatever it holds; it may be used again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an alert on one channel. `failure` is the metrics' word, `words` are for people."""

    channel: str
    failure: str | None
    words: str


class Notifier:
    """Takes effects one at a time and dispatches a `Notified` for each channel that is tried.

    A channel that did not answer within the limit rests for a while: it is then asked last.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        next_effect: Callable[[], Awaitable[Effect]],
        dispatch: Callable[[Notified], None],
        clock: Clock,
        *,
        limit: float = LIMIT_SECS,
    ) -> None:
        self._channels = tuple(channels)
        self._next_effect = next_effect
        self._dispatch = dispatch
        self._clock = clock
        self._limit = limit
        self._rests_until: dict[str, float] = {}

    async def run(self) -> None:
        """Tell alerts until cancelled; one that is under way then has a second to arrive."""
        try:
            while True:
                effect = await self._next_effect()
                await self._see_through(effect.alert)
        finally:
            self._close()

    async def tell(self, alert: Alert) -> bool:
        """Whether a channel told the alert."""
        for channel in self._in_order():
            if (await self._attempt(channel, alert)).failure is None:
                return True
        _log.error("no channel could tell: %s, %s, %s", alert.account, alert.window, alert.rule)
        return False

    async def test_all(self, alert: Alert) -> list[Outcome]:
        """Tell the alert on every channel, whether or not another one works."""
        try:
            return [await self._attempt(channel, alert) for channel in self._channels]
        finally:
            self._close()

    async def _see_through(self, alert: Alert) -> None:
        telling = asyncio.create_task(self.tell(alert), name="telling an alert")
        try:
            await asyncio.shield(telling)
        except asyncio.CancelledError:
            if not await self._done_within(GRACE_SECS, telling):
                await asyncio.wait((telling,))
            raise

    def _in_order(self) -> list[Channel]:
        now = self._clock.monotonic()
        return sorted(self._channels, key=lambda c: self._rests_until.get(c.name, now) > now)

    async def _attempt(self, channel: Channel, alert: Alert) -> Outcome:
        outcome = Outcome(channel.name, "interrupted", "interrupted: the program is ending")
        try:
            outcome = await self._outcome(channel, alert)
        finally:
            self._report(outcome, alert)
        return outcome

    async def _outcome(self, channel: Channel, alert: Alert) -> Outcome:
        try:
            await self._limited(channel.tell(alert))
        except TimeoutError:
            return _failed(channel, "timeout", f"no answer within {self._limit:g} s")
        except ChannelError as error:
            return _failed(channel, error.reason, error.detail)
        except Exception as error:  # noqa: BLE001 - a bug in one channel keeps no other from telling
            _log.exception("a bug in the channel %s", channel.name)
            return _failed(channel, "error", f"a bug, {type(error).__name__}; the log has more")
        return Outcome(channel.name, None, "told")

    async def _limited(self, telling: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(telling)
        if not await self._done_within(self._limit, task):
            raise TimeoutError
        await task

    async def _done_within(self, seconds: float, task: asyncio.Task[Any]) -> bool:
        """Whether the task ends in time; where it does not, or the wait is cancelled, it is cancelled."""
        timer = asyncio.create_task(self._clock.sleep(seconds))
        try:
            await asyncio.wait((task, timer), return_when=asyncio.FIRST_COMPLETED)
            return task.done()
        finally:
            timer.cancel()
            task.cancel()

    def _report(self, outcome: Outcome, alert: Alert) -> None:
        now = self._clock.monotonic()
        if outcome.failure is None:
            self._rests_until.pop(outcome.channel, None)
        else:
            _log.warning("channel %s: %s", outcome.channel, outcome.words)
        if outcome.failure == "timeout":
            self._rests_until[outcome.channel] = now + REST_SECS
        self._dispatch(Notified(self._clock.now(), outcome.channel, alert.kind, outcome.failure))

    def _close(self) -> None:
        for channel in self._channels:
            channel.close()


def _failed(channel: Channel, reason: str, detail: str) -> Outcome:
    return Outcome(channel.name, reason, f"{reason}: {detail}")

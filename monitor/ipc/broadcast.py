"""One rendering for all who follow the same: made once per change, ten times a second at most, the newest for each."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Final

from monitor.ipc.protocol import render_lines

SPACING_SECS: Final = 0.1
AT_ONCE: Final = 16

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stream:
    """A text that changes; streams of equal names share one rendering.

    `render` makes the newest text, of one line or some; `changed` waits for the next change after its call. A
    text like the one before is not sent again. Where there is a `step`, it makes the text of what has changed since
    its call before, nothing where nothing has; those who have taken all so far are sent that, others all.
    """

    name: Hashable
    render: Callable[[], str]
    changed: Callable[[], Awaitable[object]]
    step: Callable[[], str] | None = None


Subscriber = asyncio.Queue[bytes | None]
"""Room for one text, where a newer one takes the place of one that nobody took; None says that there are no more."""


class Broadcast:
    """One stream, rendered for as long as anybody follows it."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._subscribers: set[Subscriber] = set()
        self._whole: bytes | None = None
        self._step: bytes | None = None
        self._running: asyncio.Task[None] | None = None

    @property
    def has_ended(self) -> bool:
        """Return whether nobody follows it any more, or a bug has ended it; it does not begin again."""
        return self._running is not None and (not self._subscribers or self._running.done())

    def subscribe(self) -> Subscriber:
        """Return a new subscriber, who has the newest text. Raises what the rendering raises."""
        subscriber = Subscriber(1)
        subscriber.put_nowait(self._newest())
        self._subscribers.add(subscriber)
        if self._running is None:
            self._running = asyncio.create_task(self._run(), name=f"broadcast {self._stream.name}")
        return subscriber

    async def unsubscribe(self, subscriber: Subscriber) -> None:
        self._subscribers.discard(subscriber)
        if not self._subscribers and self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    async def _run(self) -> None:
        """Render each change until cancelled, or until a bug ends the stream for all who follow it.

        Between a rendering and the wait for the next change nothing else runs, so none is missed. And all subscribers
        are handed one text before the next is made: a step follows the one before it.
        """
        loop = asyncio.get_running_loop()
        try:
            while True:
                has_news = self._render()  # the first time for what has changed since somebody came
                rendered_at = loop.time()
                async with asyncio.TaskGroup() as group:
                    if has_news:
                        group.create_task(self._hand_out(list(self._subscribers)))
                    await self._stream.changed()
                await asyncio.sleep(max(0.0, rendered_at + SPACING_SECS - loop.time()))
        except Exception:  # noqa: BLE001 - it is logged, and ends nothing but this stream
            _log.exception("a bug, met while rendering %r", self._stream.name)
            for subscriber in self._subscribers:
                _offer(subscriber, None)

    def _render(self) -> bool:
        """Make the newest text; returns whether it is another one."""
        if self._stream.step is None:
            text, self._whole = self._whole, render_lines(self._stream.render())
            return text != self._whole
        self._step = render_lines(self._stream.step())
        if self._step:
            self._whole = None
        return bool(self._step)

    def _newest(self) -> bytes:
        """Return all of it; made when first somebody needs it."""
        if self._whole is None:
            self._whole = render_lines(self._stream.render())
        return self._whole

    async def _hand_out(self, subscribers: list[Subscriber]) -> None:
        """Hand it to some at a time: the loop has a poll, a scrape or a key to see to between them."""
        for place, subscriber in enumerate(subscribers, 1):
            if subscriber in self._subscribers:
                takes_step = self._step is not None and subscriber.empty()
                _offer(subscriber, self._step if takes_step else self._newest())
            if not place % AT_ONCE:
                await asyncio.sleep(0)


def _offer(subscriber: Subscriber, text: bytes | None) -> None:
    if subscriber.full():
        subscriber.get_nowait()
    subscriber.put_nowait(text)

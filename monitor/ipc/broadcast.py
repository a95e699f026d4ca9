"""One rendering for all who watch the same: made once per change, ten times a second at most, the newest for each."""

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
    """What a stream shows: viewers whose streams have equal names share one rendering.

    `render` makes the newest text, of one line or some; `changed` waits for the next change after its call. A
    text like the one before is not sent again. Where there is a `step`, it makes the text of what has changed since
    its call before, nothing where nothing has; those who have taken all so far are sent that, others all.
    """

    name: Hashable
    render: Callable[[], str]
    changed: Callable[[], Awaitable[object]]
    step: Callable[[], str] | None = None


class Subscriber:
    """Room for one text: a newer one takes the place of one that has not been taken yet."""

    def __init__(self, show: "Broadcast", text: bytes) -> None:
        self._show = show
        self._text: bytes | None = text
        self._news = asyncio.Event()
        self._news.set()

    @property
    def is_behind(self) -> bool:
        """Whether a text has not been taken yet."""
        return self._news.is_set()

    def offer(self, text: bytes | None) -> None:
        """Hand it the newest text; None says that there will be no more."""
        self._text = text
        self._news.set()

    async def take(self) -> bytes | None:
        """The newest text, once there is one that has not been taken; None at the end."""
        await self._news.wait()
        self._news.clear()
        return self._text

    def leave(self) -> None:
        self._show.leave(self)


class Broadcast:
    """One stream for as long as anybody watches."""

    def __init__(self, stream: Stream, over: Callable[["Broadcast"], None]) -> None:
        self.name = stream.name
        self._stream = stream
        self._over = over
        self._whole: bytes | None = render_lines(stream.render())
        self._step: bytes | None = None
        self._viewers: set[Subscriber] = set()
        self._task = asyncio.create_task(self._run(), name=f"show {stream.name}")

    def join(self) -> Subscriber:
        viewer = Subscriber(self, self._newest())
        self._viewers.add(viewer)
        return viewer

    def leave(self, viewer: Subscriber) -> None:
        self._viewers.discard(viewer)
        if not self._viewers:
            self._task.cancel()
            self._over(self)

    async def _run(self) -> None:
        try:
            await self._follow()
        except Exception:  # noqa: BLE001 - it is logged, and ends nothing but this show
            _log.exception("a bug, met while showing %r", self.name)
            self._over(self)
            for viewer in self._viewers:
                viewer.offer(None)
            self._viewers.clear()

    async def _follow(self) -> None:
        """Between a rendering and the wait for the next change nothing else runs, so none is missed.

        And all viewers are handed one text before the next is made: a step follows the one before it.
        """
        loop = asyncio.get_running_loop()
        while True:
            has_news = self._render()  # the first time for what has changed since this was begun
            rendered_at = loop.time()
            async with asyncio.TaskGroup() as group:
                if has_news:
                    group.create_task(self._hand_out(list(self._viewers)))
                await self._stream.changed()
            await asyncio.sleep(max(0.0, rendered_at + SPACING_SECS - loop.time()))

    def _render(self) -> bool:
        """Make the newest text; whether it is another one."""
        if self._stream.step is None:
            text, self._whole = self._whole, render_lines(self._stream.render())
            return text != self._whole
        self._step = render_lines(self._stream.step())
        if self._step:
            self._whole = None
        return bool(self._step)

    def _newest(self) -> bytes:
        """All of it; made when first somebody needs it."""
        if self._whole is None:
            self._whole = render_lines(self._stream.render())
        return self._whole

    async def _hand_out(self, viewers: list[Subscriber]) -> None:
        """To some at a time: the loop has a poll, a scrape or a key to see to between them."""
        for place, viewer in enumerate(viewers, 1):
            if viewer in self._viewers:
                viewer.offer(self._next_for(viewer))
            if not place % AT_ONCE:
                await asyncio.sleep(0)

    def _next_for(self, viewer: Subscriber) -> bytes:
        return self._newest() if self._step is None or viewer.is_behind else self._step


class Broadcasts:
    """All that is being watched."""

    def __init__(self) -> None:
        self._shows: dict[Hashable, Broadcast] = {}

    def join(self, stream: Stream) -> Subscriber:
        """A new viewer, who is shown the newest at once. Raises what the rendering raises."""
        show = self._shows.get(stream.name)
        if show is None:
            show = self._shows[stream.name] = Broadcast(stream, self._end)
        return show.join()

    def _end(self, show: Broadcast) -> None:
        """Whoever comes next is shown it anew; it may have ended before, and be shown anew already."""
        if self._shows.get(show.name) is show:
            del self._shows[show.name]

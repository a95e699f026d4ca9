"""One rendering for all who watch the same: made once per change, ten times a second at most, the newest for each."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Final

from monitor.instance.wire import render_lines

SPACING_SECS: Final = 0.1
AT_ONCE: Final = 16

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stream:
    """What a stream shows: viewers whose streams have equal names share one rendering.

    `render` makes the newest text, of one line or some; `changed` waits for the next change after its call. A
    text like the one before is not sent again.
    """

    name: Hashable
    render: Callable[[], str]
    changed: Callable[[], Awaitable[object]]


class Viewer:
    """Room for one text: a newer one takes the place of one that has not been taken yet."""

    def __init__(self, show: "Show", text: bytes) -> None:
        self._show = show
        self._text: bytes | None = text
        self._news = asyncio.Event()
        self._news.set()

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


class Show:
    """One stream for as long as anybody watches."""

    def __init__(self, stream: Stream, over: Callable[["Show"], None]) -> None:
        self.name = stream.name
        self._stream = stream
        self._over = over
        self._text = render_lines(stream.render())
        self._viewers: set[Viewer] = set()
        self._task = asyncio.create_task(self._run(), name=f"show {stream.name}")

    def join(self) -> Viewer:
        viewer = Viewer(self, self._text)
        self._viewers.add(viewer)
        return viewer

    def leave(self, viewer: Viewer) -> None:
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
        """Between a rendering and the wait for the next change nothing else runs, so none is missed."""
        loop = asyncio.get_running_loop()
        while True:
            self._render()  # the first time for what has changed since this was begun
            rendered_at = loop.time()
            await self._stream.changed()
            await asyncio.sleep(max(0.0, rendered_at + SPACING_SECS - loop.time()))

    def _render(self) -> None:
        text = render_lines(self._stream.render())
        if text != self._text:
            self._text = text
            self._hand_out(list(self._viewers))

    def _hand_out(self, waiting: list[Viewer]) -> None:
        """To some at a time: the loop has a poll, a scrape or a key to see to between them."""
        for viewer in waiting[:AT_ONCE]:
            if viewer in self._viewers:
                viewer.offer(self._text)
        if rest := waiting[AT_ONCE:]:
            asyncio.get_running_loop().call_soon(self._hand_out, rest)


class Shows:
    """All that is being watched."""

    def __init__(self) -> None:
        self._shows: dict[Hashable, Show] = {}

    def join(self, stream: Stream) -> Viewer:
        """A new viewer, who is shown the newest at once. Raises what the rendering raises."""
        show = self._shows.get(stream.name)
        if show is None:
            show = self._shows[stream.name] = Show(stream, self._end)
        return show.join()

    def _end(self, show: Show) -> None:
        """Whoever comes next is shown it anew; it may have ended before, and be shown anew already."""
        if self._shows.get(show.name) is show:
            del self._shows[show.name]

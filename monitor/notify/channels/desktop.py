"""The desktop's own notifications: through desktop-notifier, and on macOS through what may replace it.

The library never raises, waits forever for a daemon that hangs, and on some platforms drops everything silently. So
there is a limit, its capabilities are looked at, it must say that it dispatched, and any failure makes a new object.
On macOS it works only in a Python that is an application bundle, which Homebrew's and most others are not.
"""

import asyncio
import html
import importlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from monitor.core.alerts.rules import Alert
from monitor.core.alerts.text import Message
from monitor.core.errors import ChannelError, ChannelReason
from monitor.notify.channel import LIMIT_SECS, Channel
from monitor.notify.channels.command import run_program
from monitor.system.aio import Daemon

if TYPE_CHECKING:  # it is loaded in a thread, once an alert needs it
    from desktop_notifier import Capability, Urgency

APP_NAME: Final = "Claude Tracker"

_SCRIPT: Final = (
    "on run a",
    "display notification (item 3 of a) with title (item 1 of a) subtitle (item 2 of a)",
    "end run",
)


class Library(Protocol):
    """The part of `desktop_notifier.DesktopNotifier` that is used here."""

    async def request_authorisation(self) -> bool: ...

    async def get_capabilities(self) -> "frozenset[Capability]": ...

    async def send(
        self, title: str, message: str, urgency: "Urgency", *, on_dispatched: Callable[[], Any]
    ) -> str: ...


class Desktop(Channel):
    """Notifications by desktop-notifier. `markup` says that the daemon may read the body as markup."""

    name = "desktop"

    def __init__(
        self,
        *,
        markup: bool,
        limit: float = LIMIT_SECS,
        make: Callable[[], Library] | None = None,
    ) -> None:
        self._markup = markup
        self.limit_secs = limit
        self._make = make or _load
        self._current: Library | None = None

    async def send(self, message: Message, _: Sequence[Alert]) -> None:
        """Raises ChannelError unless the notification was delivered within the limit."""
        async with self._attempt():
            library = await self._connect()
            if not await library.request_authorisation():
                forbidden = "notifications are not allowed in the system's settings"
                raise ChannelError(ChannelReason.DENIED, forbidden)
            from desktop_notifier import Urgency

            dispatched, urgency = asyncio.Event(), Urgency(str(message.urgency))
            body = html.escape(message.body, quote=False) if self._markup else message.body
            await library.send(message.title, body, urgency, on_dispatched=dispatched.set)
            if not dispatched.is_set():
                refused = "the notification service did not take it"
                raise ChannelError(ChannelReason.UNAVAILABLE, refused)

    async def check(self) -> None:
        """Raises ChannelError where nothing would be shown now. Shows nothing, and asks for no permission."""
        async with self._attempt():
            await self._connect()

    def close(self) -> None:
        """Close the connection, whatever state it is in; the next alert makes a new one."""
        bus = _bus(self._current)
        self._current = None
        if bus is not None:
            bus.disconnect()

    @asynccontextmanager
    async def _attempt(self) -> AsyncIterator[None]:
        """Run the block within the limit. Raises ChannelError for any failure, and then closes the connection."""
        try:
            async with asyncio.timeout(self.limit_secs):
                yield
        except BaseException as error:
            self.close()
            if isinstance(error, TimeoutError):
                late = f"the notification service did not answer within {self.limit_secs:g} s"
                raise ChannelError(ChannelReason.TIMEOUT, late) from None
            if isinstance(error, Exception) and not isinstance(error, ChannelError):
                raise ChannelError(ChannelReason.UNAVAILABLE, _explain(error)) from error
            raise

    async def _connect(self) -> Library:
        """Return the object that worked last, or a new one where its bus is gone: sending on a dead one never ends."""
        bus = _bus(self._current)
        if self._current is None or (bus is not None and not bus.connected):
            self.close()
            await Daemon(partial(importlib.import_module, "desktop_notifier")).future  # takes 0.1 s
            self._current = self._make()
        library = self._current
        if not await library.get_capabilities():
            silent = "this platform's notifications drop everything"
            raise ChannelError(ChannelReason.NO_CAPABILITY, silent)
        return library


class TerminalNotifier(Channel):
    """The program terminal-notifier, which many have on macOS; looked up on PATH for each alert."""

    name = "terminal-notifier"

    async def send(self, message: Message, _: Sequence[Alert]) -> None:
        # It reads values as property lists: `(x` and `-x` would be lost without a backslash in front.
        options = ("-title", f"\\{message.title}", "-message", f"\\{message.body}")
        await run_program("terminal-notifier", *options, limit=self.limit_secs)


class Osascript(Channel):
    """AppleScript, which every macOS has; it ends well even where the user has forbidden notifications."""

    name = "osascript"

    async def send(self, message: Message, _: Sequence[Alert]) -> None:
        """Raises ChannelError. The text travels as arguments and is never a part of the script."""
        script = [part for line in _SCRIPT for part in ("-e", line)]
        # Our own argument comes first, so that a title that begins with a dash is not read as an option.
        arguments = (APP_NAME, message.title, message.body)
        await run_program("osascript", *script, *arguments, limit=self.limit_secs)


def _load() -> Library:
    from desktop_notifier import DesktopNotifier

    return DesktopNotifier(app_name=APP_NAME, app_icon=None)


def _bus(library: Library | None) -> Any:
    """Return the library's D-Bus connection. It is private, but nothing public closes it or shows that it lives."""
    return getattr(getattr(library, "_backend", None), "bus", None)


def _explain(error: Exception) -> str:
    """Explain a failure in one line; one that is not known is quoted."""
    kind, line = type(error).__name__, " ".join(str(error).split())
    if kind == "InvalidAddressError":
        return "no D-Bus session: desktop notifications unavailable"
    if isinstance(error, OSError) or kind == "DBusError":
        return f"no notification service answers ({line})"
    return f"no notification service: {kind}: {line}"

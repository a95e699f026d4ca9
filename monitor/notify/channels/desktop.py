"""Tells an alert through desktop-notifier, and believes only what shows that it was delivered.

The library never raises, waits forever for a daemon that hangs, and on some platforms drops everything
without a word. So: a limit, a look at its capabilities, its word that it dispatched, and a fresh object
after anything else.
"""

import asyncio
import importlib
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from monitor.core.alerts import rules
from monitor.core.effects import Alert
from monitor.core.notify import ChannelError
from monitor.notify.channels.clean import escape_markup
from monitor.notify.text import Message, Words

if TYPE_CHECKING:
    from desktop_notifier import Capability, Urgency

APP_NAME: Final = "Claude Tracker"
LIMIT_SECS: Final = 5.0


class Sender(Protocol):
    """The part of `desktop_notifier.DesktopNotifier` that is used here."""

    async def request_authorisation(self) -> bool: ...

    async def get_capabilities(self) -> "frozenset[Capability]": ...

    async def send(
        self, title: str, message: str, urgency: "Urgency", *, on_dispatched: Callable[[], Any]
    ) -> str: ...


class Desktop:
    """The desktop's own notifications. `markup` says that the daemon may read the body as markup."""

    name = "desktop"

    def __init__(
        self,
        words: Words,
        *,
        markup: bool,
        limit: float = LIMIT_SECS,
        make: Callable[[], Sender] | None = None,
    ) -> None:
        self._words = words
        self._markup = markup
        self._limit = limit
        self._make = make or _sender
        self._current: Sender | None = None

    async def tell(
        self, alerts: Sequence[Alert], urgency: rules.Urgency = rules.Urgency.NORMAL
    ) -> None:
        """Raises ChannelError unless the notification was delivered within the limit."""
        await self._within_limit(self._deliver(self._words(alerts, urgency)))

    async def check(self) -> None:
        """Raises ChannelError where nothing would be shown now. Shows nothing, and asks nobody for permission."""
        await self._within_limit(self._look())

    async def _look(self) -> None:
        await _refuse_silence(await self._sender())

    async def _within_limit(self, work: Coroutine[Any, Any, None]) -> None:
        told = False
        try:
            async with asyncio.timeout(self._limit):
                await work
            told = True
        except ChannelError:
            raise
        except TimeoutError:
            words = f"the notification service did not answer within {self._limit:g} s"
            raise ChannelError("timeout", words) from None
        except Exception as error:
            raise ChannelError("unavailable", _silence(error)) from error
        finally:
            if not told:
                self.close()

    def close(self) -> None:
        """Let the connection go, and with it whatever state it is in; the next alert makes a fresh one."""
        bus = _bus(self._current)
        self._current = None
        if bus is not None:
            bus.disconnect()

    async def _deliver(self, message: Message) -> None:
        sender = await self._sender()
        await _check(sender)
        dispatched = asyncio.Event()
        body = escape_markup(message.body) if self._markup else message.body
        await sender.send(message.title, body, _urgency(message), on_dispatched=dispatched.set)
        if not dispatched.is_set():
            raise ChannelError("unavailable", "the notification service did not take it")

    async def _sender(self) -> Sender:
        """The one that worked last, if its bus is still the same: on a dead connection sending never ends."""
        if self._current is None or not _connected(self._current):
            self.close()
            await asyncio.to_thread(importlib.import_module, "desktop_notifier")  # takes 0.1 s
            self._current = self._make()
        return self._current


async def _refuse_silence(sender: Sender) -> None:
    if not await sender.get_capabilities():
        raise ChannelError("no_capability", "this platform's notifications drop everything")


async def _check(sender: Sender) -> None:
    await _refuse_silence(sender)
    if not await sender.request_authorisation():
        raise ChannelError("denied", "notifications are not allowed in the system's settings")


def _sender() -> Sender:
    from desktop_notifier import DesktopNotifier

    return DesktopNotifier(app_name=APP_NAME, app_icon=None)


def _urgency(message: Message) -> "Urgency":
    from desktop_notifier import Urgency

    return Urgency(str(message.urgency))


def _bus(sender: Sender | None) -> Any:
    """The library's own D-Bus connection. Private to it, but nothing public closes it or tells whether it lives."""
    return getattr(getattr(sender, "_backend", None), "bus", None)


def _connected(sender: Sender) -> bool:
    bus = _bus(sender)
    return bus is None or bus.connected


def _silence(error: Exception) -> str:
    """Why nothing is shown, as a person would say it; the words of a failure that is not known are its own."""
    kind = type(error).__name__
    if kind == "InvalidAddressError":
        return "this session has no D-Bus, and so no notifications"
    if isinstance(error, OSError) or kind == "DBusError":
        return f"no notification service answers ({_line(error)})"
    return f"no notification service: {kind}: {_line(error)}"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())

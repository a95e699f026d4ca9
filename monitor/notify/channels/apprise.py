"""Tells alerts through Apprise, which knows more than a hundred services; an optional extra, loaded at its first use.

Its calls block and have no limit of their own, so each service gets a thread. Its URLs are secrets, and it logs
parts of them: `monitor.system.logs` keeps it silent, and of what it raises only the type is passed on.
"""

import asyncio
import importlib
import logging
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from monitor.core.alerts.rules import Urgency
from monitor.core.effects import Alert
from monitor.core.model import Secret
from monitor.core.notify import ChannelError
from monitor.notify.channels.refusal import SecretRefusedError
from monitor.notify.text import Message, Words
from monitor.system.aio import Daemon

LIMIT_SECS: Final = 10.0
MISSING: Final = "Apprise is not installed: pip install 'claude-tracker[apprise]'"
_TYPES: Final = {Urgency.LOW: "info", Urgency.NORMAL: "warning", Urgency.CRITICAL: "failure"}

_log = logging.getLogger(__name__)


class Apprise:
    """`urls` are the services, one a line. An alert counts as told once one of them took it."""

    def __init__(
        self, urls: Secret, words: Words, *, limit: float = LIMIT_SECS, name: str = "apprise"
    ) -> None:
        self.name = name
        self._urls = urls
        self._words = words
        self._limit = limit
        self._late: list[Daemon[Any]] = []

    async def tell(self, alerts: Sequence[Alert], urgency: Urgency = Urgency.NORMAL) -> None:
        """Raises ChannelError."""
        self._late = [call for call in self._late if call.is_running]
        if self._late:
            raise ChannelError("timeout", "Apprise, or a service of it, has still not answered")
        message = self._words(alerts, urgency)
        deadline = asyncio.get_running_loop().time() + self._limit
        services = await self._services(deadline)
        calls = [Daemon(partial(_notify, service, message)) for service in services]
        await self._wait(calls, deadline)
        self._judge(calls)

    def close(self) -> None:
        """It holds nothing."""

    async def _services(self, deadline: float) -> list[Any]:
        """What Apprise makes of each URL, in a thread as well: loading it takes a third of a second."""
        opening = Daemon(partial(_opened, self._urls))
        try:
            async with asyncio.timeout_at(deadline):
                return await opening.future
        except TimeoutError:
            raise self._timeout() from None
        except ChannelError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a hundred plugins may raise
            words = f"Apprise cannot be used: {type(error).__name__}"
            raise ChannelError("error", words) from None
        finally:
            if opening.future.cancelled():
                self._late = [opening]

    async def _wait(self, calls: Sequence[Daemon[bool]], deadline: float) -> None:
        left = max(deadline - asyncio.get_running_loop().time(), 0)
        try:
            await asyncio.wait([call.future for call in calls], timeout=left)
        finally:
            self._late = [call for call in calls if call.future.cancel()]

    def _judge(self, calls: Sequence[Daemon[bool]]) -> None:
        took = sum(_took(call.future) for call in calls)
        if took < len(calls):
            _log.warning("Apprise: %d of %d services took it", took, len(calls))
        if took:
            return
        if any(call.future.cancelled() for call in calls):
            raise self._timeout()
        raise SecretRefusedError("no service of Apprise took it: check its URLs")

    def _timeout(self) -> ChannelError:
        return ChannelError("timeout", f"Apprise took longer than {self._limit:g} s")


def _opened(urls: Secret) -> list[Any]:
    """Raises ChannelError, which names the place of a wrong URL and nothing of it."""
    try:
        apprise = importlib.import_module("apprise")
    except ImportError:
        raise ChannelError("unavailable", MISSING) from None
    asset = apprise.AppriseAsset(app_id="Claude Tracker", storage_mode="memory")
    lines = [line.strip() for line in urls.reveal().splitlines() if line.strip()]
    services = [apprise.Apprise(asset=asset) for _ in lines]
    for place, (service, line) in enumerate(zip(services, lines, strict=True), 1):
        if not service.add(line):
            raise SecretRefusedError(f"URL {place} is none that Apprise knows: correct it")
    if not services:
        raise SecretRefusedError("Apprise has no URL: write one a line")
    return services


def _notify(service: Any, message: Message) -> bool:
    kind = _TYPES[message.urgency]
    return bool(
        service.notify(title=message.title, body=message.body, notify_type=kind, body_format="text")
    )


def _took(future: "asyncio.Future[bool]") -> bool:
    """Whether it took the alert; what it raised is of no more interest than a refusal."""
    return not future.cancelled() and future.exception() is None and future.result()

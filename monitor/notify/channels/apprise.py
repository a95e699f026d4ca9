"""Sends alerts through Apprise, which knows more than a hundred services; an optional extra, loaded at its first use.

Its calls block and have no limit of their own, so each service gets a thread. Its URLs are secrets, and it logs
parts of them: `monitor.system.logs` keeps it silent, and of what it raises only the type is passed on.
"""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from monitor.core.alerts.rules import Alert, Urgency
from monitor.core.alerts.text import Message
from monitor.core.errors import ChannelError, ChannelReason
from monitor.core.model import Secret
from monitor.credentials.keyring import LIMIT_SECS as KEYRING_SECS
from monitor.notify.channel import Channel, ReadSecret
from monitor.system.aio import Daemon

LIMIT_SECS: Final = 10.0
MISSING: Final = "Apprise is not installed: pip install apprise"
_TYPES: Final = {Urgency.LOW: "info", Urgency.NORMAL: "warning", Urgency.CRITICAL: "failure"}

_log = logging.getLogger(__name__)


class Apprise(Channel):
    """The services of the URLs, one a line. An alert counts as sent once one of them took it.

    `limit` is for the services, after the URLs were read.
    """

    name = "apprise"

    def __init__(self, read_urls: ReadSecret, *, limit: float = LIMIT_SECS) -> None:
        self._read_urls = read_urls
        self._limit = limit
        self.limit_secs = KEYRING_SECS + limit
        self._late: list[Daemon[Any]] = []

    async def send(self, message: Message, _: Sequence[Alert]) -> None:
        self._late = [call for call in self._late if call.is_running]
        if self._late:
            late = "Apprise, or a service of it, has still not answered"
            raise ChannelError(ChannelReason.TIMEOUT, late)
        urls = await self._read_urls()
        deadline = asyncio.get_running_loop().time() + self._limit
        services = await self._load(urls, deadline)
        calls = [Daemon(partial(_notify, service, message)) for service in services]
        left = max(deadline - asyncio.get_running_loop().time(), 0)
        try:
            await asyncio.wait([call.future for call in calls], timeout=left)
        finally:
            self._late = [call for call in calls if call.future.cancel()]
        took = sum(_is_taken(call.future) for call in calls)
        if took < len(calls):
            _log.warning("Apprise: %d of %d services took it", took, len(calls))
        if took:
            return
        if any(call.future.cancelled() for call in calls):
            raise self._timeout()
        raise ChannelError(ChannelReason.ERROR, "no service of Apprise took it: check its URLs")

    async def _load(self, urls: Secret, deadline: float) -> list[Any]:
        """Make Apprise's object for each URL, in a thread too: loading Apprise takes a third of a second."""
        loading = Daemon(partial(_load, urls))
        try:
            async with asyncio.timeout_at(deadline):
                return await loading.future
        except TimeoutError:
            raise self._timeout() from None
        except ChannelError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a hundred plugins may raise
            detail = f"Apprise cannot be used: {type(error).__name__}"
            raise ChannelError(ChannelReason.ERROR, detail) from None
        finally:
            if loading.future.cancelled():
                self._late = [loading]

    def _timeout(self) -> ChannelError:
        return ChannelError(ChannelReason.TIMEOUT, f"Apprise took longer than {self._limit:g} s")


def _load(urls: Secret) -> list[Any]:
    """Raises ChannelError, which says which URL is wrong, but does not quote it."""
    try:
        import apprise
    except ImportError:
        raise ChannelError(ChannelReason.UNAVAILABLE, MISSING) from None
    asset = apprise.AppriseAsset(app_id="Claude Tracker", storage_mode="memory")
    lines = [line.strip() for line in urls.reveal().splitlines() if line.strip()]
    services = [apprise.Apprise(asset=asset) for _ in lines]
    for place, (service, line) in enumerate(zip(services, lines, strict=True), 1):
        if not service.add(line):
            unknown = f"URL {place} is not known to Apprise: correct it"
            raise ChannelError(ChannelReason.ERROR, unknown)
    if not services:
        raise ChannelError(ChannelReason.ERROR, "Apprise has no URL: write one a line")
    return services


def _notify(service: Any, message: Message) -> bool:
    kind = _TYPES[message.urgency]
    return bool(
        service.notify(title=message.title, body=message.body, notify_type=kind, body_format="text")
    )


def _is_taken(future: "asyncio.Future[bool]") -> bool:
    """Say whether the service took the alert; an exception counts as a refusal."""
    return not future.cancelled() and future.exception() is None and future.result()

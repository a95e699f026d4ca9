"""Keeps `/metrics` served: where its address cannot be had now, that is logged, and tried again until it can."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Final

from exporters.server import Site
from monitor.core.errors import TrackerError
from monitor.core.state import State
from monitor.settings import Address
from monitor.system.clock import Clock
from monitor.system.urls import is_loopback

RETRY_SECS: Final = 5.0

_log = logging.getLogger(__name__)


class MetricsServer:
    """One site at a time. `url` is where it is now, `failure` why it is not; both empty where none is wanted."""

    def __init__(
        self, state: Callable[[], State], clock: Clock, retry_secs: float = RETRY_SECS
    ) -> None:
        self._retry_secs = retry_secs
        self._state = state
        self._clock = clock
        self._address: Address | None = None
        self._passed: socket.socket | None = None
        self._moved = asyncio.Event()
        self.url = ""
        self.failure = ""

    def move_to(self, address: Address, passed: socket.socket | None = None) -> None:
        """Serve there from now on; on a socket that the service manager has `passed`, where there is one."""
        if address != self._address:
            self._address, self._passed = address, passed
            self._moved.set()

    async def check(self, address: Address) -> None:
        """Raise TrackerError where that is another address than now, and cannot be listened on.

        Of another host with the port that we have ourselves, nothing can be said before it is given up.
        """
        site = self._at(address)
        mine = self._address and self._address.port
        if address == self._address or self._passed or site is None or address.port == mine:
            return
        await site.start()
        await site.stop()

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            await self._moved.wait()
            self._moved.clear()
            self.url = self.failure = ""
            site = None if self._address is None else self._at(self._address, self._passed)
            if site is not None:
                try:
                    if await self._start(site):
                        await self._moved.wait()
                finally:
                    await site.stop()

    def _at(self, address: Address, passed: socket.socket | None = None) -> Site | None:
        if address.host is None or address.port is None:
            return None
        # The site closes its socket with itself; the one that was passed is for later sites, too.
        sock = passed.dup() if passed else None
        return Site(self._state, self._clock.now, address.host, address.port, sock=sock)

    async def _start(self, site: Site) -> bool:
        """Return whether the site is up; not so once another address is wanted."""
        while not self._moved.is_set():
            try:
                await site.start()
            except TrackerError as error:
                self._complain(str(error))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._moved.wait(), self._retry_secs)
            else:
                self.url, self.failure = f"{site.url}metrics", ""
                _log.info("metrics on %s", self.url)
                self._warn_of_others()
                return True
        return False

    def _warn_of_others(self) -> None:
        """The URL is what a browser on this machine needs, and does not show who else may come."""
        host = (
            self._passed.getsockname()[0] if self._passed else self._address and self._address.host
        )
        if host and not is_loopback(str(host)):
            _log.warning("other machines may read the metrics too: they are served on %s", host)

    def _complain(self, failure: str) -> None:
        if failure != self.failure:
            _log.warning("%s; tried again until it works", failure)
        self.failure = failure

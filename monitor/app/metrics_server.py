"""Keeps `/metrics` served: where its address cannot be had now, that is logged, and tried again until it can."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Final

from exporters.headers import address, is_loopback
from exporters.server import Site
from exporters.web_config import SiteConfig, refuse_plain
from monitor.core.errors import TrackerError
from monitor.core.state import State
from monitor.system.aio import first
from monitor.system.clock import Clock

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
        self._config: SiteConfig | None = None
        self._passed: socket.socket | None = None
        self._moved = asyncio.Event()
        self._site: Site | None = None
        self.url = ""
        self.failure = ""

    @property
    def refused_hosts(self) -> tuple[str, ...]:
        """Return the names that were asked for and are not allowed by the settings."""
        return self._site.refused_hosts if self._site else ()

    def move_to(self, config: SiteConfig | None, passed: socket.socket | None = None) -> None:
        """Serve like that from now on; on a socket that the service manager has `passed`, where there is one."""
        if config != self._config:
            self._config, self._passed = config, passed
            self._moved.set()

    async def check(self, config: SiteConfig | None) -> None:
        """Raise TrackerError where that is another address than now, and cannot be listened on.

        Of another host with the port that we have ourselves, nothing can be said before it is given up.
        """
        mine = self._config and self._config.port
        if config is None or self._passed or config.port == mine:
            return
        site = Site(self._state, self._clock.now, config)
        await site.start()
        await site.stop()

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            await self._moved.wait()
            self._moved.clear()
            self.url = self.failure = ""
            if self._config is None:
                continue
            # The site closes its socket with itself; the one that was passed is for later sites, too.
            sock = self._passed.dup() if self._passed else None
            site = self._site = Site(self._state, self._clock.now, self._config, sock)
            try:
                if await self._start(site):
                    await self._until_moved(site)
            finally:
                self._site = None
                await site.stop()

    async def _until_moved(self, site: Site) -> None:
        """Wait until another site is wanted. Raises what a bug of ours has ended this one with."""
        moved = asyncio.ensure_future(self._moved.wait())
        try:
            await first(moved, site.ended())
        finally:
            moved.cancel()

    async def _start(self, site: Site) -> bool:
        """Return whether the site is up; not so once another one is wanted."""
        while not self._moved.is_set():
            try:
                refuse_plain(site.config)  # a socket that was passed may be anywhere
                await site.start()
            except TrackerError as error:
                if str(error) != self.failure:
                    _log.warning("%s; tried again until it works", error)
                self.failure = str(error)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._moved.wait(), self._retry_secs)
            else:
                self.url, self.failure = site.metrics_url, ""
                _log.info("metrics on %s", self.url)
                config = site.config
                if config.web_config is None and not is_loopback(config.host):
                    where = address(config.host, site.port)  # which the URL for here does not show
                    _log.warning("other machines may read the metrics too: they are on %s", where)
                return True
        return False

"""The real site on a loop in a thread of its own, for tests that block while somebody else asks it."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from exporters.server import Site
from exporters.web_config import SiteConfig
from monitor.core.state import State

LOOPBACK = SiteConfig()


@contextmanager
def loop_in_thread() -> Iterator[Callable[[Coroutine[Any, Any, None]], None]]:
    """Yields a function that runs a coroutine on the loop and waits for its end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def served(
    state: Callable[[], State], now: Callable[[], datetime], config: SiteConfig = LOOPBACK
) -> Iterator[Site]:
    site = Site(state, now, config)
    with loop_in_thread() as run:
        run(site.start())
        try:
            yield site
        finally:
            run(site.stop())

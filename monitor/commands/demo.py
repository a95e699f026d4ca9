"""`--demo` of the commands that keep running: one process of its own, which no other one watches."""

import asyncio
import os
from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from exporters.server import Site
from exporters.web_config import SiteConfig
from monitor.app.app import App
from monitor.app.execute import execute
from monitor.app.wiring import build_demo
from monitor.core.errors import TrackerError
from monitor.notify.build import build_demo_channel_set
from monitor.notify.channel import ChannelSet
from monitor.notify.channels.terminal import Show
from monitor.settings import Address, parse_listen
from monitor.system import logs


@asynccontextmanager
async def open_demo(arguments: Namespace) -> AsyncIterator[tuple[App, str]]:
    """Yield the demo's program, and where its metrics are: on any free port if the usual one is taken.

    Raises TrackerError where they cannot be served on the address that was asked for.
    """
    address = parse_listen(arguments.listen) if arguments.listen else Address()
    async with build_demo() as app:
        if address.host is None or address.port is None:
            yield app, ""
            return
        config = SiteConfig(
            address.host,
            address.port,
            metrics_path=arguments.metrics_path,
            web_config=Path(arguments.web_config) if arguments.web_config else None,
        )
        site = Site(lambda: app.store.state, app.clock.now, config)
        try:
            await site.start()
        except TrackerError:
            if arguments.listen:
                raise
            site = Site(lambda: app.store.state, app.clock.now, replace(config, port=0))
            await site.start()
        try:
            yield app, site.metrics_url
        finally:
            await site.stop()


def demo_table(arguments: Namespace) -> int:
    """Show the table over the demo's accounts until the user quits."""
    with Path(os.devnull).open("w") as nowhere:
        logs.configure(arguments.log_level.upper(), stream=nowhere)
        return asyncio.run(_table(arguments))


async def _table(arguments: Namespace) -> int:
    from monitor.terminal.frame import Footer
    from monitor.terminal.program import Program
    from monitor.terminal.screen import Pane, Screen
    from monitor.terminal.tty import Tty, terminal_path

    async with open_demo(arguments) as (app, metrics):
        tty = await Tty.open(terminal_path())
        program = Program(
            app.store,
            app.clock,
            partial(execute, app),
            tty,
            lambda: Footer(metrics=metrics),
            Screen(pane=Pane.DETAIL, badge="DEMO"),
        )
        await app.run(program.run, channels_of(arguments, program.show))
    return 0


def channels_of(arguments: Namespace, show: Show | None = None) -> ChannelSet:
    return ChannelSet() if arguments.no_notify else build_demo_channel_set(show)

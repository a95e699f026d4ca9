"""`monitor status`: one table, or one JSON document, on standard output."""

import asyncio
import shutil
import sys
from argparse import Namespace

from exporters.json import render_json
from monitor import logs
from monitor.app import App
from monitor.commands.opening import opened
from monitor.terminal.plain import render_plain


def status(arguments: Namespace) -> int:
    """Poll every account once and print what is known of it."""
    logs.configure("ERROR")
    return asyncio.run(print_status(arguments, as_json=arguments.json))


async def print_status(arguments: Namespace, *, as_json: bool) -> int:
    """Poll once and print; returns the exit code."""
    async with opened(arguments) as app:
        await app.poll_once()
        sys.stdout.write(_rendered(app, as_json=as_json))
    return 0


def _rendered(app: App, *, as_json: bool) -> str:
    now = app.clock.now()
    if as_json:
        return f"{render_json(app.state(), now)}\n"
    return render_plain(app.state(), now, shutil.get_terminal_size((120, 40)).columns)

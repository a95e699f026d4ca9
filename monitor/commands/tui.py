"""`monitor tui`: the terminal table; also polls, serves `/metrics` and notifies."""

import asyncio
import os
import sys
from argparse import Namespace
from pathlib import Path

from monitor import logs
from monitor.app import App
from monitor.commands.mute import mute_words
from monitor.commands.opening import address_of, opened, telling_of
from monitor.commands.status import print_status
from monitor.core.events import Muted, RefreshRequested
from monitor.core.model import Secret
from monitor.settings import state_folder
from monitor.terminal.plain import interactive


def tui(arguments: Namespace) -> int:
    """Show the table until the user quits; where there is no terminal for it, print it once."""
    if not interactive(os.environ, sys.stdin.isatty(), sys.stdout.isatty()):
        logs.configure("ERROR")
        return asyncio.run(print_status(arguments, as_json=False))
    with Path(os.devnull).open("w") as nowhere:
        if arguments.demo:
            logs.configure(arguments.log_level.upper(), stream=nowhere)
        else:
            logs.configure(
                arguments.log_level.upper(), file=state_folder(os.environ) / "monitor.log"
            )
        return asyncio.run(_tui(arguments))


async def _tui(arguments: Namespace) -> int:
    # Only a system with such a terminal has what these import.
    from monitor.terminal.device import Device, terminal_path
    from monitor.terminal.program import Program

    opening = opened(arguments, alerts=not arguments.no_notify)
    async with opening as app, app.site(address_of(arguments)) as site:
        device = Device(terminal_path())
        footer = site.url + "metrics" if site is not None else ""
        program = Program(app.store, app.clock, Keys(app), device, footer)
        await app.run(program.run, telling_of(arguments, device.output.send))
    return 0


class Keys:
    """What the keys of the table have done."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._book = app.book

    def refresh(self, account: str | None) -> str:
        """Ask for new figures; says where the server wants us to wait instead."""
        now = self._app.clock.now()
        self._app.store.dispatch(RefreshRequested(now, account))
        accounts = self._app.state().accounts
        asked = [a for name, a in accounts.items() if account in (None, name)]
        waiting = [a for a in asked if a.next_poll_at > now]
        whom = "all accounts" if account is None else account
        if waiting and len(waiting) == len(asked):
            soonest = min(a.next_poll_at for a in waiting) - now
            return f"{whom}: next request in {int(soonest.total_seconds()) + 1}s"
        return f"refreshing {whom}"

    def mute(self) -> str:
        """Mute alerts for an hour, or end the mute; every running instance follows."""
        now = self._app.clock.now()
        until = self._app.mute.toggle(now)
        self._app.store.dispatch(Muted(now, until))
        return mute_words(until, now)

    async def import_logins(self) -> str:
        imported = await self._book.import_from(self._app.logins())
        news = [i.name for i in imported if i.is_new]
        return f"imported {', '.join(news)}" if news else f"{imported[0].name}: token renewed"

    async def add(self, name: str, session_key: Secret, org_id: str) -> str:
        return await self._book.add(name, session_key, org_id)

    async def edit(self, name: str, new_name: str, session_key: Secret | None, org_id: str) -> str:
        return await self._book.edit(name, new_name, session_key, org_id)

    async def remove(self, name: str) -> str:
        return await self._book.remove(name)

    async def use(self, name: str) -> str:
        return await self._book.use(name)

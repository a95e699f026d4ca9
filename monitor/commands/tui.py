"""`monitor tui`: the terminal table; polls, serves `/metrics` and notifies where no other process does.

Imports only what a table needs that watches: the process that polls brings the rest.
"""

import asyncio
import contextlib
import os
import sys
from argparse import Namespace
from functools import partial
from typing import TYPE_CHECKING, Final

from monitor.app.leadership import Election
from monitor.core.state import State
from monitor.paths import config_path, instance
from monitor.system.aio import Daemon, Observable
from monitor.system.clock import SystemClock
from monitor.system.stdio import can_move_cursor
from monitor.terminal.frame import Footer
from monitor.terminal.program import Program
from monitor.terminal.screen import Pane, Screen
from monitor.terminal.tty import Tty, terminal_path

if TYPE_CHECKING:  # it brings all that polls
    from monitor.app.leader import Leader

FIRST_STATE_SECS: Final = 1.0
"""Limit of the wait for a first state to draw."""


def tui(arguments: Namespace) -> int:
    """Show the table until the user quits; where there is no terminal for it, print it once."""
    if not (sys.stdin.isatty() and can_move_cursor()):
        from monitor.commands.queries import answer
        from monitor.fast_path import write

        return write(*answer(arguments))
    if arguments.demo:
        from monitor.system import logs

        with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - pathlib is not needed otherwise
            logs.configure(arguments.log_level.upper(), stream=nowhere)
            return asyncio.run(_demo(arguments))
    return asyncio.run(_table(arguments))


async def _demo(arguments: Namespace) -> int:
    """Show the table over the demo's accounts until the user quits."""
    from monitor.app.execute import execute
    from monitor.commands.serve import open_demo
    from monitor.notify.channel import ChannelSet
    from monitor.notify.channels import build_demo_channel_set

    async with open_demo(arguments) as (app, metrics):
        program = Program(
            app.store,
            app.clock,
            partial(execute, app),
            await Tty.open(terminal_path()),
            lambda: Footer(metrics=metrics),
            Screen(pane=Pane.DETAIL, badge="DEMO"),
        )
        channels = ChannelSet() if arguments.no_notify else build_demo_channel_set(program.show)
        await app.run(program.run, channels)
    return 0


async def _table(arguments: Namespace) -> int:
    idle, view = _idle_options(arguments), Observable(State())
    tty = await Tty.open(terminal_path())
    election = Election(
        *instance(os.environ, config_path(os.environ, arguments.config)),
        lambda path: _leader(arguments, view, path, program),
    )
    footer = partial(_footer, election, idle)
    program = Program(view, SystemClock(), election.execute, tty, footer)
    main_task = asyncio.ensure_future(_show(program, view))
    try:
        await election.lead_or_follow(main_task, view)
    finally:
        await tty.close(0)
    return 0


def _idle_options(arguments: Namespace) -> str:
    """Name the given options that have no effect while another process polls. Raises SettingsError."""
    if arguments.listen is not None:
        from monitor.settings import parse_listen

        parse_listen(arguments.listen)  # what is wrong with it is said now
    given = {"--listen": arguments.listen is not None, "--no-notify": arguments.no_notify}
    return " and ".join(option for option, is_given in given.items() if is_given)


def _footer(election: Election, idle: str) -> Footer:
    """Say where the figures come from, and which options have no effect until this process polls."""
    if election.leads and election.is_well:
        return Footer(metrics=election.status)
    if election.leads or not idle:
        return Footer(election.status, is_problem=not election.is_well)
    return Footer(f"{election.status}; {idle}: only in the polling process", is_problem=True)


async def _leader(
    arguments: Namespace, view: Observable[State], path: str, program: Program
) -> "Leader":
    """Make the leader that this process becomes, which writes a log. Raises TrackerError.

    While accounts are shown, a settings file that is gone is an error and not a first start.
    """
    from monitor.app.leader import Leader, read_config
    from monitor.commands.serve import cli_options
    from monitor.settings import state_db
    from monitor.system import logs

    file = state_db(os.environ).with_name("monitor.log")
    await Daemon(partial(logs.configure, arguments.log_level.upper(), file=file)).future
    options = cli_options(arguments, program.show)
    config = await read_config(options, must_exist=bool(view.state.accounts))
    return Leader(options, config, view, path)


async def _show(program: Program, view: Observable[State]) -> None:
    """Show the table, once there is a state to draw."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(view.wait_for_change(), FIRST_STATE_SECS)
    await program.run()

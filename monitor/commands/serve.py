"""`monitor serve`: polls, exports and notifies without a terminal; logs to standard error."""

import asyncio
import logging
from argparse import Namespace

from monitor import logs
from monitor.app import App
from monitor.commands.opening import address_of, opened, stop_signals, telling_of
from monitor.core.model import AccountState, Down, Unpolled

_log = logging.getLogger(__name__)


def serve(arguments: Namespace) -> int:
    """Run until a signal ends it."""
    logs.configure(arguments.log_level.upper())
    return asyncio.run(_serve(arguments))


async def _serve(arguments: Namespace) -> int:
    stopped = asyncio.Event()
    stop_signals(stopped)
    program = opened(arguments, alerts=not arguments.no_notify)
    async with program as app, app.site(address_of(arguments)) as site:
        _log.info("watching %d accounts", len(app.state().accounts))
        if site is not None:
            _log.info("metrics on %smetrics", site.url)

        async def front() -> None:
            journal = asyncio.create_task(_journal(app), name="journal")
            await stopped.wait()
            journal.cancel()

        await app.run(front, telling_of(arguments, None))
    _log.info("stopped")
    return 0


async def _journal(app: App) -> None:
    """Log each account's health as it changes."""
    logged: dict[str, str] = {}
    while True:
        for name, account in app.state().accounts.items():
            words = _health(account)
            if words and logged.get(name) != words:
                logged[name] = words
                _log.log(
                    logging.WARNING if account.failures_in_a_row else logging.INFO,
                    "%s: %s",
                    name,
                    words,
                )
        await app.store.changed()


def _health(account: AccountState) -> str:
    match account.health:
        case Unpolled():
            return ""
        case Down(_, reason, detail):
            return f"{reason}: {detail}"
    return "polled"

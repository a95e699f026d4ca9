"""What keys, `monitor` commands and viewers may have done, carried out by the process that polls."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from monitor.app.app import App
from monitor.core.errors import TrackerError
from monitor.core.events import Muted, RefreshRequested
from monitor.core.model import Secret
from monitor.storage.mute import mute_words


class Seat(Protocol):
    """Where the program that runs now is to be found: it is built anew when the settings are read anew."""

    def current_app(self) -> AbstractAsyncContextManager[App]:
        """The newest one, as soon as it is there; it stays for the time of the block."""

    async def reload(self) -> str:
        """Read the settings anew, whole or not at all. Raises TrackerError."""


class Alone:
    """The seat of a program that stays as it is: nobody else asks it for anything."""

    def __init__(self, app: App) -> None:
        self._app = app

    @asynccontextmanager
    async def current_app(self) -> AsyncIterator[App]:
        yield self._app

    async def reload(self) -> str:
        raise TrackerError("there is no running monitor that could read its settings anew")


class Controls:
    """Each answers with one line for the user, or raises TrackerError."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat

    async def refresh(self, account: str | None) -> str:
        """Ask for new figures; says where the server, or the budget of the hour, wants us to wait instead."""
        async with self._seat.current_app() as app:
            now = app.clock.now()
            app.store.dispatch(RefreshRequested(now, account))
            accounts = app.state().accounts
            asked = [a for name, a in accounts.items() if account in (None, name)]
            if account is not None and not asked:
                raise TrackerError(f"there is no account {account!r}: see `monitor accounts list`")
            waiting = [a for a in asked if a.next_poll_at > now]
            whom = "all accounts" if account is None else account
            if waiting and len(waiting) == len(asked):
                soonest = min(a.next_poll_at for a in waiting) - now
                return f"{whom}: next request in {int(soonest.total_seconds()) + 1}s"
            return f"refreshing {whom}"

    async def mute(self) -> str:
        """Mute alerts for an hour, or end the mute."""
        async with self._seat.current_app() as app:
            now = app.clock.now()
            until = app.mute.toggle(now)
            app.store.dispatch(Muted(now, until))
            return mute_words(until, now)

    async def import_logins(self) -> str:
        """Import every login that is found; the line says what matters of it."""
        async with self._seat.current_app() as app:
            return (await app.book.import_all(await app.logins())).or_raise().words

    async def import_from(self, where: str) -> str:
        """Import `all` logins that are found, that of the `default` place or of a folder; a line for each place."""
        async with self._seat.current_app() as app:
            match where:
                case "all":
                    imports = await app.book.import_all(await app.logins())
                case folder:
                    place = app.login_at("" if folder == "default" else folder)
                    imports = (await app.book.import_all([place])).or_raise()
            failures = [failure.words for failure in imports.failed]
            if not imports.imported:
                raise TrackerError("; ".join(["nothing was imported", *failures]))
            return "\n".join([*(one.words for one in imports.imported), *failures])

    async def add(self, name: str, session_key: Secret, org_id: str) -> str:
        async with self._seat.current_app() as app:
            return await app.book.add(name, session_key, org_id)

    async def edit(
        self,
        name: str,
        new_name: str,
        session_key: Secret | None,
        org_id: str,
        label: str | None = None,
    ) -> str:
        """None keeps the key or the label; an empty label removes it."""
        async with self._seat.current_app() as app:
            return await app.book.edit(name, new_name, session_key, org_id, label)

    async def remove(self, name: str) -> str:
        async with self._seat.current_app() as app:
            return await app.book.remove(name)

    async def use(self, name: str) -> str:
        async with self._seat.current_app() as app:
            return await app.book.use(name)

    async def ingest(self, document: Mapping[str, Any], config_dir: str | None) -> str:
        """Take over the figures that Claude Code has given its status line; returns the account's name."""
        async with self._seat.current_app() as app:
            return await app.figures.ingest(document, config_dir)

    async def reload(self) -> str:
        return await self._seat.reload()

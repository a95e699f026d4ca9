"""The controls of whoever polls now: this process, or the owner behind its socket."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from monitor.core.commands import (
    AddAccount,
    Command,
    EditAccount,
    ImportLogins,
    Refresh,
    RemoveAccount,
    ToggleMute,
    UseAccount,
)
from monitor.core.errors import TrackerError
from monitor.core.model import Secret


class Controls(Protocol):
    """Each answers with one line for the user, or raises TrackerError."""

    async def refresh(self, account: str | None) -> str: ...
    async def mute(self) -> str: ...
    async def import_logins(self) -> str: ...
    async def add(self, name: str, session_key: Secret, org_id: str) -> str: ...
    async def edit(
        self, name: str, new_name: str, session_key: Secret | None, org_id: str
    ) -> str: ...
    async def remove(self, name: str) -> str: ...
    async def use(self, name: str) -> str: ...


async def execute(controls: Controls, command: Command) -> str:
    """Carry out a command of the table. Raises TrackerError."""
    match command:
        case Refresh(account):
            return await controls.refresh(account)
        case ToggleMute():
            return await controls.mute()
        case ImportLogins():
            return await controls.import_logins()
        case AddAccount(name, session_key, org_id):
            return await controls.add(name, session_key, org_id)
        case EditAccount(name, new_name, org_id, new_key):
            return await controls.edit(name, new_name, new_key, org_id)
        case RemoveAccount(name):
            return await controls.remove(name)
        case UseAccount(name):
            return await controls.use(name)
    raise ValueError(f"no command of the table: {type(command).__name__}")


class Switch:
    """Hands each order on; between two owners there is nobody to carry one out."""

    def __init__(self) -> None:
        self._to: Controls | None = None

    @contextmanager
    def turned_to(self, controls: Controls) -> Iterator[None]:
        """Hand orders to these controls for the time of the block."""
        self._to = controls
        try:
            yield
        finally:
            self._to = None

    @property
    def _controls(self) -> Controls:
        if self._to is None:
            raise TrackerError("no monitor polls at this moment: try again in a second")
        return self._to

    async def refresh(self, account: str | None) -> str:
        return await self._controls.refresh(account)

    async def mute(self) -> str:
        return await self._controls.mute()

    async def import_logins(self) -> str:
        return await self._controls.import_logins()

    async def add(self, name: str, session_key: Secret, org_id: str) -> str:
        return await self._controls.add(name, session_key, org_id)

    async def edit(self, name: str, new_name: str, session_key: Secret | None, org_id: str) -> str:
        return await self._controls.edit(name, new_name, session_key, org_id)

    async def remove(self, name: str) -> str:
        return await self._controls.remove(name)

    async def use(self, name: str) -> str:
        return await self._controls.use(name)

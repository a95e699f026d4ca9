"""Orders go to whoever polls, and are refused in words while nobody does."""

import pytest

from monitor.core.errors import TrackerError
from monitor.core.model import Secret
from monitor.ipc.command_proxy import Switch


class Saying:
    """Says what it was asked for, and who it is."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def refresh(self, account: str | None) -> str:
        return f"{self._name}: refresh {account}"

    async def mute(self) -> str:
        return f"{self._name}: mute"

    async def import_logins(self) -> str:
        return f"{self._name}: import"

    async def add(self, name: str, session_key: Secret, org_id: str) -> str:
        return f"{self._name}: add {name} {session_key.reveal()} {org_id}"

    async def edit(self, name: str, new_name: str, session_key: Secret | None, org_id: str) -> str:
        return f"{self._name}: edit {name} {new_name} {session_key} {org_id}"

    async def remove(self, name: str) -> str:
        return f"{self._name}: remove {name}"

    async def use(self, name: str) -> str:
        return f"{self._name}: use {name}"


async def everything(switch: Switch) -> list[str]:
    return [
        await switch.refresh("a"),
        await switch.mute(),
        await switch.import_logins(),
        await switch.add("a", Secret("key"), "org"),
        await switch.edit("a", "b", None, "org"),
        await switch.remove("a"),
        await switch.use("a"),
    ]


async def test_each_order_reaches_the_controls_that_are_turned_to() -> None:
    switch = Switch()
    for name in ("first", "second"):
        with switch.turned_to(Saying(name)):
            assert await everything(switch) == [
                f"{name}: refresh a",
                f"{name}: mute",
                f"{name}: import",
                f"{name}: add a key org",
                f"{name}: edit a b None org",
                f"{name}: remove a",
                f"{name}: use a",
            ]


async def test_between_two_owners_an_order_is_refused_in_words() -> None:
    switch = Switch()
    with switch.turned_to(Saying("first")):
        pass
    with pytest.raises(TrackerError, match="no monitor polls at this moment"):
        await switch.refresh(None)

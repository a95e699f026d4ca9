"""Stands in the demo for the keyring, the settings file and Claude Code's logins, and keeps all in memory."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path

from monitor.core.alerts.rules import Override
from monitor.core.errors import SettingsError
from monitor.core.model import Account, Credential, Login, Secret
from monitor.demo.server import SimulatedAccount
from monitor.settings import Settings


@dataclass(slots=True)
class MemorySecretStore:
    """Credentials by account name, gone with the process."""

    kept: dict[str, Credential] = field(default_factory=dict)

    async def read(self, name: str) -> Credential | None:
        return self.kept.get(name)

    async def write(self, name: str, secret: Secret) -> None:
        self.kept[name] = Credential(secret)

    async def delete(self, name: str) -> None:
        self.kept.pop(name, None)


@dataclass(slots=True)
class MemoryAccounts:
    """The accounts of the settings, in memory."""

    listed: list[Account] = field(default_factory=list)
    active_index: int = 0

    def read(self) -> Settings:
        return Settings(Path("demo"), accounts=tuple(self.listed), active_account=self.active_index)

    def check(self, account: Account, instead_of: str | None = None) -> None:
        others = {other.name for other in self.listed} - {instead_of}
        if account.name in others:
            raise SettingsError(f"there is an account {account.name!r} already")

    def add_account(self, account: Account) -> None:
        self.check(account)
        self.listed.append(account)

    def replace_account(
        self, name: str, account: Account, override: Override | None = None
    ) -> None:
        """Replace the account; the demo has no alert rules of its own for one."""
        del override
        self.check(account, name)
        self.listed[self._place(name)] = account

    def remove_account(self, name: str) -> None:
        place = self._place(name)
        del self.listed[place]
        if place == self.active_index:
            self.active_index = 0
        elif place < self.active_index:
            self.active_index -= 1

    def set_active(self, name: str) -> None:
        self.active_index = self._place(name)

    def _place(self, name: str) -> int:
        for place, account in enumerate(self.listed):
            if account.name == name:
                return place
        raise SettingsError(f"there is no account {name!r}")


@dataclass(frozen=True, slots=True)
class SimulatedLogin:
    """A login of Claude Code that is always the same."""

    account: SimulatedAccount

    @property
    def key(self) -> str:
        return self.account.email

    @property
    def folder(self) -> str:
        """Invent one: `/home/you/.claude-work` for user@work.com."""
        local, _, domain = self.account.email.partition("@")
        names = (name for name in (local, domain.split(".")[0]) if name != "user")
        return f"/home/you/.claude-{'-'.join(names)}"

    @property
    def facts(self) -> None:
        """There is no `.claude.json`."""

    def peek(self) -> Hashable:
        return self.account.email

    async def stamp(self) -> Hashable:
        return self.account.email

    async def read(self) -> Login:
        return Login(Credential(Secret(min(self.account.tokens))))

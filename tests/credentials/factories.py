"""Account operations over fakes: a keyring, settings and a document in memory, logins and profiles to set."""

import asyncio
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from monitor.core.alerts.rules import Override
from monitor.core.errors import (
    ApiError,
    Cause,
    CredentialError,
    Failure,
    NotLoggedInError,
    Reason,
    SettingsError,
    Source,
)
from monitor.core.events import PolicyChanged
from monitor.core.model import Account, Credential, Identity, Login, Profile, Secret, Storage
from monitor.core.state import Policy, State
from monitor.credentials.account_cache import AccountCache
from monitor.credentials.accounts import AccountService, Imported
from monitor.credentials.claude_code import CachedUsage, ClaudeFacts, ClaudeJson, LoginSource
from monitor.credentials.owners import Owners
from monitor.credentials.programs import TokenCommand
from monitor.credentials.resolver import Resolver
from monitor.credentials.stores import CredentialsDirectory, SecretStore, SecretStores
from monitor.credentials.watcher import FRESHEN_SECS, LoginWatcher, Sources
from monitor.demo.memory import MemoryAccounts, MemorySecretStore
from monitor.settings import Settings
from monitor.store import Store
from tests.fakes import Entries, FakeClock


def profile(email: str, org: str = "org-1", account: str | None = None) -> Profile:
    return Profile(Identity(account or f"uuid-{email}", org), email, f"Name of {org}", "max_20x")


@dataclass
class FakeProfiles:
    """Whose token it is; a token that is not listed is refused."""

    by_token: dict[str, Profile] = field(default_factory=dict)
    error: ApiError | None = None
    asked: list[str] = field(default_factory=list)
    waiting: int = 0
    most_waiting: int = 0

    async def profile(self, token: Secret) -> Profile:
        self.asked.append(token.reveal())
        self.waiting += 1
        self.most_waiting = max(self.waiting, self.most_waiting)
        await asyncio.sleep(0)  # as any answer, it lets others run meanwhile
        self.waiting -= 1
        if self.error:
            raise self.error
        if token.reveal() not in self.by_token:
            raise ApiError(Failure(Reason.AUTH, detail="refused"))
        return self.by_token[token.reveal()]


@dataclass
class FakeFacts(ClaudeJson):
    """`.claude.json` of one folder: the login that it names, and the usage that it has kept."""

    identity: Identity | None = None
    email: str = ""
    organization_name: str = ""
    cached: CachedUsage | None = None
    reads: int = 0
    broken: bool = False

    def peek(self) -> Hashable:
        return self.identity, self.email, self.cached, self.broken

    async def read(self) -> ClaudeFacts:
        self.reads += 1
        if self.broken:
            raise CredentialError(Failure(Reason.CREDENTIALS, Cause.DAMAGED))
        return ClaudeFacts(self.identity, self.email, self.organization_name, self.cached)


@dataclass
class FakeLogin:
    """One folder of Claude Code; `token` None means that there is no login."""

    token: str | None = None
    folder: str | None = ""
    expires_at: datetime | None = None
    login_expires_at: datetime | None = None
    scopes: tuple[str, ...] = ()
    renewable: bool = True
    error: CredentialError | None = None
    facts: FakeFacts | None = field(default_factory=FakeFacts)
    item: str | None = None
    reads: int = 0
    touched: int = 0
    hangs: bool = False
    same_stamp: bool = False
    stamped: Hashable = None

    @property
    def key(self) -> str:
        return self.item or self.folder or "default"

    def peek(self) -> None:
        """It is no file."""

    async def stamp(self) -> Hashable:
        if self.hangs:
            await asyncio.Event().wait()
        if not self.same_stamp:
            self.stamped = self.token, self.touched
        return self.stamped

    async def read(self) -> Login:
        self.reads += 1
        if self.error is not None:
            raise self.error
        if self.token is None:
            raise NotLoggedInError(Failure(Reason.CREDENTIALS, Cause.ABSENT, Source.KEYCHAIN))
        credential = Credential(Secret(self.token), expires_at=self.expires_at)
        return Login(credential, self.login_expires_at, self.scopes, renewable=self.renewable)

    def renews(self, token: str, expires_at: datetime | None = None) -> None:
        """What Claude Code does when it is used."""
        self.token, self.expires_at = token, expires_at

    def log_out(self) -> None:
        """`/logout` in Claude Code."""
        self.token = None

    def touch(self) -> None:
        """The place looks changed, whatever it holds."""
        self.touched += 1


@dataclass
class FakeGiven(CredentialsDirectory):
    """What systemd has handed over."""

    by_name: dict[str, Credential] = field(default_factory=dict)

    async def read(self, name: str, label: str | None = None) -> Credential | None:
        return self.by_name.get(name) or self.by_name.get(label or "")


@dataclass
class FakeCommand(TokenCommand):
    """A program that prints tokens, one after the other as they are rejected."""

    argv: tuple[str, ...]
    tokens: list[str]
    dead: Credential | None = None

    async def read(self, rejected: Credential | None = None) -> Credential:
        if self.dead is not None:
            return self.dead
        if rejected is not None and rejected.secret == Secret(self.tokens[0]):
            self.tokens.pop(0)
        return Credential(Secret(self.tokens[0]))


@dataclass(slots=True)
class LockableStore(MemorySecretStore):
    """A keyring that can be locked, for all names or for writing one."""

    locked: bool = False
    absent: bool = False
    refuses: set[str] = field(default_factory=set)
    cause: Cause | None = None
    asked: int = 0

    async def read(self, name: str) -> Credential | None:
        self._check(name)
        return await MemorySecretStore.read(self, name)

    async def write(self, name: str, secret: Secret) -> None:
        self._check(name)
        await MemorySecretStore.write(self, name, secret)

    async def delete(self, name: str) -> None:
        self._check(name)
        await MemorySecretStore.delete(self, name)

    def _check(self, name: str) -> None:
        self.asked += 1
        if self.absent:
            raise CredentialError(Failure(Reason.CREDENTIALS, Cause.NO_KEYRING))
        if self.cause is not None:
            raise CredentialError(Failure(Reason.CREDENTIALS, self.cause))
        if self.locked or name in self.refuses:
            raise CredentialError(Failure(Reason.CREDENTIALS, Cause.LOCKED))


@dataclass(slots=True)
class FragileAccounts(MemoryAccounts):
    """Settings that cannot be written while `broken`, nor read while `unreadable`; the names `taken` are refused."""

    broken: bool = False
    unreadable: bool = False
    taken: set[str] = field(default_factory=set)

    def check(self, account: Account, instead_of: str | None = None) -> None:
        if account.name in self.taken:
            raise SettingsError("a channel uses that entry of the keyring already")
        MemoryAccounts.check(self, account, instead_of)

    def read(self) -> Settings:
        if self.unreadable:
            raise SettingsError("line 1: a table's name needs a ]")
        return MemoryAccounts.read(self)

    def add_account(self, account: Account) -> None:
        self._check()
        MemoryAccounts.add_account(self, account)

    def replace_account(
        self, name: str, account: Account, override: Override | None = None
    ) -> None:
        self._check()
        MemoryAccounts.replace_account(self, name, account, override)

    def remove_account(self, name: str) -> None:
        self._check()
        MemoryAccounts.remove_account(self, name)

    def _check(self) -> None:
        if self.broken:
            raise SettingsError("the disk is full")


class AccountsRig:
    """Everything that account operations touch."""

    def __init__(self, *accounts: Account, keyring: SecretStore | None = None) -> None:
        self.clock = FakeClock()
        self.store = Store(State())
        self.keyring = LockableStore()
        self.used_keyring: SecretStore = keyring or self.keyring
        self.file = FragileAccounts(list(accounts))
        self.entries = Entries()
        self.profiles = FakeProfiles()
        self.logins: list[FakeLogin] = [FakeLogin()]
        self.given = FakeGiven()
        self.commands: dict[tuple[str, ...], FakeCommand] = {}
        self.default: Storage | None = None
        self.freshen_secs = FRESHEN_SECS
        self.start()

    def start(self, sources: Sources | None = None) -> None:
        """Build everything anew over the same keyring, settings and document, as a restart does.

        Claude Code's places are the rig's own `logins`, or those of `sources`.
        """
        self.learnt = AccountCache(self.entries, self.entries.save)
        self.stores = SecretStores(
            self.used_keyring,
            self.learnt,
            self.given,
            lambda argv: self.commands[argv],
            self.default,
        )
        self.owners = Owners(self.profiles, self.learnt, self.stores, self.store, self.clock)
        self.resolver = Resolver(self.stores, self.owners, self.store, self.clock)
        self.registry = self.resolver.registry
        self.book = AccountService(
            self.file, self.owners, self.resolver, self.stores, self.store, self.clock
        )
        self.watcher = self.credentials = LoginWatcher(
            sources or self.sources,
            self.owners,
            self.resolver,
            self.store,
            self.clock,
            self.freshen_secs,
        )
        self.book.load(self.file.read())

    async def sources(self, _: Sequence[str]) -> Sequence[LoginSource]:
        return list(self.logins)

    def account(self, name: str) -> Account:
        return self.owners.account(name)

    async def import_from(self, sources: Sequence[LoginSource]) -> list[Imported]:
        """What was imported. Raises the first failure, where nothing could be imported."""
        return list((await self.book.import_all(sources)).or_raise().imported)

    def prefers(self, storage: Storage | None) -> None:
        """`storage` in the settings, for all accounts that say nothing."""
        self.default = storage
        self.stores.default = storage

    def forbid_api(self) -> None:
        """`api.enabled = false` in the settings."""
        self.store.dispatch(PolicyChanged(self.clock.now(), Policy(polls=False)))

    def restart(self) -> None:
        """As another process begins: with a state of its own."""
        self.store = Store(State())
        self.start()

    def knows(self, token: str, email: str, org: str = "org-1", account: str | None = None) -> None:
        self.profiles.by_token[token] = profile(email, org, account)

    def secret_of(self, name: str) -> str | None:
        kept = self.keyring.kept.get(name)
        return kept.secret.reveal() if kept else None

    @property
    def names(self) -> list[str]:
        return [account.name for account in self.file.listed]

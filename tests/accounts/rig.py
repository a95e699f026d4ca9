"""Account operations over fakes: a vault, settings and a document in memory, logins and profiles to set."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime

from monitor.accounts.book import AccountBook
from monitor.accounts.credentials import Credentials
from monitor.accounts.learnt import Learnt
from monitor.accounts.logins import LoginWatcher
from monitor.core.errors import ApiError, CredentialError, NotLoggedInError, Reason, SettingsError
from monitor.core.model import Account, Credential, Identity, Login, Profile, Secret
from monitor.core.state import State
from monitor.demo.places import MemoryAccounts, MemoryDocument, MemoryVault
from monitor.store import Store
from tests.fakes import FakeClock


def profile(email: str, org: str = "org-1", account: str | None = None) -> Profile:
    return Profile(Identity(account or f"uuid-{email}", org), email, f"Name of {org}", "max_20x")


@dataclass
class FakeProfiles:
    """Whose token it is; a token that is not listed is refused."""

    by_token: dict[str, Profile] = field(default_factory=dict)
    error: ApiError | None = None
    asked: list[str] = field(default_factory=list)

    async def profile(self, token: Secret) -> Profile:
        self.asked.append(token.reveal())
        if self.error:
            raise self.error
        if token.reveal() not in self.by_token:
            raise ApiError(Reason.AUTH, "refused")
        return self.by_token[token.reveal()]


@dataclass
class FakeLogin:
    """One folder of Claude Code; `token` None means that nobody is logged in there."""

    token: str | None = None
    folder: str | None = None
    expires_at: datetime | None = None
    login_expires_at: datetime | None = None
    reads: int = 0

    async def stamp(self) -> Hashable:
        return self.token

    async def read(self) -> Login:
        self.reads += 1
        if self.token is None:
            raise NotLoggedInError("not logged in")
        credential = Credential(Secret(self.token), expires_at=self.expires_at)
        return Login(credential, self.login_expires_at)


@dataclass(slots=True)
class FragileVault(MemoryVault):
    """A vault that can be locked, for all names or for writing one."""

    locked: bool = False
    refuses: set[str] = field(default_factory=set)

    async def read(self, name: str) -> Credential | None:
        self._check(name)
        return await MemoryVault.read(self, name)

    async def write(self, name: str, secret: Secret) -> None:
        self._check(name)
        await MemoryVault.write(self, name, secret)

    async def delete(self, name: str) -> None:
        self._check(name)
        await MemoryVault.delete(self, name)

    def _check(self, name: str) -> None:
        if self.locked or name in self.refuses:
            raise CredentialError("the keyring is locked")


@dataclass(slots=True)
class FragileAccounts(MemoryAccounts):
    """Settings that cannot be written while `broken`."""

    broken: bool = False

    def add_account(self, account: Account) -> None:
        self._check()
        MemoryAccounts.add_account(self, account)

    def replace_account(self, name: str, account: Account) -> None:
        self._check()
        MemoryAccounts.replace_account(self, name, account)

    def remove_account(self, name: str) -> None:
        self._check()
        MemoryAccounts.remove_account(self, name)

    def _check(self) -> None:
        if self.broken:
            raise SettingsError("the disk is full")


class Rig:
    """Everything that account operations touch."""

    def __init__(self, *accounts: Account) -> None:
        self.clock = FakeClock()
        self.store = Store(State())
        self.vault = FragileVault()
        self.file = FragileAccounts(list(accounts))
        self.document = MemoryDocument()
        self.profiles = FakeProfiles()
        self.logins: list[FakeLogin] = [FakeLogin()]
        self.start()

    def start(self) -> None:
        """Build everything anew over the same vault, settings and document, as a restart does."""
        self.learnt = Learnt(self.document)
        self.credentials = Credentials(self.vault, self.learnt, self.store, self.clock)
        self.book = AccountBook(
            file=self.file,
            credentials=self.credentials,
            learnt=self.learnt,
            api=self.profiles,
            store=self.store,
            clock=self.clock,
        )
        self.watcher = LoginWatcher(
            sources=lambda: self.logins,
            credentials=self.credentials,
            book=self.book,
            api=self.profiles,
            store=self.store,
            clock=self.clock,
        )
        self.book.load()

    def knows(self, token: str, email: str, org: str = "org-1", account: str | None = None) -> None:
        self.profiles.by_token[token] = profile(email, org, account)

    def secret_of(self, name: str) -> str | None:
        kept = self.vault.kept.get(name)
        return kept.secret.reveal() if kept else None

    @property
    def names(self) -> list[str]:
        return [account.name for account in self.file.listed]

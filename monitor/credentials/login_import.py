"""Takes Claude Code's logins over as accounts, and says what each place has brought, or why it brought nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from monitor.core.errors import (
    Cause,
    CredentialError,
    Failure,
    NotLoggedInError,
    Reason,
    Source,
    TrackerError,
)
from monitor.core.model import Account, Login, Profile, Storage
from monitor.credentials.account_cache import AccountCache
from monitor.credentials.account_repository import AccountRepository
from monitor.credentials.login_registry import LoginRegistry
from monitor.credentials.ports import LoginSource, folder_of
from monitor.credentials.profiles import Profiles
from monitor.credentials.resolver import Resolver
from monitor.system.clock import Clock


@dataclass(frozen=True, slots=True)
class Imported:
    """What one place has brought: the account's name, and whether it is a new row, or at least a new token."""

    name: str
    is_new: bool
    is_renewed: bool = False
    storage: Storage | None = None
    place: str = ""

    @property
    def words(self) -> str:
        """One line for the user."""
        if self.is_new:
            linked = ", read live from Claude Code" if self.storage is Storage.LINKED else ""
            return f"{self.name}: imported{linked}"
        return f"{self.name}: token renewed" if self.is_renewed else f"{self.name}: known already"


@dataclass(frozen=True, slots=True)
class NotImported:
    """Why one place has brought nothing."""

    place: str
    error: TrackerError

    @property
    def is_empty(self) -> bool:
        """Whether nobody is logged in there, which is no failure."""
        return isinstance(self.error, NotLoggedInError)

    @property
    def words(self) -> str:
        """One line for the user."""
        why = "not logged in" if self.is_empty else str(self.error)
        return f"{self.place}: {why}"


@dataclass(frozen=True, slots=True)
class Imports:
    """What all places have brought, in their order."""

    imported: tuple[Imported, ...] = ()
    failed: tuple[NotImported, ...] = ()

    @property
    def words(self) -> str:
        """One line for the user, of what matters in it."""
        news = [i.name for i in self.imported if i.is_new]
        renewed = [i.name for i in self.imported if i.is_renewed and not i.is_new]
        parts = [f"imported {', '.join(news)}"] if news else []
        parts += [f"token renewed: {', '.join(renewed)}"] if renewed else []
        parts += [failure.words for failure in self.failed if not failure.is_empty]
        return "; ".join(parts) or "nothing new: every login that was found is known already"

    def or_raise(self) -> "Imports":
        """Itself, unless it brought nothing at all: then the first failure is raised."""
        if self.failed and not self.imported:
            raise min(self.failed, key=lambda failure: failure.is_empty).error
        return self


def place_words(source: LoginSource) -> str:
    """What a place is called: its folder, or the Keychain item whose folder nobody knows."""
    folder = folder_of(source)
    if folder is None:
        return source.key
    return folder or "~/.claude"


def expired(source: LoginSource) -> Failure:
    """The login there cannot be asked whose it is."""
    return Failure(Reason.AUTH, Cause.EXPIRED, Source.LOGIN, folder=folder_of(source))


class Importing:
    """Imports whole logins."""

    def __init__(
        self,
        register: AccountRepository,
        credentials: Resolver,
        offers: LoginRegistry,
        learnt: AccountCache,
        profiles: Profiles,
        clock: Clock,
        *,
        asks: bool = True,
    ) -> None:
        self._register = register
        self._credentials = credentials
        self._offers = offers
        self._learnt = learnt
        self._profiles = profiles
        self._clock = clock
        self._asks = asks

    async def import_all(self, sources: Sequence[LoginSource]) -> Imports:
        """Import the login of each source; what failed is told beside what was imported."""
        imported, failed = [], []
        for source in sources:
            try:
                imported.append(await self._import(source))
            except TrackerError as error:
                failed.append(NotImported(place_words(source), error))
        return Imports(tuple(imported), tuple(failed))

    async def _import(self, source: LoginSource) -> Imported:
        login = await source.read()
        if not self._asks:
            return await self._import_noted(source, login)
        if login.credential.is_dead(self._clock.now()):
            raise CredentialError(expired(source))
        profile = await self._profiles.of_login(login, source)
        known = await self._register.account_of(profile, folder_of(source))
        if known is None:
            return await self._import_new(source, login, profile)
        return await self._import_known(known, source, login, profile)

    async def _import_noted(self, source: LoginSource, login: Login) -> Imported:
        """Where nothing is sent, any token will do and none is kept: `.claude.json` says whose login it is."""
        of_any_scope = Login(login.credential)
        profile = await self._profiles.of_login(of_any_scope, source)
        known = await self._register.account_of(profile, folder_of(source))
        account = known or self._register.new_account(profile)
        self._take_over(account.name, source, login, profile)
        if known is None:
            self._register.add(account)
        return Imported(account.name, is_new=known is None, place=place_words(source))

    async def _import_new(self, source: LoginSource, login: Login, profile: Profile) -> Imported:
        account = self._register.new_account(profile)
        self._register.check(account)
        async with self._credentials.kept_for(account, login.credential) as storage:
            if storage is Storage.LINKED:
                account = replace(account, storage=storage, config_dir=source.folder)
            self._take_over(account.name, source, login, profile)
            self._register.add(account)
        return Imported(
            account.name, is_new=True, is_renewed=True, storage=storage, place=place_words(source)
        )

    async def _import_known(
        self, account: Account, source: LoginSource, login: Login, profile: Profile
    ) -> Imported:
        """A token that ends sooner than that of another place of the account does not replace that one."""
        before = self._learnt[account.name].token_digest
        self._offers.assign(source, login, account.name)
        best = self._offers.login_of(account.name, self._clock.now()) or login
        storage = await self._credentials.keep(account, best.credential)
        self._take_over(account.name, source, login, profile)
        return Imported(
            account.name,
            is_new=False,
            is_renewed=before != self._learnt[account.name].token_digest,
            storage=storage,
            place=place_words(source),
        )

    def _take_over(self, name: str, source: LoginSource, login: Login, profile: Profile) -> None:
        """The login is the account's, whose best one is in use from now on."""
        self._offers.assign(source, login, name)
        best = self._offers.login_of(name, self._clock.now()) or login
        self._register.identify(name, profile, login)
        self._register.tell(name)
        self._credentials.in_use(name, best.credential)

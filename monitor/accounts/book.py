"""What the keys `i a e d s` and `monitor accounts` do. Nothing is lost half-way: what is new is written first,
what is old deleted last, and a failure in between is undone or named.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from monitor.accounts.credentials import Credentials
from monitor.accounts.learnt import Learnt
from monitor.accounts.seams import AccountsFile, LoginSource, ProfileSource
from monitor.clock import Clock
from monitor.core.errors import ApiError, CredentialError, TrackerError
from monitor.core.events import AccountIdentified, AccountsLoaded, CredentialSeen
from monitor.core.model import Account, AuthMethod, Credential, Login, Profile, Secret
from monitor.store import Store


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import brought: the account's name, and whether it is a new row."""

    name: str
    is_new: bool


class AccountBook:
    """The accounts: settings, credentials and what was learnt of them, kept in step."""

    def __init__(
        self,
        *,
        file: AccountsFile,
        credentials: Credentials,
        learnt: Learnt,
        api: ProfileSource,
        store: Store,
        clock: Clock,
    ) -> None:
        self._file = file
        self._credentials = credentials
        self._learnt = learnt
        self._api = api
        self._store = store
        self._clock = clock

    def load(self, renamed: tuple[str, str] | None = None) -> None:
        """Bring the settings' accounts, and what was learnt of them, into the state."""
        now = self._clock.now()
        listing = self._file.read()
        names = dict([renamed]) if renamed else {}
        self._store.dispatch(AccountsLoaded(now, listing.accounts, listing.active_account, names))
        for account in listing.accounts:
            self._tell(account.name)

    async def import_from(self, sources: Sequence[LoginSource]) -> list[Imported]:
        """Import the login of each source. Raises the first failure, where nothing could be imported."""
        imported, failures = [], []
        for source in sources:
            try:
                imported.append(await self._import(source))
            except (ApiError, CredentialError) as error:
                failures.append(error)
        if failures and not imported:
            raise failures[0]
        return imported

    async def _import(self, source: LoginSource) -> Imported:
        login = await source.read()
        profile = await self._api.profile(login.credential.secret)
        known = await self.account_of(profile)
        account = known or self._new_account(profile)
        await self.take_over(account.name, login, profile, source.folder)
        if known is None:
            await self._add(account)
        return Imported(account.name, is_new=known is None)

    async def take_over(
        self, name: str, login: Login, profile: Profile, folder: str | None
    ) -> None:
        """Make Claude Code's token the one in use for the account."""
        await self._credentials.keep(name, login.credential)
        self._learnt[name] = self._learnt[name].of_profile(profile)
        self.note_login(name, login, folder, renewed=True)

    def note_login(
        self, name: str, login: Login, folder: str | None, *, renewed: bool = False
    ) -> None:
        """Remember what Claude Code says of the token that is in use for the account."""
        facts = self._learnt[name].of_token(login.credential, login.login_expires_at, folder or "")
        self._learnt[name] = replace(facts, plan=facts.plan or login.plan)
        self._tell(name, renewed=renewed)

    def _tell(self, name: str, *, renewed: bool = False) -> None:
        """Bring what was learnt of the account into the state."""
        now, facts = self._clock.now(), self._learnt[name]
        self._store.dispatch(AccountIdentified(now, name, facts.identity, facts.plan))
        self._store.dispatch(
            CredentialSeen(
                now, name, facts.token_expires_at, facts.login_expires_at, renewed=renewed
            )
        )

    async def account_of(self, profile: Profile) -> Account | None:
        """The account that the profile speaks of: by its identity, or for one never identified, by asking."""
        accounts = [a for a in self._file.read().accounts if a.auth_method is AuthMethod.OAUTH]
        for account in accounts:
            if self._learnt[account.name].identity == profile.identity:
                return account
        for account in accounts:
            if await self._is_unidentified_twin(account, profile):
                return account
        return None

    async def _is_unidentified_twin(self, account: Account, profile: Profile) -> bool:
        """Whether an account from an older settings file, of which only the organization is known, is meant."""
        if self._learnt[account.name].identity is not None:
            return False
        if account.org_id not in ("", profile.identity.org_uuid):
            return False
        if account.name == profile.email:
            return True
        stored = await self._credentials.held(account)
        if stored is None:
            return False
        with suppress(ApiError):
            return (await self._api.profile(stored.secret)).identity == profile.identity
        return False

    def _new_account(self, profile: Profile) -> Account:
        taken = {account.name for account in self._file.read().accounts}
        organization = profile.organization_name or profile.identity.org_uuid[:8]
        wanted = [profile.email, f"{profile.email} ({organization})"]
        wanted += [f"{profile.email} ({organization} {n})" for n in range(2, len(taken) + 3)]
        name = next(name for name in wanted if name not in taken)
        return Account(name, profile.identity.org_uuid, AuthMethod.OAUTH)

    async def _add(self, account: Account) -> None:
        try:
            self._file.add_account(account)
        except TrackerError:
            await self._credentials.drop(account.name)
            self._learnt.forget(account.name)
            raise
        self.load()

    async def add(self, name: str, session_key: Secret, org_id: str) -> str:
        """Add an account that is read with a claude.ai session key."""
        self._check_is_free(name)
        _check_filled(name=name, session_key=session_key.reveal(), org_id=org_id)
        await self._credentials.keep(name, Credential(session_key, AuthMethod.SESSION_KEY))
        await self._add(Account(name, org_id, AuthMethod.SESSION_KEY))
        return f"{name} added"

    async def edit(self, name: str, new_name: str, session_key: Secret | None, org_id: str) -> str:
        """Rename an account, and change its session key and organization; None keeps the key."""
        account = self.account(name)
        _check_filled(name=new_name)
        if new_name != name:
            self._check_is_free(new_name)
        credential = await self._edited_credential(account, new_name, session_key)
        if credential is not None:
            await self._credentials.keep(new_name, credential)
        method = AuthMethod.SESSION_KEY if session_key else account.auth_method
        edited = replace(account, name=new_name, org_id=org_id, auth_method=method)
        try:
            self._file.replace_account(name, edited)
        except TrackerError:
            if new_name != name and credential is not None:
                await self._credentials.drop(new_name)
            raise
        await self._after_edit(name, new_name, has_new_key=session_key is not None)
        return f"{new_name} saved"

    async def _edited_credential(
        self, account: Account, new_name: str, session_key: Secret | None
    ) -> Credential | None:
        """What is to be written under the new name; None where nothing is."""
        if session_key:
            return Credential(session_key, AuthMethod.SESSION_KEY)
        return await self._credentials.held(account) if new_name != account.name else None

    async def _after_edit(self, name: str, new_name: str, *, has_new_key: bool) -> None:
        if new_name != name:
            self._learnt.rename(name, new_name)
            self.load(renamed=(name, new_name))
            await self._credentials.drop(name)
        else:
            self.load()
        if has_new_key:
            self._store.dispatch(CredentialSeen(self._clock.now(), new_name, None, renewed=True))

    async def remove(self, name: str) -> str:
        """Remove an account, its entry in the keyring last."""
        self.account(name)
        self._file.remove_account(name)
        self._learnt.forget(name)
        self.load()
        await self._credentials.drop(name)
        return f"{name} removed"

    async def use(self, name: str) -> str:
        """Mark an account as the active one."""
        self.account(name)
        self._file.set_active(name)
        self.load()
        return f"{name} is the active account"

    def account(self, name: str) -> Account:
        """The account of that name. Raises TrackerError where there is none."""
        found = next((a for a in self._file.read().accounts if a.name == name), None)
        if found is None:
            raise TrackerError(f"there is no account {name!r}: see `monitor accounts list`")
        return found

    def _check_is_free(self, name: str) -> None:
        if any(account.name == name for account in self._file.read().accounts):
            raise TrackerError(f"there is an account {name!r} already: choose another name")


def _check_filled(**fields: str) -> None:
    for field, value in fields.items():
        if not value.strip():
            raise TrackerError(f"the {field.replace('_', ' ')} is empty: nothing was changed")

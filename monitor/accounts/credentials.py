"""The credentials in use: read from the vault once, then kept in memory, and never sent once they are known dead."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from monitor.accounts.learnt import Learnt
from monitor.accounts.seams import Vault
from monitor.clock import Clock
from monitor.core.errors import CredentialError, Reason
from monitor.core.events import CredentialSeen
from monitor.core.model import Account, AuthMethod, Credential, Secret
from monitor.store import Store


class Credentials:
    """One credential for each account name; the poller's source of them."""

    def __init__(self, vault: Vault, learnt: Learnt, store: Store, clock: Clock) -> None:
        self._vault = vault
        self._learnt = learnt
        self._store = store
        self._clock = clock
        self._cache: dict[str, Credential] = {}

    async def credential(self, account: Account, rejected: Credential | None = None) -> Credential:
        """The account's credential. Raises CredentialError where there is none, or only a dead one."""
        if rejected is not None and self._cache.get(account.name) == rejected:
            del self._cache[account.name]
        credential = await self.held(account)
        if credential is None:
            raise CredentialError(_NOTHING_STORED[account.auth_method])
        if credential.is_dead(self._clock.now()):
            raise CredentialError(self._expired(account), reason=Reason.AUTH)
        return credential

    async def warm(self, accounts: Iterable[Account]) -> None:
        """Have every stored credential at hand. Raises CredentialError where the vault does not answer."""
        for account in accounts:
            await self.held(account)

    async def keep(self, name: str, credential: Credential) -> None:
        """Write a new credential to the vault, and use it from now on."""
        await self._vault.write(name, credential.secret)
        self._cache[name] = credential

    async def drop(self, name: str) -> None:
        """Delete what is kept for a name, in the vault too."""
        self._cache.pop(name, None)
        await self._vault.delete(name)

    def owner_of(self, secret: Secret) -> str | None:
        """The account that this token is in use for."""
        return next((name for name, c in self._cache.items() if c.secret == secret), None)

    async def held(self, account: Account) -> Credential | None:
        """What is kept for an account, dead or not; None where there is nothing."""
        if account.name in self._cache:
            return self._cache[account.name]
        stored = await self._vault.read(account.name)
        if stored is None:
            return None
        expires_at = self._learnt[account.name].expiry_of(stored)
        credential = Credential(stored.secret, account.auth_method, expires_at)
        self._cache[account.name] = credential
        if stored.expires_at is not None:
            self._learnt[account.name] = self._learnt[account.name].of_expiry(stored)
        self._seen(account.name, expires_at)
        return credential

    def _seen(self, name: str, expires_at: datetime | None) -> None:
        login_expires_at = self._learnt[name].login_expires_at
        self._store.dispatch(CredentialSeen(self._clock.now(), name, expires_at, login_expires_at))

    def _expired(self, account: Account) -> str:
        folder = self._learnt[account.name].folder
        command = f"CLAUDE_CONFIG_DIR={folder} claude" if folder else "claude"
        return f"the token has expired: run `{command}` once, and the new one is taken over"


_NOTHING_STORED: Final = {
    AuthMethod.OAUTH: "no token in the keyring: press i to import the account",
    AuthMethod.SESSION_KEY: "no session key in the keyring: press e to enter it",
}

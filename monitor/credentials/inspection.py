"""Which source each account's token comes from, or the cause that forbids it: for the doctor, which changes nothing.

The registry, watcher and resolver of the running program do the work, over a state of their own. Nobody is asked
whose a token is: that is what was learnt before, else what Claude Code notes beside the login.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monitor.core.errors import ApiError, Failure, Reason
from monitor.core.events import AccountsLoaded
from monitor.core.model import Account, Credential, Profile, Secret, Storage
from monitor.core.state import State
from monitor.credentials.account_cache import AccountCache
from monitor.credentials.accounts import Accounts, Profiles
from monitor.credentials.interfaces import GivenCredentials, LoginSource, SecretStore, TokenSource
from monitor.credentials.registry import LoginRegistry
from monitor.credentials.resolver import Resolver, TokenStatus
from monitor.credentials.stores import SecretStores
from monitor.credentials.watcher import LoginWatcher
from monitor.store import Store
from monitor.system.clock import Clock


@dataclass(frozen=True, slots=True)
class _ReadOnly:
    """A keyring that is read, and never written."""

    keyring: SecretStore

    async def read(self, name: str) -> Credential | None:
        return await self.keyring.read(name)

    async def write(self, name: str, secret: Secret) -> None:
        """Nothing is written."""

    async def delete(self, name: str) -> None:
        """Nothing is deleted."""


class _NobodyToAsk:
    async def profile(self, token: Secret) -> Profile:
        _ = token
        raise ApiError(Failure(Reason.SCHEMA, detail="the API was not asked"))


async def inspect_tokens(
    accounts: Sequence[Account],
    facts: Mapping[str, Any],
    sources: Sequence[LoginSource],
    clock: Clock,
    *,
    keyring: SecretStore,
    given: GivenCredentials | None = None,
    command: Callable[[tuple[str, ...]], TokenSource] | None = None,
    default: Storage | None = None,
) -> dict[str, TokenStatus]:
    """By account's name. Reads each place and storage once: keyrings and programs may take some seconds.

    `facts` are the saved entries of the account cache, `sources` are Claude Code's places, the one in use first; the
    rest is as for `SecretStores`.
    """
    cache, store = AccountCache(facts), Store(State())
    cache.recognise(accounts)
    store.dispatch(AccountsLoaded(clock.now(), tuple(accounts), 0))
    registry = LoginRegistry(cache)
    stores = SecretStores(_ReadOnly(keyring), cache, given, command, default)
    profiles = Profiles(_NobodyToAsk(), cache)
    resolver = Resolver(stores, registry, cache, profiles, store, clock)

    async def places() -> Sequence[LoginSource]:
        return sources

    known = Accounts(store, cache, stores, profiles, clock)
    await LoginWatcher(places, known, registry, resolver, store, clock).look()
    return {account.name: await resolver.inspect(account) for account in accounts}

"""Whose the tokens are that the user hands over: nobody but the API can tell, and it is asked once for each."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from monitor.core.errors import ApiError, Cause, CredentialError, Failure, Reason
from monitor.core.events import AccountIdentified
from monitor.core.model import LOGIN_REASONS, Account, Credential, Profile
from monitor.credentials.account_cache import AccountCache, digest
from monitor.credentials.profiles import Profiles
from monitor.store import Store
from monitor.system.clock import Clock

ASK_AGAIN: Final = timedelta(minutes=5)


class OwnerVerifier:
    """Sees to it that no account is polled with the token of another one."""

    def __init__(
        self, profiles: Profiles, learnt: AccountCache, store: Store, clock: Clock
    ) -> None:
        self._profiles = profiles
        self._learnt = learnt
        self._store = store
        self._clock = clock
        self._ask_again: dict[str, datetime] = {}

    async def checked(self, account: Account, credential: Credential) -> Credential:
        """The credential, unproven where nobody can be asked. Raises CredentialError for another account's."""
        facts, key = self._learnt[account.name], digest(credential.secret)
        if facts.identity is not None and facts.token_digest == key:
            return credential
        if self._clock.now() < self._ask_again.get(key, self._clock.now()):
            return _unproven(account, credential)
        try:
            profile = await self._profiles.of_token(credential.secret)
        except ApiError as error:
            if error.reason in LOGIN_REASONS:
                return credential  # the poll is answered the same, and says what helps
            self._ask_again[key] = self._clock.now() + ASK_AGAIN
            return _unproven(account, credential)
        self._learn(account, credential, profile)
        return credential

    def _learn(self, account: Account, credential: Credential, profile: Profile) -> None:
        facts = self._learnt[account.name]
        if facts.identity not in (None, profile.identity) or account.org_id not in (
            "",
            profile.identity.org_uuid,
        ):
            failure = Failure(Reason.CREDENTIALS, Cause.WRONG_ACCOUNT, name=account.name)
            raise CredentialError(replace(failure, owner=profile.email))
        facts = facts.of_profile(profile).of_expiry(credential)
        self._learnt[account.name] = facts
        event = AccountIdentified(self._clock.now(), account.name, facts.identity, facts.plan)
        self._store.dispatch(event)


def _unproven(account: Account, credential: Credential) -> Credential:
    """The answer has to name the account's organization, where that is known."""
    return replace(credential, proven=not account.org_id)

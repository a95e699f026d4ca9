"""Whose token it is: asked once for each token, and then remembered."""

from monitor.core.errors import Cause, CredentialError, Failure, Reason, Source
from monitor.core.model import Login, Profile, Secret
from monitor.credentials.account_cache import AccountCache
from monitor.credentials.ports import ClaudeFacts, FactsSource, LoginSource, ProfileSource


class Profiles:
    """Asks the API; where there is none (`api` is None), believes what Claude Code notes beside the login."""

    def __init__(self, api: ProfileSource | None, learnt: AccountCache) -> None:
        self._api = api
        self._learnt = learnt

    async def of_login(self, login: Login, source: LoginSource) -> Profile:
        """Whose login it is. Raises ApiError, or CredentialError where it cannot be found out."""
        if login.is_setup_token:
            raise CredentialError(Failure(Reason.SCOPE, Cause.NO_SCOPE))
        if self._api is None:
            return await _believed(source.facts)
        return await self.of_token(login.credential.secret)

    async def of_token(self, secret: Secret) -> Profile:
        """Whose token it is. Raises ApiError, or CredentialError where there is no API to ask."""
        known = self._learnt.profile_of(secret)
        if known is not None:
            return known
        if self._api is None:
            raise CredentialError(Failure(Reason.CREDENTIALS, Cause.NOT_ASKED))
        profile = await self._api.profile(secret)
        self._learnt.remember(secret, profile)
        return profile


async def _believed(facts: FactsSource | None) -> Profile:
    profile = profile_in(await facts.read()) if facts is not None else None
    if profile is None:
        raise CredentialError(Failure(Reason.CREDENTIALS, Cause.NOT_ASKED, Source.CLAUDE_JSON))
    return profile


def profile_in(facts: ClaudeFacts) -> Profile | None:
    """The login that `.claude.json` names, where it does so in full."""
    identity = facts.identity
    if identity is None or not (identity.account_uuid and identity.org_uuid and facts.email):
        return None
    return Profile(identity, facts.email, facts.organization_name)

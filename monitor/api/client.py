"""Asks Anthropic: one GET for each call, with one time limit. Whatever fails becomes an `ApiError`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self
from urllib.parse import quote

from monitor.api import wire
from monitor.core.errors import ApiError, Cause, Failure, Reason
from monitor.core.model import Account, AuthMethod, Credential, Profile, Secret, Usage
from monitor.system.clock import ServerClock
from monitor.system.web import BlockedError, HttpAnswer, ask, session_of

MOST_BYTES: Final = 1 << 20
OAUTH_BETA: Final = "oauth-2025-04-20"
ORGANIZATION_HEADER: Final = "anthropic-organization-id"


@dataclass(frozen=True, slots=True)
class ApiHosts:
    """The URLs of the two hosts, without a slash at the end, and how they are asked. The limit is for each request."""

    url: str
    web_url: str
    timeout_secs: float
    user_agent: str


class Client:
    """Asks its two hosts, and no other. An async context manager.

    The `clock` is compared with the `Date` of each answer.
    """

    def __init__(self, hosts: ApiHosts, clock: ServerClock) -> None:
        self._hosts = hosts
        self._clock = clock

    async def __aenter__(self) -> Self:
        self._session = await session_of(self._hosts.user_agent)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    def reload(self, hosts: ApiHosts) -> None:
        """Ask these hosts from now on; requests under way go on."""
        self._hosts = hosts

    async def usage(self, account: Account, credential: Credential) -> Usage:
        """Ask for the account's usage now. Raises ApiError.

        Usage of another organization, or that may be of another one, is never taken for this account's.
        """
        if credential.auth_method is AuthMethod.OAUTH:
            url, headers = f"{self._hosts.url}/api/oauth/usage", _oauth(credential.secret)
        else:
            organization = quote(account.org_id, safe="")
            url = f"{self._hosts.web_url}/api/organizations/{organization}/usage"
            headers = {"Cookie": f"sessionKey={credential.secret.reveal()}"}
        answer = await self._ask(url, headers, credential.auth_method)
        told = answer.headers.get(ORGANIZATION_HEADER)
        if not (told or credential.proven):
            raise ApiError(Failure(Reason.CREDENTIALS, Cause.NO_ORGANIZATION))
        if told and account.org_id and told != account.org_id:
            raise ApiError(Failure(Reason.CREDENTIALS, Cause.WRONG_ORGANIZATION))
        return wire.parse_usage(answer.body, self._clock.server_now())

    async def profile(self, token: Secret) -> Profile:
        """Ask whose token it is. Raises ApiError."""
        url = f"{self._hosts.url}/api/oauth/profile"
        return wire.parse_profile((await self._ask(url, _oauth(token), AuthMethod.OAUTH)).body)

    async def _ask(
        self, url: str, headers: Mapping[str, str], auth_method: AuthMethod
    ) -> HttpAnswer:
        sent, agent = self._clock.machine.now(), self._hosts.user_agent
        headers = {"Accept": "application/json", "User-Agent": agent, **headers}
        limit = self._hosts.timeout_secs
        try:
            answer = await ask(self._session, url, headers, most=MOST_BYTES, limit_secs=limit)
        except BlockedError as blocked:
            raise ApiError(blocked.failure) from None
        if len(answer.body) > MOST_BYTES:
            words = f"the answer is larger than {MOST_BYTES >> 20} MiB"
            raise ApiError(Failure(Reason.SCHEMA, detail=words))
        told = wire.parse_http_date(answer.headers.get("Date", ""))
        # A page is a proxy's, and so is its clock.
        if told is not None and wire.is_json(answer.body):
            self._clock.compare(told, sent)
        if answer.status != 200:
            now = self._clock.server_now()
            raise wire.refusal(answer.status, answer.headers, answer.body, now, auth_method)
        return answer


def _oauth(token: Secret) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token.reveal()}", "anthropic-beta": OAUTH_BETA}


HELLO_BYTES: Final = 1 << 16

HELLO: Final = "/api/hello"
"""Claude Code itself asks for it to see whether it is connected: a word of JSON, without any login."""


@dataclass(frozen=True, slots=True)
class Reached:
    """An answer, whatever it says. `date` is the server's own, to the second; None where it gives none.

    `is_page` says that it is made for a browser: HTML.
    """

    status: int
    date: datetime | None
    is_challenge: bool
    is_page: bool = False

    @property
    def is_alien(self) -> bool:
        """Say whether it is not the API's answer but a network's login page: the API has no pages and no redirects."""
        return 300 <= self.status < 400 or (self.is_page and self.status < 500)


async def reach(url: str, timeout_secs: float, user_agent: str) -> Reached | Failure:
    """Ask the host of this URL without a login. Returns a Failure where it cannot be reached."""
    try:
        async with await session_of(user_agent, timeout_secs) as session:
            answer = await ask(session, f"{url}{HELLO}", {}, most=HELLO_BYTES)
    except BlockedError as blocked:
        return blocked.failure
    date = wire.parse_http_date(answer.headers.get("Date", ""))
    now = date or datetime.now(UTC)
    refusal = wire.refusal(answer.status, answer.headers, answer.body, now)
    is_page = wire.is_page(answer.headers, answer.body)
    return Reached(answer.status, date, refusal.reason is Reason.CHALLENGE, is_page)

"""The aiohttp adapter: one GET for each call, one time limit, no redirects, no cookies kept, no retries."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

import aiohttp

from monitor.api import wire
from monitor.core.errors import ApiError, Reason
from monitor.core.model import Account, AuthMethod, Credential, Profile, Secret, Usage
from monitor.urls import proxy_of

MOST_BYTES: Final = 1 << 20
OAUTH_BETA: Final = "oauth-2025-04-20"
ORGANIZATION_HEADER: Final = "anthropic-organization-id"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """Speaks to the two hosts of the settings, and to no other. An async context manager."""

    def __init__(
        self,
        *,
        url: str,
        web_url: str,
        timeout_secs: float,
        user_agent: str,
        now: Callable[[], datetime],
    ) -> None:
        self._url = url.rstrip("/")
        self._web_url = web_url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=timeout_secs)
        self._user_agent = user_agent
        self._now = now
        self._session: aiohttp.ClientSession  # from __aenter__ on

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            # Polls are minutes apart and machines sleep: a kept connection would be a dead one.
            connector=aiohttp.TCPConnector(force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeout,
            headers={"User-Agent": self._user_agent, "Accept": "application/json"},
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def usage(self, account: Account, credential: Credential) -> Usage:
        """The account's usage now. Raises ApiError."""
        url, headers = self._usage_request(account, credential)
        answer = await self._ask(url, headers, credential.auth_method)
        _check_organization(answer, account, credential)
        return wire.parse_usage(answer.body, self._now())

    async def profile(self, token: Secret) -> Profile:
        """Whose token it is. Raises ApiError."""
        url = f"{self._url}/api/oauth/profile"
        return wire.parse_profile((await self._ask(url, _oauth(token), AuthMethod.OAUTH)).body)

    def _usage_request(
        self, account: Account, credential: Credential
    ) -> tuple[str, Mapping[str, str]]:
        if credential.auth_method is AuthMethod.OAUTH:
            return f"{self._url}/api/oauth/usage", _oauth(credential.secret)
        organization = quote(account.org_id, safe="")
        url = f"{self._web_url}/api/organizations/{organization}/usage"
        return url, {"Cookie": f"sessionKey={credential.secret.reveal()}"}

    async def _ask(self, url: str, headers: Mapping[str, str], auth_method: AuthMethod) -> Answer:
        answer = await self._fetch(url, headers)
        if answer.status != 200:
            raise wire.refusal(answer.status, answer.headers, answer.body, self._now(), auth_method)
        return answer

    async def _fetch(self, url: str, headers: Mapping[str, str]) -> Answer:
        """The exceptions of aiohttp end here; `from None`, since their texts may quote a request."""
        try:
            async with self._session.get(
                url, headers=headers, proxy=proxy_of(url), allow_redirects=False
            ) as response:
                body = await _read(response)
                return Answer(response.status, response.headers, body)
        except TimeoutError:
            raise ApiError(Reason.TIMEOUT, f"no answer within {self._timeout.total:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _failure(error) from None


def _oauth(token: Secret) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token.reveal()}", "anthropic-beta": OAUTH_BETA}


def _check_organization(answer: Answer, account: Account, credential: Credential) -> None:
    """Usage of another organization is never booked on this account, nor usage that may be of another one."""
    organization = answer.headers.get(ORGANIZATION_HEADER)
    if not (organization or credential.proven):
        raise ApiError(Reason.CREDENTIALS, "the answer does not say whose usage it is")
    if organization and account.org_id and organization != account.org_id:
        raise ApiError(
            Reason.CREDENTIALS,
            "the stored login belongs to another organization: import the account again",
        )


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > MOST_BYTES:
            response.close()
            raise ApiError(Reason.SCHEMA, f"the answer is larger than {MOST_BYTES >> 20} MiB")
    return bytes(body)


def _failure(error: Exception) -> ApiError:
    """A failure of the connection, in words that hold nothing of the request."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return ApiError(Reason.CONNECTION, f"no network: {error.host} cannot be found")
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return ApiError(Reason.CONNECTION, "no trusted TLS connection: a proxy in between?")
        case aiohttp.ClientConnectorError():
            return ApiError(Reason.CONNECTION, f"{error.host} cannot be reached")
        case aiohttp.ClientHttpProxyError():
            return ApiError(Reason.CONNECTION, "the proxy does not let us through")
        case aiohttp.ClientPayloadError():
            return ApiError(Reason.CONNECTION, "the answer was cut off")
        case aiohttp.ClientResponseError():
            return ApiError(Reason.SERVER, "the answer is not proper HTTP")
        case asyncio.IncompleteReadError() | aiohttp.ClientError() | OSError():
            return ApiError(Reason.CONNECTION, "the connection was lost")
    return ApiError(Reason.CONNECTION, "the request could not be sent")

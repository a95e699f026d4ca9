"""The aiohttp adapter of the channels: one POST that arrived, or a ChannelError. No redirects, no cookies, no netrc.

What may have arrived is not sent again: a second try follows only where no connection was made, or where the
receiver said that it took nothing (429, 5xx). Neither the address nor the token is ever quoted, but for the host.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp

from monitor.channels.refusal import SecretRefusedError
from monitor.core.errors import SettingsError
from monitor.core.http_times import parse_retry_after
from monitor.core.model import Secret
from monitor.core.notify import ChannelError
from monitor.urls import is_loopback, proxy_of, split_url

LIMIT_SECS: Final = 5.0
PAUSE_SECS: Final = 0.5
TRIES: Final = 2


@dataclass(frozen=True, slots=True)
class Refusal:
    """A try that failed. `wait` is how many seconds later another one may follow; None is never."""

    error: ChannelError
    wait: float | None = None


class Receiver:
    """One address to POST to, https or on this machine, with an optional bearer token. Raises SettingsError.

    `limit` is for all tries together, `pause` between them where the receiver asks for nothing else; in seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Secret | None = None,
        limit: float = LIMIT_SECS,
        pause: float = PAUSE_SECS,
    ) -> None:
        self._url = url
        self._host = checked_host(url)
        self._token = token
        self._limit = limit
        self._pause = pause

    async def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Returns once a 2xx came back. Raises ChannelError."""
        try:
            async with asyncio.timeout(self._limit) as limit:
                await self._tries(body, {**headers, **self._authorization()}, limit.when())
        except TimeoutError:
            words = f"{self._host} did not answer within {self._limit:g} s"
            raise ChannelError("timeout", words) from None

    def _authorization(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self._token.reveal()}"} if self._token else {}

    async def _tries(self, body: bytes, headers: Mapping[str, str], deadline: float | None) -> None:
        for tries_left in reversed(range(TRIES)):
            refusal = await self._attempt(body, headers)
            if refusal is None:
                return
            if not tries_left or refusal.wait is None or _is_past(deadline, refusal.wait):
                raise refusal.error
            await asyncio.sleep(refusal.wait)

    async def _attempt(self, body: bytes, headers: Mapping[str, str]) -> Refusal | None:
        """The exceptions of aiohttp end here; their texts may quote a request."""
        try:
            async with (
                _session() as session,
                session.post(
                    self._url,
                    data=body,
                    headers=headers,
                    proxy=proxy_of(self._url),
                    allow_redirects=False,
                ) as response,
            ):
                return self._judged(response.status, response.headers)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return self._broken(error)

    def _judged(self, status: int, headers: Mapping[str, str]) -> Refusal | None:
        words = f"{self._host} answered HTTP {status}"
        if 200 <= status < 300:
            return None
        if status == 429 or status >= 500:
            asked = parse_retry_after(headers)
            wait = self._pause if asked is None else asked.total_seconds()
            return Refusal(ChannelError("error", words), wait)
        if 300 <= status < 400:
            words += ", a redirection: set the address that it leads to"
        if status in (401, 403):
            return Refusal(SecretRefusedError(f"{words}: check the token"))
        return Refusal(ChannelError("error", words))

    def _broken(self, error: Exception) -> Refusal:
        """A failure of the connection; what was never connected may be tried again."""
        host = self._host
        match error:
            case aiohttp.ClientSSLError() | ssl.SSLError():
                return Refusal(_unavailable(f"{host} has no certificate that is trusted here"))
            case aiohttp.ClientConnectorDNSError():
                return Refusal(_unavailable(f"{host} cannot be found"), self._pause)
            case aiohttp.ClientConnectorError():
                return Refusal(_unavailable(f"{host} cannot be reached"), self._pause)
            case aiohttp.ClientHttpProxyError():
                return Refusal(_unavailable(f"the proxy does not let us through to {host}"))
            case aiohttp.ClientResponseError():
                return Refusal(ChannelError("error", f"what {host} answered is not proper HTTP"))
            case aiohttp.ClientError() | OSError():
                return Refusal(_unavailable(f"the connection to {host} was lost"))
        return Refusal(ChannelError("error", "the request cannot be made: check address and token"))


def _session() -> aiohttp.ClientSession:
    """A new one for each try: alerts are rare, and after a suspend a kept connection would be a dead one."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        headers={"User-Agent": "claude-tracker"},
    )


def _unavailable(words: str) -> ChannelError:
    return ChannelError("unavailable", words)


def _is_past(deadline: float | None, wait: float) -> bool:
    return deadline is not None and asyncio.get_running_loop().time() + wait >= deadline


def checked_host(url: str) -> str:
    """The host of an address that alerts and tokens may be sent to. Raises SettingsError, without quoting it."""
    parts = split_url(url)
    if parts is None or not parts.hostname or parts.scheme not in ("http", "https"):
        raise SettingsError("the address of a channel is no URL: write one such as https://…")
    host = parts.hostname
    if parts.username is not None or parts.password is not None:
        raise SettingsError(f"the address at {host} has a user in it: set a token instead")
    if parts.scheme == "http" and not is_loopback(host):
        raise SettingsError(f"{host} is another machine: use https (http only on this one)")
    return host

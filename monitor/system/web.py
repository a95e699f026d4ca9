"""The one home of aiohttp's client: one request, and one answer or an obstacle. No redirects, cookies, netrc, retries.

The exceptions of aiohttp end here; their texts may quote a request, and so a token.
"""

import errno
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import aiohttp

from monitor.system.urls import proxy_of, split_url

_PIECE: Final = 1 << 16


class Obstacle(StrEnum):
    """What is in the way to a host."""

    DNS = "dns"
    REFUSED = "refused"
    NO_ROUTE = "no_route"
    CERTIFICATE = "certificate"
    TLS = "tls"
    PROXY = "proxy"
    TIMEOUT = "timeout"
    NOT_HTTP = "not_http"
    CUT = "cut"
    UNSENT = "unsent"


NEVER_CONNECTED: Final = {Obstacle.DNS, Obstacle.REFUSED, Obstacle.NO_ROUTE, Obstacle.PROXY}
"""With one of these in the way, the host has seen nothing of the request."""


class BlockedError(Exception):
    """No whole answer came. `host` is what could not be reached: the URL's, or that of a proxy."""

    def __init__(self, obstacle: Obstacle, host: str) -> None:
        super().__init__(str(obstacle))
        self.obstacle = obstacle
        self.host = host


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. A `body` of more bytes than were asked for is not whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def session_of(user_agent: str, timeout_secs: float | None = None) -> aiohttp.ClientSession:
    """A session that keeps nothing; the limit is for each request, None for one whose caller has a limit of its own.

    Requests are minutes apart and machines sleep: a kept connection would be a dead one.
    """
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=timeout_secs),
        headers={"User-Agent": user_agent},
    )
    # A GET whose connection is lost would be sent once more, uncounted; there is no public way to say no.
    session._retry_connection = False
    return session


async def ask(
    session: aiohttp.ClientSession,
    url: str,
    headers: Mapping[str, str],
    *,
    post: bytes | None = None,
    most: int = 0,
    limit_secs: float | None = None,
) -> Answer:
    """GET, or POST this. The body is read until there are more than `most` bytes; 0 reads none. Raises BlockedError.

    A limit of None is the session's own.
    """
    timeout = session.timeout if limit_secs is None else aiohttp.ClientTimeout(total=limit_secs)
    try:
        async with session.request(
            "GET" if post is None else "POST",
            url,
            headers=headers,
            data=post,
            proxy=proxy_of(url),
            timeout=timeout,
            allow_redirects=False,
        ) as response:
            body = await _body(response, most) if most else b""
            return Answer(response.status, response.headers, body)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise BlockedError(obstacle(error), _host(error, url)) from None


async def _body(response: aiohttp.ClientResponse, most: int) -> bytes:
    body = bytearray()
    async for piece in response.content.iter_chunked(_PIECE):
        body += piece
        if len(body) > most:
            response.close()
            break
    return bytes(body)


def obstacle(error: Exception) -> Obstacle:
    """The order matters: the classes of aiohttp are subclasses of one another."""
    match error:
        case TimeoutError():
            return Obstacle.TIMEOUT
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return Obstacle.PROXY
        case aiohttp.ClientConnectorDNSError():
            return Obstacle.DNS
        case aiohttp.ClientConnectorCertificateError() | ssl.SSLCertVerificationError():
            return Obstacle.CERTIFICATE
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return Obstacle.TLS
        case aiohttp.ClientConnectorError() if _is_refused(error.os_error):
            return Obstacle.REFUSED
        case aiohttp.ClientConnectorError():
            return Obstacle.NO_ROUTE
        case aiohttp.ClientResponseError():
            return Obstacle.NOT_HTTP
        case aiohttp.InvalidURL():
            return Obstacle.UNSENT
        case aiohttp.ClientError() | OSError():
            return Obstacle.CUT
    return Obstacle.UNSENT


def _is_refused(error: OSError) -> bool:
    """Where a name has several addresses, one error may stand for all of them, and has no number."""
    return isinstance(error, ConnectionRefusedError) or f"[Errno {errno.ECONNREFUSED}]" in str(
        error
    )


def _host(error: Exception, url: str) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.host
    parts = split_url(url)
    return (parts.hostname if parts else None) or "the host"

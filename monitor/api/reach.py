"""Whether the API can be reached, and what time it is there: one GET that carries no token and asks for nothing."""

import errno
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import aiohttp

from monitor.api import wire
from monitor.core.errors import Reason
from monitor.core.http_times import parse_http_date
from monitor.urls import proxy_of

MOST_BYTES: Final = 1 << 16


class Obstacle(StrEnum):
    """What is in the way to the API."""

    DNS = "dns"
    REFUSED = "refused"
    NO_ROUTE = "no_route"
    CERTIFICATE = "certificate"
    TLS = "tls"
    PROXY = "proxy"
    TIMEOUT = "timeout"
    NOT_HTTP = "not_http"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Reached:
    """An answer, whatever it says. `date` is the server's own, to the second; None where it gives none."""

    status: int
    date: datetime | None
    is_challenge: bool


async def reach(url: str, timeout_secs: float, user_agent: str) -> Reached | Obstacle:
    """Ask the host of this URL. Never raises for what a network can do."""
    timeout = aiohttp.ClientTimeout(total=timeout_secs)
    connector = aiohttp.TCPConnector(force_close=True)
    jar = aiohttp.DummyCookieJar()
    try:
        async with (
            aiohttp.ClientSession(connector=connector, cookie_jar=jar, timeout=timeout) as session,
            session.get(
                f"{url}/",
                headers={"User-Agent": user_agent},
                proxy=proxy_of(url),
                allow_redirects=False,
            ) as response,
        ):
            body = await response.content.read(MOST_BYTES)
            return _reached(response.status, response.headers, body)
    except TimeoutError:
        return Obstacle.TIMEOUT
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return _obstacle(error)


def _reached(status: int, headers: Mapping[str, str], body: bytes) -> Reached:
    date = parse_http_date(headers.get("Date", ""))
    refusal = wire.refusal(status, headers, body, date or datetime.now(UTC))
    return Reached(status, date, refusal.reason is Reason.CHALLENGE)


def _obstacle(error: Exception) -> Obstacle:
    """The order matters: the classes of aiohttp are subclasses of one another."""
    match error:
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
    return Obstacle.CUT


def _is_refused(error: OSError) -> bool:
    """Where a name has several addresses, one error may stand for all of them, and has no number."""
    return isinstance(error, ConnectionRefusedError) or f"[Errno {errno.ECONNREFUSED}]" in str(
        error
    )

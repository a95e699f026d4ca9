"""One HTTP request, and its answer or why there is none. No redirects, cookies, netrc or retries.

Exceptions of aiohttp do not pass: their texts may quote a request, and so a token.
"""

import errno
import os
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from monitor.core.errors import Cause, Failure, Reason
from monitor.core.sanitize import one_line
from monitor.system.aio import Daemon
from monitor.system.files import read_regular
from monitor.system.urls import split_url

_PIECE: Final = 1 << 16

CA_FILES: Final = ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")
"""Variables that name certificates to trust, instead of the system's or besides them; Claude Code uses the second."""

MOST_CA_BYTES: Final = 8 << 20


class BlockedError(Exception):
    """No whole answer came. `failure` says why; its `name` is the host that is at fault, the URL's or a proxy's."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure.cause))
        self.failure = failure


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One answer. A `body` longer than was asked for is not whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def session_of(user_agent: str, timeout_secs: float | None = None) -> aiohttp.ClientSession:
    """Make a session that keeps no connection; the limit is for each request, None where its caller has a limit.

    Requests are minutes apart and machines sleep: a connection that was kept would be dead.
    """
    trust = partial(_trust, *map(os.environ.get, (*CA_FILES, "SSL_CERT_DIR")))
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            force_close=True,
            ssl=await Daemon(trust).future,
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=timeout_secs),
        headers={"User-Agent": user_agent},
    )
    # aiohttp would send a GET again whose connection is lost, uncounted; no public option prevents that.
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
) -> HttpAnswer:
    """GET, or POST this. Reads the body until there are more than `most` bytes; 0 reads none. Raises BlockedError.

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
            body = bytearray()
            if most:
                async for piece in response.content.iter_chunked(_PIECE):
                    body += piece
                    if len(body) > most:
                        response.close()
                        break
            return HttpAnswer(response.status, response.headers, bytes(body))
    except (aiohttp.ClientError, OSError, ValueError) as error:
        failure = partial(failure_of, error, url, timeout.total)
        raise BlockedError(await Daemon(failure).future) from None


def failure_of(error: Exception, url: str, limit_secs: float | None = None) -> Failure:
    """Say what an error of a request means; blocks. The order matters: classes of aiohttp are subclasses of others."""
    parts = split_url(url)
    host = (parts.hostname if parts else None) or "the host"
    proxy = urlsplit(proxy_of(url) or "").hostname or ""
    cause, detail = Cause.UNSENT, ""
    match error:
        case TimeoutError():
            limit = f" within {limit_secs:g} s" if limit_secs else ""
            return Failure(Reason.TIMEOUT, Cause.LATE, name=host, detail=limit)
        case aiohttp.ClientHttpProxyError(status=407):
            return Failure(Reason.BLOCKED, Cause.PROXY_LOGIN, name=proxy)
        case aiohttp.ClientHttpProxyError(status=status):
            reason = Reason.BLOCKED if status < 500 else Reason.CONNECTION
            return Failure(reason, Cause.PROXY_REFUSED, name=host, detail=f"HTTP {status}")
        case aiohttp.ClientProxyConnectionError():
            cause = Cause.PROXY_DOWN
        case aiohttp.ClientConnectorDNSError():
            cause = Cause.PROXY_DOWN if error.host == proxy else Cause.NO_HOST
        case aiohttp.ClientConnectorCertificateError():
            cause, detail = Cause.UNTRUSTED, _distrust(error.certificate_error)
        case ssl.SSLCertVerificationError():
            cause, detail = Cause.UNTRUSTED, _distrust(error)
        case aiohttp.ClientSSLError() | ssl.SSLError():
            cause = Cause.NO_TLS
        case aiohttp.ClientConnectorError():
            # Where a name has several addresses, one error may stand for all of them, and has no number.
            refusal, os_error = f"[Errno {errno.ECONNREFUSED}]", error.os_error
            is_refused = isinstance(os_error, ConnectionRefusedError) or refusal in str(os_error)
            detail = ", the connection is refused" if is_refused else ""
            cause = Cause.UNREACHED
        case aiohttp.ClientResponseError():
            return Failure(Reason.SERVER, Cause.NOT_HTTP, name=host)
        case aiohttp.InvalidURL():
            pass
        case aiohttp.ClientError() | OSError():
            cause = Cause.CUT
    name = proxy if cause is Cause.PROXY_DOWN else host
    return Failure(Reason.CONNECTION, cause, name=name, detail=detail)


def _distrust(error: Exception) -> str:
    """Say why a certificate is not trusted: a wrong variable, else the reason of OpenSSL."""
    return (
        trust_problem() or one_line(getattr(error, "verify_message", ""), 120) or "unknown issuer"
    )


def proxy_of(url: str) -> str | None:
    """Return the proxy that the environment (or the system) names for this URL; None for plain http.

    aiohttp's own `trust_env` would also send logins from ~/.netrc. Raises BlockedError where what is named is no proxy
    that can be used.
    """
    parts = urlsplit(url) if split_url(url) else None
    if parts is None or parts.scheme != "https" or not parts.hostname:
        return None
    if urllib.request.proxy_bypass(f"{parts.hostname}:{parts.port or 443}"):
        return None
    proxies = urllib.request.getproxies()
    named = proxies.get("https") or proxies.get("all") or ""
    if not named:
        return None
    proxy = split_url(named if "://" in named else f"http://{named}")
    if proxy is not None and proxy.scheme.startswith("socks"):
        raise BlockedError(Failure(Reason.CONNECTION, Cause.SOCKS, name=parts.hostname))
    if proxy is None or not proxy.hostname or proxy.scheme not in ("http", "https"):
        raise BlockedError(Failure(Reason.CONNECTION, Cause.PROXY_ODD, name=parts.hostname))
    return proxy.geturl()


@lru_cache(maxsize=4)
def _trust(own: str | None, extra: str | None, folder: str | None) -> ssl.SSLContext | bool:
    """Make the TLS context of `CA_FILES` and SSL_CERT_DIR; True, which is aiohttp's own, where none is set."""
    if not (own or extra or folder):
        return True
    context = ssl.create_default_context()  # goes by SSL_CERT_FILE and SSL_CERT_DIR itself
    context.set_alpn_protocols(["http/1.1"])
    if extra and not _unusable(extra):
        context.load_verify_locations(cadata=_certificates(extra))
    return context


def trust_problem(environ: Mapping[str, str] = os.environ) -> str:
    """Say which variable names no certificates; empty where each does that is set. Blocks."""
    for name in CA_FILES:
        if environ.get(name) and (why := _unusable(environ[name])):
            return f"{name} {why}"
    folders = environ.get("SSL_CERT_DIR", "").split(os.pathsep)
    if any(folders) and not any(Path(folder).is_dir() for folder in folders if folder):
        return "SSL_CERT_DIR names no folder"
    return ""


def _unusable(path: str) -> str:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=_certificates(path))
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        is_there = isinstance(error, ssl.SSLError | ValueError)
        return "names a file without certificates" if is_there else "names no file to be read"
    return ""


def _certificates(path: str) -> str:
    """Read the certificates of a PEM file, with what may stand between them. Raises OSError or ValueError."""
    text = read_regular(path, MOST_CA_BYTES).decode("ascii", errors="ignore")
    return text[text.index("-----BEGIN") :]

"""The headers of a request: whether it may be answered, and in which format (RFC 9110, section 12.5). Pure.

Requests that a foreign web page in the user's browser may have sent are refused. Such a page can reach a loopback port
by a name of its own that resolves to 127.0.0.1 (then `Host` is that name), or directly (then `Origin` or
`Sec-Fetch-Site` says so). A link that the user follows is allowed: the page with the link cannot read the answer.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from http import HTTPStatus
from ipaddress import ip_address
from typing import Final

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_LONGEST: Final = 253
_HOST: Final = re.compile(r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[^\[\]:@/\s]+))(?::\d+)?")


@dataclass(frozen=True, slots=True)
class HostCheck:
    """The names and patterns that `Host` may be; with `any_ip` also every IP address."""

    names: frozenset[str]
    patterns: tuple[str, ...] = ()
    any_ip: bool = False

    def refusal(self, headers: Mapping[str, str]) -> HTTPStatus | None:
        """Return 421 for a foreign `Host`, 403 for another site's request, None for one that may be answered."""
        host = headers.get("Host", "")
        if not self.knows(host):
            return HTTPStatus.MISDIRECTED_REQUEST
        # The origin's scheme may differ: a proxy in front may speak TLS where we do not.
        if "Origin" in headers and headers["Origin"].lower().partition("://")[2] != host.lower():
            return HTTPStatus.FORBIDDEN
        foreign = headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
        # The user follows a link; a page that loads, frames or reads another has other values.
        wanted = headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest")
        return HTTPStatus.FORBIDDEN if foreign and wanted != ("navigate", "document") else None

    def knows(self, host: str) -> bool:
        """Return whether a `Host` header, with or without a port, is one of ours."""
        name = parse_host(host)
        return (
            name in self.names
            or (self.any_ip and is_ip(name))
            or any(fnmatchcase(name, pattern) for pattern in self.patterns)
        )


def host_check_for(listen: str, machine: str, hosts: tuple[str, ...] = ()) -> HostCheck:
    """Return the check of a site that listens on the address or name `listen`, on a machine named `machine`.

    `hosts` are further names or patterns, such as "*.svc.cluster.local".
    """
    everywhere = listens_everywhere(listen)
    own = machine if everywhere else listen
    patterns = tuple(pattern.lower().strip("[]") for pattern in hosts)
    return HostCheck(LOOPBACK_NAMES | {own.lower()}, patterns, any_ip=everywhere)


def listens_everywhere(listen: str) -> bool:
    return not listen or (is_ip(listen) and ip_address(listen).is_unspecified)


def is_loopback(listen: str) -> bool:
    """Return whether only this machine can connect there; of names, only localhost is known to be."""
    return ip_address(listen).is_loopback if is_ip(listen) else listen.lower() == "localhost"


def address(host: str, port: int) -> str:
    """Render the address as in a URL or a setting."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_host(host: str) -> str:
    """Return the name in a `Host` header, in lower case, without brackets, port and final dot; empty if malformed."""
    match = _HOST.fullmatch(host.lower())
    return (match["ipv6"] or match["name"].rstrip(".")) if match else ""


def is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_name(host: str) -> bool:
    """Return whether this name from a `Host` header is one that a setting can contain."""
    return len(host) <= _LONGEST and re.fullmatch(r"[a-z0-9._:-]+", host) is not None


def setting(*hosts: str) -> str:
    """Return the line of the settings that allows these names."""
    return "exporter.hosts = [{}]".format(", ".join(f'"{host}"' for host in hosts))


@dataclass(frozen=True, slots=True)
class Preference:
    """One item of an Accept header. `q` is from 0 (never) to 1, and 0 where it is malformed."""

    name: str
    version: str
    q: float


@lru_cache(maxsize=32)  # a scraper asks by the same words each time
def content_type(accept: str) -> str:
    """Return `OPENMETRICS` where the client accepts a version of it that we speak, and prefers no text, else `TEXT`.

    prometheus_client's own `choose_encoder` ignores `q`, and labels its answer with versions that it does not speak; a
    test shows it.
    """
    wanted = parse_preferences(accept)

    def quality(name: str, *versions: str) -> float | None:
        return max((w.q for w in wanted if w.name == name and w.version in versions), default=None)

    openmetrics = quality("application/openmetrics-text", "", "0.0.1", "1.0.0") or 0.0
    ranges = ("text/plain", "text/*", "*/*")  # the most specific one that covers plain text decides
    found = (quality(name, "", "0.0.4") for name in ranges)
    text = next((q for q in found if q is not None), 0.0)
    return OPENMETRICS if openmetrics > 0 and openmetrics >= text else TEXT


@lru_cache(maxsize=32)
def accepts_gzip(accept_encoding: str) -> bool:
    wanted = {p.name: p.q for p in parse_preferences(accept_encoding)}
    return wanted.get("gzip", wanted.get("*", 0.0)) > 0


def parse_preferences(header: str) -> list[Preference]:
    found = []
    for item in header.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        pairs = (parameter.partition("=") for parameter in parameters)
        values = {key.strip(): value.strip().strip('"') for key, _, value in pairs}
        try:
            q = float(values.get("q", "1"))
        except ValueError:
            q = 0.0
        found.append(Preference(name, values.get("version", ""), q if 0 <= q <= 1 else 0.0))
    return found

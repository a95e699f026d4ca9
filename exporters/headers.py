"""What the headers of a request say: whether it may be answered, and in which form (RFC 9110, section 12.5). Pure.

Refused is what a foreign web page in the user's browser could have sent: a page can make a browser ask a loopback port
under the name of a site of its own that resolves to 127.0.0.1 (then `Host` is that name), or directly (then `Origin` or
`Sec-Fetch-Site` says so). A link that the user follows is neither: the page that it stands on sees nothing of what the
browser then shows.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from http import HTTPStatus
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_LONGEST: Final = 253
_HOST: Final = re.compile(r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[^\[\]:@/\s]+))(?::\d+)?")


@dataclass(frozen=True, slots=True)
class Guard:
    """The names under which the site may be asked, and patterns of names; `any_ip` where it listens everywhere."""

    names: frozenset[str]
    patterns: tuple[str, ...] = ()
    any_ip: bool = False

    def refusal(self, headers: Mapping[str, str]) -> HTTPStatus | None:
        """421 for a foreign `Host`, 403 for another site's request, None for a welcome one."""
        host = headers.get("Host", "")
        if not self.knows(host):
            return HTTPStatus.MISDIRECTED_REQUEST
        if "Origin" in headers and _host_of(headers["Origin"]) != host.lower():
            return HTTPStatus.FORBIDDEN
        foreign = headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
        return HTTPStatus.FORBIDDEN if foreign and not _is_navigation(headers) else None

    def knows(self, host: str) -> bool:
        """Whether a `Host` header, with or without a port, is one of ours."""
        name = parse_host(host)
        return (
            name in self.names
            or (self.any_ip and is_ip(name))
            or any(fnmatchcase(name, pattern) for pattern in self.patterns)
        )


def guard_for(listen: str, machine: str, hosts: tuple[str, ...] = ()) -> Guard:
    """The guard of a site that listens on the address or name `listen`, on a machine named `machine`.

    `hosts` are further names or patterns, such as "*.svc.cluster.local".
    """
    everywhere = listens_everywhere(listen)
    own = machine if everywhere else listen
    patterns = tuple(pattern.lower().strip("[]") for pattern in hosts)
    return Guard(LOOPBACK_NAMES | {own.lower()}, patterns, any_ip=everywhere)


def _host_of(origin: str) -> str:
    """Name and port of an origin. The scheme is left out: a proxy in front may speak TLS where we do not."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _is_navigation(headers: Mapping[str, str]) -> bool:
    """Whether a person follows a link, as opposed to a page that loads, frames or reads another."""
    wanted = headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest")
    return wanted == ("navigate", "document")


def listens_everywhere(listen: str) -> bool:
    return not listen or (is_ip(listen) and ip_address(listen).is_unspecified)


def is_loopback(listen: str) -> bool:
    """Whether only this machine can connect there; a name other than localhost may be anywhere."""
    return ip_address(listen).is_loopback if is_ip(listen) else listen.lower() == "localhost"


def address(host: str, port: int) -> str:
    """The address as a URL or a setting has it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_host(host: str) -> str:
    """The name in a `Host` header, in lower case and without brackets, port and final dot; empty if malformed."""
    match = _HOST.fullmatch(host.lower())
    return (match["ipv6"] or match["name"].rstrip(".")) if match else ""


def is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_name(host: str) -> bool:
    """Whether this, parsed from a `Host` header, is a name or address that a setting can name."""
    return len(host) <= _LONGEST and re.fullmatch(r"[a-z0-9._:-]+", host) is not None


def setting(*hosts: str) -> str:
    """The line of the settings that lets these names through."""
    return "exporter.hosts = [{}]".format(", ".join(f'"{host}"' for host in hosts))


@dataclass(frozen=True, slots=True)
class Preference:
    """One item of an Accept header. `q` is 0 (never) to 1; a `q` that cannot be read counts as never."""

    name: str
    version: str
    q: float


@lru_cache(maxsize=32)  # a scraper asks by the same words each time
def content_type(accept: str) -> str:
    """`OPENMETRICS` where the client names it in a version that we speak and likes text no better, else `TEXT`.

    prometheus_client's own `choose_encoder` takes no quality into account and answers one that it does not speak under
    the name of that version; a test shows it.
    """
    wanted = parse_preferences(accept)
    versions = ("", "0.0.1", "1.0.0")
    openmetrics = [
        w.q for w in wanted if w.name == "application/openmetrics-text" and w.version in versions
    ]
    best = max(openmetrics, default=0.0)
    return OPENMETRICS if best > 0 and best >= _text_quality(wanted) else TEXT


def _text_quality(wanted: list[Preference]) -> float:
    """How much plain text is liked: the most specific range that covers it decides."""
    for name in ("text/plain", "text/*", "*/*"):
        matching = [w.q for w in wanted if w.name == name and w.version in ("", "0.0.4")]
        if matching:
            return max(matching)
    return 0.0


@lru_cache(maxsize=32)
def accepts_gzip(accept_encoding: str) -> bool:
    wanted = {p.name: p.q for p in parse_preferences(accept_encoding)}
    return wanted.get("gzip", wanted.get("*", 0.0)) > 0


def parse_preferences(header: str) -> list[Preference]:
    return [_parse_preference(item) for item in header.lower().split(",")]


def _parse_preference(item: str) -> Preference:
    name, *parameters = (part.strip() for part in item.split(";"))
    pairs = (parameter.partition("=") for parameter in parameters)
    values = {key.strip(): value.strip().strip('"') for key, _, value in pairs}
    return Preference(name, values.get("version", ""), _parse_quality(values.get("q", "1")))


def _parse_quality(text: str) -> float:
    try:
        q = float(text)
    except ValueError:
        return 0.0
    return q if 0 <= q <= 1 else 0.0

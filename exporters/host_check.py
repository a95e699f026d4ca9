"""Which requests the site refuses: those that a foreign web page in the user's browser could have sent. Pure.

A page on the web can make a browser ask a loopback port in two ways: under the name of a site of its own that
resolves to 127.0.0.1 (then `Host` is that name), or directly (then `Origin` or `Sec-Fetch-Site` says so).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from typing import Final

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_HOST: Final = re.compile(r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[^\[\]:@/\s]+))(?::\d+)?")


@dataclass(frozen=True, slots=True)
class Guard:
    """The names under which the site may be asked; `any_ip` where it listens on every address of the machine."""

    names: frozenset[str]
    any_ip: bool = False

    def refusal(self, headers: Mapping[str, str]) -> HTTPStatus | None:
        """421 for a foreign `Host`, 403 for another site's request, None for a welcome one."""
        host = headers.get("Host", "")
        if not self.knows(host):
            return HTTPStatus.MISDIRECTED_REQUEST
        if headers.get("Origin", f"http://{host}") != f"http://{host}":
            return HTTPStatus.FORBIDDEN
        if headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return HTTPStatus.FORBIDDEN
        return None

    def knows(self, host: str) -> bool:
        """Whether a `Host` header, with or without a port, is one of ours."""
        name = parse_host(host)
        return name in self.names or (self.any_ip and is_ip(name))


def guard_for(listen: str, machine: str) -> Guard:
    """The guard of a site that listens on the address or name `listen`, on a machine named `machine`."""
    everywhere = listens_everywhere(listen)
    own = machine if everywhere else listen
    return Guard(LOOPBACK_NAMES | {own.lower()}, any_ip=everywhere)


def listens_everywhere(listen: str) -> bool:
    return not listen or (is_ip(listen) and ip_address(listen).is_unspecified)


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

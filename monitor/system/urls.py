"""The parts of a URL, and whether its host is this machine."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit


def split_url(text: str) -> SplitResult | None:
    """Split a URL of printable ASCII; None where it is none."""
    if not re.fullmatch(r"[!-~]+", text) or "\\" in text:
        return None
    try:
        parts = urlsplit(text)
        _ = parts.port  # the library parses it only here, and raises if it is none
    except ValueError:
        return None
    return parts


def is_loopback(host: str) -> bool:
    """Say whether only this machine can answer there; a name other than localhost may be anywhere."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"

"""The user's proxy for a URL. aiohttp's own `trust_env` would also take logins from ~/.netrc, and send them."""

import urllib.request
from urllib.parse import urlsplit


def proxy_of(url: str) -> str | None:
    """The proxy that the environment (or the system) names for this URL; never one for this machine, or for http."""
    parts = urlsplit(url)
    if parts.scheme != "https" or urllib.request.proxy_bypass(parts.netloc):
        return None
    return urllib.request.getproxies().get("https")

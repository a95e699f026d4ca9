"""One POST that arrived, or a ChannelError.

What may have arrived is not sent again: a second try follows only where no connection was made, or where the
receiver said that it took nothing (429, 5xx). Neither the address nor the token is ever quoted, but for the host.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from monitor.api.http_times import parse_retry_after
from monitor.core.errors import SettingsError
from monitor.core.model import Secret
from monitor.core.notify import ChannelError
from monitor.notify.channels.refusal import SecretRefusedError
from monitor.system.urls import is_loopback, split_url
from monitor.system.web import NEVER_CONNECTED, BlockedError, Obstacle, ask, session_of

LIMIT_SECS: Final = 5.0
PAUSE_SECS: Final = 0.5
TRIES: Final = 2

_BLOCKED: Final = {
    Obstacle.DNS: ("unavailable", "{host} cannot be found"),
    Obstacle.REFUSED: ("unavailable", "{host} cannot be reached"),
    Obstacle.NO_ROUTE: ("unavailable", "{host} cannot be reached"),
    Obstacle.CERTIFICATE: ("unavailable", "{host} has no certificate that is trusted here"),
    Obstacle.TLS: ("unavailable", "{host} has no certificate that is trusted here"),
    Obstacle.PROXY: ("unavailable", "the proxy does not let us through to {host}"),
    Obstacle.TIMEOUT: ("timeout", "the connection to {host} came to a halt"),
    Obstacle.NOT_HTTP: ("error", "what {host} answered is not proper HTTP"),
    Obstacle.CUT: ("unavailable", "the connection to {host} was lost"),
    Obstacle.UNSENT: ("error", "the request cannot be made: check address and token"),
}
"""The metrics' word for each obstacle, and words for people."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A try that failed. `wait` is how many seconds later another one may follow; None is never."""

    error: ChannelError
    wait: float | None = None


class Poster:
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
        """In a session of its own: alerts are rare."""
        try:
            async with session_of("claude-tracker") as session:
                answer = await ask(session, self._url, headers, post=body)
        except BlockedError as blocked:
            return self._blocked(blocked.obstacle)
        return self._judged(answer.status, answer.headers)

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

    def _blocked(self, obstacle: Obstacle) -> Refusal:
        """What was never connected may be tried again."""
        reason, words = _BLOCKED[obstacle]
        wait = self._pause if obstacle in NEVER_CONNECTED else None
        return Refusal(ChannelError(reason, words.format(host=self._host)), wait)


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

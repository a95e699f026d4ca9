"""One POST that arrived, or a ChannelError.

What may have arrived is not sent again: a second try follows only where no connection was made, or where the
receiver said that it took nothing (429, 5xx). Neither the address nor the token is ever quoted, but for the host.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from monitor.api.http_times import parse_retry_after
from monitor.core.errors import (
    NEVER_CONNECTED,
    Cause,
    ChannelError,
    ChannelReason,
    Failure,
    SecretRefusedError,
    SettingsError,
    explain,
)
from monitor.core.model import Secret
from monitor.system.urls import is_loopback, split_url
from monitor.system.web import BlockedError, ask, session_of

LIMIT_SECS: Final = 5.0
PAUSE_SECS: Final = 0.5
TRIES: Final = 2

_REASONS: Final = {
    Cause.LATE: ChannelReason.TIMEOUT,
    Cause.NOT_HTTP: ChannelReason.ERROR,
    Cause.UNSENT: ChannelReason.ERROR,
}
"""Of what is in the way; all else makes the receiver unavailable."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An attempt that failed. `wait` is how many seconds later another one may follow; None is never."""

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
        self._host = check_url(url)
        self._token = token
        self._limit = limit
        self._pause = pause

    async def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Returns once a 2xx came back. Raises ChannelError."""
        bearer = {"Authorization": f"Bearer {self._token.reveal()}"} if self._token else {}
        try:
            async with asyncio.timeout(self._limit) as limit:
                await self._try(body, {**headers, **bearer}, limit.when())
        except TimeoutError:
            late = f"{self._host} did not answer within {self._limit:g} s"
            raise ChannelError(ChannelReason.TIMEOUT, late) from None

    async def _try(self, body: bytes, headers: Mapping[str, str], deadline: float | None) -> None:
        """In a session of its own: alerts are rare."""
        for tries_left in reversed(range(TRIES)):
            try:
                async with session_of("claude-tracker") as session:
                    answer = await ask(session, self._url, headers, post=body)
                refusal = self._judge(answer.status, answer.headers)
            except BlockedError as blocked:
                refusal = self._blocked(blocked.failure)
            if refusal is None:
                return
            if not tries_left or refusal.wait is None:
                raise refusal.error
            if deadline and asyncio.get_running_loop().time() + refusal.wait >= deadline:
                raise refusal.error
            await asyncio.sleep(refusal.wait)

    def _judge(self, status: int, headers: Mapping[str, str]) -> Refusal | None:
        detail = f"{self._host} answered HTTP {status}"
        if 200 <= status < 300:
            return None
        if status == 429 or status >= 500:
            asked = parse_retry_after(headers)
            wait = self._pause if asked is None else asked.total_seconds()
            return Refusal(ChannelError(ChannelReason.ERROR, detail), wait)
        if 300 <= status < 400:
            detail += ", a redirection: set the address that it leads to"
        if status in (401, 403):
            return Refusal(SecretRefusedError(f"{detail}: check the token"))
        return Refusal(ChannelError(ChannelReason.ERROR, detail))

    def _blocked(self, failure: Failure) -> Refusal:
        reason = _REASONS.get(failure.cause or Cause.UNSENT, ChannelReason.UNAVAILABLE)
        problem, advice = explain(failure)
        detail = f"{problem}: {advice}" if failure.cause is Cause.UNSENT else problem
        wait = self._pause if failure.cause in NEVER_CONNECTED else None
        return Refusal(ChannelError(reason, detail), wait)


def check_url(url: str) -> str:
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

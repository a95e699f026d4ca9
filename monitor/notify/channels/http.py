"""One POST that arrived, or a ChannelError.

What may have arrived is not sent again: a second try follows only where no connection was made, or where the
receiver said that it took nothing (429, 5xx). Neither the address nor the token is ever quoted, but for the host.
"""

import asyncio
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from monitor.api.wire import parse_retry_after
from monitor.core.errors import (
    NEVER_CONNECTED,
    Cause,
    ChannelError,
    ChannelReason,
    explain,
)
from monitor.core.model import Secret
from monitor.notify.channel import LIMIT_SECS
from monitor.system.web import BlockedError, ask, session_of

PAUSE_SECS: Final = 0.5
TRIES: Final = 2

_REASONS: Final = {
    Cause.LATE: ChannelReason.TIMEOUT,
    Cause.NOT_HTTP: ChannelReason.ERROR,
    Cause.UNSENT: ChannelReason.ERROR,
}
"""Of what is in the way; all else makes the receiver unavailable."""


class Poster:
    """One address to POST to, as the settings check it.

    `limit` is for all tries together, `pause` between them where the receiver asks for nothing else; in seconds.
    """

    def __init__(self, url: str, *, limit: float = LIMIT_SECS, pause: float = PAUSE_SECS) -> None:
        self._url = url
        self._host = urlsplit(url).hostname
        self._limit = limit
        self._pause = pause

    async def post(
        self, body: bytes, headers: Mapping[str, str], token: Secret | None = None
    ) -> None:
        """Return once a 2xx came back; the token is a bearer token. Raises ChannelError."""
        bearer = {"Authorization": f"Bearer {token.reveal().strip()}"} if token else {}
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._limit
        try:
            async with asyncio.timeout_at(deadline):
                for tries_left in reversed(range(TRIES)):
                    error, wait = await self._try(body, {**headers, **bearer})
                    if error is None:
                        return
                    if not tries_left or wait is None or loop.time() + wait >= deadline:
                        raise error
                    await asyncio.sleep(wait)
        except TimeoutError:
            late = f"{self._host} did not answer within {self._limit:g} s"
            raise ChannelError(ChannelReason.TIMEOUT, late) from None

    async def _try(
        self, body: bytes, headers: Mapping[str, str]
    ) -> tuple[ChannelError | None, float | None]:
        """Return why it failed, if it did, and after how many seconds another try may follow; None is never.

        In a session of its own: alerts are rare.
        """
        try:
            async with session_of("claude-tracker") as session:
                answer = await ask(session, self._url, headers, post=body)
        except BlockedError as blocked:
            failure = blocked.failure
            reason = _REASONS.get(failure.cause or Cause.UNSENT, ChannelReason.UNAVAILABLE)
            problem, advice = explain(failure)
            detail = f"{problem}: {advice}" if failure.cause is Cause.UNSENT else problem
            wait = self._pause if failure.cause in NEVER_CONNECTED else None
            return ChannelError(reason, detail), wait
        status, detail = answer.status, f"{self._host} answered HTTP {answer.status}"
        if 200 <= status < 300:
            return None, None
        if status == 429 or status >= 500:
            asked = parse_retry_after(answer.headers)
            wait = self._pause if asked is None else asked.total_seconds()
            return ChannelError(ChannelReason.ERROR, detail), wait
        if status in (401, 403):
            detail += ": check the token"
        if 300 <= status < 400:
            detail += ", a redirection: set the address that it leads to"
        return ChannelError(ChannelReason.ERROR, detail), None

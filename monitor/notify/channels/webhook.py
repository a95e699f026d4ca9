"""Sends alerts to any HTTP receiver: with our own JSON document, or in the form that ntfy or Slack reads.

What may have arrived is not sent again: a second try follows only where no connection was made, or where the
receiver said that it took nothing (429, 5xx). Of the address only the host is ever quoted, of the token nothing.
"""

import asyncio
import html
import json
import re
from collections.abc import Callable, Mapping, Sequence
from email.header import Header
from typing import Final
from urllib.parse import urlsplit

from monitor.api.wire import parse_retry_after
from monitor.core.alerts.rules import Alert, AlertKind, Urgency
from monitor.core.alerts.text import Message
from monitor.core.errors import NEVER_CONNECTED, Cause, ChannelError, ChannelReason, explain
from monitor.core.model import Secret
from monitor.credentials.keyring import LIMIT_SECS as KEYRING_SECS
from monitor.notify.channel import LIMIT_SECS, Channel, ReadSecret
from monitor.notify.channels.command import delivery_id, render_alerts
from monitor.system.web import BlockedError, ask, session_of

PAUSE_SECS: Final = 0.5

_REASONS: Final = {
    Cause.LATE: ChannelReason.TIMEOUT,
    Cause.NOT_HTTP: ChannelReason.ERROR,
    Cause.UNSENT: ChannelReason.ERROR,
}
"""The reasons for these causes; with all others the receiver is unavailable."""

HttpBody = tuple[bytes, Mapping[str, str]]
"""A request's body, and the headers that belong to it."""


class Webhook(Channel):
    """One receiver; `form` is a key of `FORMS`, and `limit` is for the request, after the bearer token was read.

    The header `Idempotency-Key` is the same for each delivery of the same alerts.
    """

    name = "webhook"

    def __init__(
        self, url: str, form: str, limit: float, read_token: ReadSecret | None = None
    ) -> None:
        self._url = url
        self._render = FORMS[form]
        self._limit = limit
        self._read_token = read_token
        self.limit_secs = limit + (KEYRING_SECS if read_token else 0)

    async def send(self, message: Message, alerts: Sequence[Alert]) -> None:
        body, headers = self._render(message, alerts)
        headers = {**headers, "Idempotency-Key": delivery_id(alerts)}
        token = await self._read_token() if self._read_token else None
        await post(self._url, body, headers, token, limit=self._limit)


async def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    token: Secret | None = None,
    *,
    limit: float = LIMIT_SECS,
    pause: float = PAUSE_SECS,
) -> None:
    """Return once a 2xx came back; the token is a bearer token. Raises ChannelError.

    `limit` is for both tries together, `pause` between them where the receiver asks for nothing else; in seconds.
    """
    if token is not None:
        headers = {**headers, "Authorization": f"Bearer {token.reveal().strip()}"}
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit
    try:
        async with asyncio.timeout_at(deadline):
            error, wait = await _try(url, body, headers, pause)
            if wait is not None and loop.time() + wait < deadline:
                await asyncio.sleep(wait)
                error, _ = await _try(url, body, headers, pause)
    except TimeoutError:
        late = f"{urlsplit(url).hostname} did not answer within {limit:g} s"
        raise ChannelError(ChannelReason.TIMEOUT, late) from None
    if error is not None:
        raise error


async def _try(
    url: str, body: bytes, headers: Mapping[str, str], pause: float
) -> tuple[ChannelError | None, float | None]:
    """Send once; return why it failed, if it did, and the seconds after which another try may follow (None: never).

    Each try has a session of its own, since alerts are rare.
    """
    try:
        async with await session_of("claude-tracker") as session:
            answer = await ask(session, url, headers, post=body)
    except BlockedError as blocked:
        failure = blocked.failure
        reason = _REASONS.get(failure.cause or Cause.UNSENT, ChannelReason.UNAVAILABLE)
        problem, advice = explain(failure)
        detail = f"{problem}: {advice}" if failure.cause is Cause.UNSENT else problem
        wait = pause if failure.cause in NEVER_CONNECTED else None
        return ChannelError(reason, detail), wait
    status, detail = answer.status, f"{urlsplit(url).hostname} answered HTTP {answer.status}"
    if 200 <= status < 300:
        return None, None
    if status == 429 or status >= 500:
        asked = parse_retry_after(answer.headers)
        wait = pause if asked is None else asked.total_seconds()
        return ChannelError(ChannelReason.ERROR, detail), wait
    if status in (401, 403):
        detail += ": check the token"
    if 300 <= status < 400:
        detail += ", a redirection: set the address that it leads to"
    return ChannelError(ChannelReason.ERROR, detail), None


def _render_json(message: Message, alerts: Sequence[Alert]) -> HttpBody:
    return render_alerts(message, alerts), {"Content-Type": "application/json"}


def _render_ntfy(message: Message, alerts: Sequence[Alert]) -> HttpBody:
    """Render it for ntfy (https://docs.ntfy.sh/publish): the body is the text, the rest are headers."""
    headers = {
        "Content-Type": "text/plain; charset=utf-8",
        "Title": encode_header(message.title),
        "Priority": _PRIORITY[message.urgency],
        "Tags": _TAGS.get(alerts[0].kind, "warning") if len(alerts) == 1 else "bell",
    }
    return message.body.encode(), headers


def _render_slack(message: Message, _: Sequence[Alert]) -> HttpBody:
    """Render it for Slack (https://api.slack.com/messaging/webhooks), which wants the same escapes as HTML."""
    text = html.escape(f"{message.title}\n{message.body}", quote=False)
    return json.dumps({"text": text}).encode(), {"Content-Type": "application/json"}


FORMS: Final[Mapping[str, Callable[[Message, Sequence[Alert]], HttpBody]]] = {
    "json": _render_json,
    "ntfy": _render_ntfy,
    "slack": _render_slack,
}
"""The formats by their names in the settings; Mattermost, Rocket.Chat and others understand Slack's as well."""

_PRIORITY: Final = {Urgency.LOW: "2", Urgency.NORMAL: "3", Urgency.CRITICAL: "5"}
_TAGS: Final = {
    AlertKind.LIMIT: "no_entry",
    AlertKind.EXHAUSTED: "no_entry",
    AlertKind.RESET: "white_check_mark",
    AlertKind.EARLY_RESET: "white_check_mark",
    AlertKind.FREE: "white_check_mark",
    AlertKind.PACE: "chart_with_upwards_trend",
    AlertKind.LOGIN: "key",
    AlertKind.EXHAUSTED_SOON: "chart_with_upwards_trend",
    AlertKind.LIMIT_CHANGED: "straight_ruler",
    AlertKind.WEEK_EXPIRED: "hourglass",
    AlertKind.EXPIRY: "key",
    AlertKind.TEST: "bell",
}


def encode_header(text: str) -> str:
    """Encode a text for a header: printable ASCII stays as it is, all else is encoded by RFC 2047."""
    if re.fullmatch(r"[ -~]*", text) and "=?" not in text:
        return text
    return " ".join(Header(text, "utf-8").encode(linesep="").split())

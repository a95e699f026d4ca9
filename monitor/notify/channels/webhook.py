"""Sends alerts to any HTTP receiver: with our own JSON document, or in the form that ntfy or Slack reads."""

import html
import json
import re
from collections.abc import Callable, Mapping, Sequence
from email.header import Header
from typing import Final

from monitor.core.alerts.rules import Alert, AlertKind, Urgency
from monitor.core.alerts.text import Message
from monitor.credentials.keyring import LIMIT_SECS as KEYRING_SECS
from monitor.notify.alert_json import identity, render_document
from monitor.notify.channel import Channel, ReadSecret
from monitor.notify.channels.http import Poster

HttpBody = tuple[bytes, Mapping[str, str]]
"""A request's body, and the headers that belong to it."""


class Webhook(Channel):
    """One receiver; `form` is what it reads, a key of `FORMS`; the token is sent as a bearer token.

    `limit` is for the request, after the token was read.

    `Idempotency-Key` is the same for each delivery of the same alerts.
    """

    name = "webhook"

    def __init__(
        self, url: str, form: str, limit: float, read_token: ReadSecret | None = None
    ) -> None:
        self._render = FORMS[form]
        self._poster = Poster(url, limit=limit)
        self._read_token = read_token
        self.limit_secs = limit + (KEYRING_SECS if read_token else 0)

    async def send(self, message: Message, alerts: Sequence[Alert]) -> None:
        body, headers = self._render(message, alerts)
        headers = {**headers, "Idempotency-Key": identity(alerts)}
        token = await self._read_token() if self._read_token else None
        await self._poster.post(body, headers, token)


def _render_json(message: Message, alerts: Sequence[Alert]) -> HttpBody:
    return render_document(message, alerts), {"Content-Type": "application/json"}


def _render_ntfy(message: Message, alerts: Sequence[Alert]) -> HttpBody:
    """https://docs.ntfy.sh/publish: the body is the text, and the rest are headers."""
    headers = {
        "Content-Type": "text/plain; charset=utf-8",
        "Title": encode_header(message.title),
        "Priority": _PRIORITY[message.urgency],
        "Tags": _TAGS.get(alerts[0].kind, "warning") if len(alerts) == 1 else "bell",
    }
    return message.body.encode(), headers


def _render_slack(message: Message, _: Sequence[Alert]) -> HttpBody:
    """https://api.slack.com/messaging/webhooks; what it wants escaped is what HTML does."""
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
    """Return the text as a header may carry it: as it is where that is printable ASCII, else encoded by RFC 2047."""
    if re.fullmatch(r"[ -~]*", text) and "=?" not in text:
        return text
    return " ".join(Header(text, "utf-8").encode(linesep="").split())

"""Tells alerts to any HTTP receiver: with our own JSON document, or in the form that ntfy or Slack reads."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.header import Header
from enum import StrEnum
from typing import Final

from monitor.core.alerts.rules import Urgency
from monitor.core.effects import Alert, AlertKind
from monitor.core.model import Secret
from monitor.notify.channels.clean import escape_markup
from monitor.notify.channels.document import identity, render_document
from monitor.notify.channels.http import LIMIT_SECS, PAUSE_SECS, Poster
from monitor.notify.text import Words


class Form(StrEnum):
    """What the receiver reads. `slack` is understood by Mattermost, Rocket.Chat and others as well."""

    JSON = "json"
    NTFY = "ntfy"
    SLACK = "slack"


@dataclass(frozen=True, slots=True)
class HttpBody:
    """A request's body, and the headers that belong to it."""

    body: bytes
    headers: Mapping[str, str]


class Webhook:
    """One receiver; `token` is sent as a bearer token. Raises SettingsError for an address in the clear.

    `Idempotency-Key` is the same for each delivery of the same alerts.
    """

    def __init__(
        self,
        url: str,
        form: Form,
        words: Words,
        *,
        token: Secret | None = None,
        limit: float = LIMIT_SECS,
        pause: float = PAUSE_SECS,
        name: str = "webhook",
    ) -> None:
        self.name = name
        self._render = _FORMS[form]
        self._words = words
        self._receiver = Poster(url, token=token, limit=limit, pause=pause)

    async def tell(self, alerts: Sequence[Alert], urgency: Urgency = Urgency.NORMAL) -> None:
        """Raises ChannelError."""
        parcel = self._render(alerts, urgency, self._words)
        headers = {**parcel.headers, "Idempotency-Key": identity(alerts)}
        await self._receiver.post(parcel.body, headers)

    def close(self) -> None:
        """It holds nothing."""


def _json(alerts: Sequence[Alert], urgency: Urgency, words: Words) -> HttpBody:
    document = render_document(alerts, urgency, words)
    return HttpBody(document, {"Content-Type": "application/json"})


def _ntfy(alerts: Sequence[Alert], urgency: Urgency, words: Words) -> HttpBody:
    """https://docs.ntfy.sh/publish: the body is the text, and the rest are headers."""
    message = words(alerts, urgency)
    headers = {
        "Content-Type": "text/plain; charset=utf-8",
        "Title": header_text(message.title),
        "Priority": _PRIORITY[message.urgency],
        "Tags": _TAGS.get(alerts[0].kind, "warning") if len(alerts) == 1 else "bell",
    }
    return HttpBody(message.body.encode(), headers)


def _slack(alerts: Sequence[Alert], urgency: Urgency, words: Words) -> HttpBody:
    """https://api.slack.com/messaging/webhooks; what it wants escaped is what HTML does."""
    message = words(alerts, urgency)
    text = escape_markup(f"{message.title}\n{message.body}")
    return HttpBody(json.dumps({"text": text}).encode(), {"Content-Type": "application/json"})


_FORMS: Final[Mapping[Form, Callable[[Sequence[Alert], Urgency, Words], HttpBody]]] = {
    Form.JSON: _json,
    Form.NTFY: _ntfy,
    Form.SLACK: _slack,
}
_PRIORITY: Final = {Urgency.LOW: "2", Urgency.NORMAL: "3", Urgency.CRITICAL: "5"}
_TAGS: Final = {
    AlertKind.LIMIT: "no_entry",
    AlertKind.EXHAUSTED: "no_entry",
    AlertKind.RESET: "white_check_mark",
    AlertKind.EARLY_RESET: "white_check_mark",
    AlertKind.FREE: "white_check_mark",
    AlertKind.PACE: "chart_with_upwards_trend",
    AlertKind.LOGIN: "key",
    AlertKind.EXPIRY: "key",
    AlertKind.TEST: "bell",
}


def header_text(text: str) -> str:
    """The text as a header may carry it: as it is where that is printable ASCII, else in the words of RFC 2047."""
    if re.fullmatch(r"[ -~]*", text) and "=?" not in text:
        return text
    return " ".join(Header(text, "utf-8").encode(linesep="").split())

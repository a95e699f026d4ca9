"""The webhook channel, against a real server."""

import json
from email.header import decode_header, make_header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.alerts.rules import Alert, AlertKind, Urgency
from monitor.core.alerts.text import Message
from monitor.core.errors import ChannelError
from monitor.core.model import Secret
from monitor.notify.channels.command import delivery_id, render_alerts
from monitor.notify.channels.webhook import Webhook, encode_header
from tests.builders import NOW
from tests.notify.receiver import Received, delivery, receiver, status

ALERT = Alert(AlertKind.LOGIN, "R&D <Zoë>", "", NOW, detail="refused")
OTHER = Alert(AlertKind.FREE, "me", "", NOW)


async def read_token() -> Secret:
    return Secret("tk_1")


async def received(
    form: str,
    *alerts: Alert,
    urgency: Urgency = Urgency.NORMAL,
    message: Message | None = None,
) -> Received:
    """What a server gets of these alerts."""
    async with receiver() as server:
        webhook = Webhook(f"{server.url}/topic?x=1", form, 10, read_token)
        await webhook.send(message or delivery(*alerts, urgency=urgency)[0], alerts)
        webhook.close()
    (request,) = server.requests
    assert request.path == "/topic?x=1"
    assert request.headers["Authorization"] == "Bearer tk_1"
    assert request.headers["Idempotency-Key"] == delivery_id(alerts)
    return request


@pytest.mark.parametrize("alerts", [[ALERT], [ALERT, OTHER]])
async def test_json_is_the_document(alerts: list[Alert]) -> None:
    request = await received("json", *alerts)
    assert request.headers["Content-Type"] == "application/json"
    assert request.body == render_alerts(*delivery(*alerts))


async def test_slack_gets_one_text_with_its_markup_escaped() -> None:
    request = await received("slack", ALERT)
    assert json.loads(request.body) == {
        "text": "R&amp;D &lt;Zoë&gt;: login needed\n"
        "Refused. Log in again: its data is stale until then."
    }
    assert request.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("urgency", "priority"),
    [(Urgency.LOW, "2"), (Urgency.NORMAL, "3"), (Urgency.CRITICAL, "5")],
)
async def test_ntfy_gets_the_text_and_the_rest_in_headers(urgency: Urgency, priority: str) -> None:
    request = await received("ntfy", ALERT, urgency=urgency)
    assert request.body.decode() == "Refused. Log in again: its data is stale until then."
    assert request.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert decoded(request.headers["Title"]) == "R&D <Zoë>: login needed"
    assert (request.headers["Priority"], request.headers["Tags"]) == (priority, "key")


async def test_ntfy_gets_a_summary_in_lines() -> None:
    request = await received("ntfy", ALERT, OTHER)
    assert request.headers["Title"] == "Claude Tracker: 2 alerts"
    assert request.headers["Tags"] == "bell"
    assert request.body.decode().splitlines() == ["R&D <Zoë>: login needed", "me is free again"]


async def test_the_same_alert_has_the_same_key_at_each_delivery() -> None:
    first, second = await received("json", ALERT), await received("ntfy", ALERT)
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]


async def test_the_key_of_a_second_try_is_that_of_the_first() -> None:
    async with receiver(status(500)) as server:
        await Webhook(server.url, "json", 10).send(*delivery(ALERT))
    assert len({request.headers["Idempotency-Key"] for request in server.requests}) == 1
    assert len(server.requests) == 2


async def test_a_refusal_is_a_failure() -> None:
    async with receiver(status(404)) as server:
        with pytest.raises(ChannelError, match=r"127\.0\.0\.1 answered HTTP 404"):
            await Webhook(server.url, "slack", 10).send(*delivery(ALERT))


async def test_a_title_that_looks_encoded_arrives_as_it_is() -> None:
    request = await received("ntfy", ALERT, message=Message("=?utf-8?q?x?=", ""))
    assert decoded(request.headers["Title"]) == "=?utf-8?q?x?="


def decoded(header: str) -> str:
    """As ntfy reads a header: the words of RFC 2047."""
    return str(make_header(decode_header(header)))


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs")), max_size=200))
def test_any_title_is_safe_in_a_header_and_survives_it(title: str) -> None:
    header = encode_header(title)
    assert header.isascii()
    assert not set(header) & set("\r\n\0")
    assert decoded(header) == title

"""The POST of the channels, against a real server that fails in each known way."""

import asyncio
import logging
import time
from pathlib import Path

import pytest

from monitor.core.errors import ChannelError
from monitor.core.model import Secret
from monitor.notify.channels.webhook import post
from tests.notify.receiver import OK, Answer, garbage, hang, receiver, reset, status
from tests.real.prometheus import free_port

TOKEN = Secret("tk_very-secret")
ABSURD = status(503, Retry_After="Sun, 22 Nov 99999999999999999999 12:00:00 GMT")


async def post_to(url: str, limit: float = 10, token: Secret | None = None) -> None:
    address = f"{url}/hook/path-secret"
    await post(address, b"body", {"X-Kind": "test"}, token, limit=limit, pause=0)


async def test_body_headers_and_token_arrive() -> None:
    async with receiver() as server:
        await post_to(server.url, token=TOKEN)
    (request,) = server.requests
    assert (request.path, request.body) == ("/hook/path-secret", b"body")
    assert request.headers["X-Kind"] == "test"
    assert request.headers["Authorization"] == "Bearer tk_very-secret"
    assert request.headers["User-Agent"] == "claude-tracker"


async def test_without_a_token_nothing_is_authorized() -> None:
    async with receiver() as server:
        await post_to(server.url)
    assert "Authorization" not in server.requests[0].headers


@pytest.mark.parametrize(
    "refusal",
    [status(500), status(503), status(503, Retry_After="0"), status(429), status(502), ABSURD],
)
async def test_a_receiver_that_took_nothing_is_asked_once_more(refusal: Answer) -> None:
    async with receiver(refusal, OK) as server:
        await post_to(server.url)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("answers", "reason", "words", "requests"),
    [
        pytest.param([status(500), status(500), OK], "error", "HTTP 500", 2, id="always failing"),
        pytest.param([status(429, Retry_After="60"), OK], "error", "HTTP 429", 1, id="not in time"),
        pytest.param([status(400), OK], "error", "HTTP 400", 1, id="a request it cannot read"),
        pytest.param([status(404), OK], "error", "HTTP 404", 1, id="another address"),
        pytest.param([status(401), OK], "error", "HTTP 401: check the token", 1, id="token"),
        pytest.param([status(403), OK], "error", "HTTP 403: check the token", 1, id="forbidden"),
        pytest.param([reset, OK], "unavailable", "ended the connection before", 1, id="reset"),
        pytest.param([garbage, OK], "error", "is not HTTP", 1, id="another protocol"),
    ],
)
async def test_a_failure_is_told_and_what_may_have_arrived_is_not_sent_again(
    answers: list[Answer], reason: str, words: str, requests: int
) -> None:
    async with receiver(*answers) as server:
        with pytest.raises(ChannelError, match=words) as failure:
            await post_to(server.url, token=TOKEN)
    assert (failure.value.reason, len(server.requests)) == (reason, requests)
    assert "secret" not in failure.value.detail


async def test_a_redirection_is_not_followed() -> None:
    async with receiver() as other, receiver(status(307, Location=other.url)) as server:
        with pytest.raises(ChannelError, match="HTTP 307, a redirection"):
            await post_to(server.url, token=TOKEN)
    assert other.requests == []


async def test_no_cookie_is_kept() -> None:
    async with receiver(status(500, Set_Cookie="session=1")) as server:
        await post_to(server.url)
    assert "Cookie" not in server.requests[1].headers


async def test_a_receiver_that_hangs_is_given_up_at_the_limit_and_not_asked_again() -> None:
    started = time.monotonic()
    async with receiver(hang, OK) as server:
        with pytest.raises(ChannelError, match=r"did not answer within 0\.2 s") as failure:
            await post_to(server.url, limit=0.2)
        assert time.monotonic() - started < 2
    assert (failure.value.reason, len(server.requests)) == ("timeout", 1)


async def test_a_telling_that_is_cancelled_ends_at_once() -> None:
    async with receiver(hang) as server:
        telling = asyncio.create_task(post_to(server.url))
        await server.wait()
        telling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await telling


async def test_where_nobody_listens_it_is_tried_twice_and_reported() -> None:
    with pytest.raises(ChannelError, match=r"127\.0\.0\.1 cannot be reached") as failure:
        await post_to(f"http://127.0.0.1:{free_port()}")
    assert failure.value.reason == "unavailable"


async def test_a_receiver_that_starts_to_listen_meanwhile_is_told() -> None:
    port = free_port()
    sending = asyncio.create_task(post(f"http://127.0.0.1:{port}", b"", {}, limit=10, pause=0.5))
    await asyncio.sleep(0.1)
    async with receiver(port=port) as server:
        await sending
    assert len(server.requests) == 1


async def test_a_host_that_does_not_exist_is_reported_by_its_name() -> None:
    with pytest.raises(ChannelError, match=r"nowhere\.invalid cannot be (found|reached)"):
        await post("https://nowhere.invalid/x", b"", {}, limit=10, pause=0)


async def test_a_server_without_tls_gets_no_request_that_was_meant_for_tls() -> None:
    async with receiver() as server:
        url = server.url.replace("http:", "https:")
        with pytest.raises(ChannelError, match=r"no TLS with 127\.0\.0\.1"):
            await post(url, b"", {}, limit=10, pause=0)
    assert server.requests == []


async def test_a_token_that_is_no_header_is_reported_without_being_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with receiver() as server:
            with pytest.raises(ChannelError, match="check the address, and the token") as failure:
                await post_to(server.url, token=Secret("tk_very\r\nsecret"))
    assert "secret" not in failure.value.detail + caplog.text


async def test_the_login_of_a_netrc_is_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password x\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with receiver() as server:
        await post_to(server.url)
    assert "Authorization" not in server.requests[0].headers


async def test_https_goes_through_the_environment_s_proxy_and_loopback_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with receiver(status(403), status(403)) as proxy, receiver() as server:
        monkeypatch.setenv("https_proxy", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        await post_to(server.url)
        with pytest.raises(
            ChannelError, match=r"the proxy refused a connection to hooks\.example\.com"
        ):
            await post("https://hooks.example.com/x", b"", {}, limit=10, pause=0)
    assert len(server.requests) == 1
